"""Stream audio into PyTorch training: cut in the compressed domain, shuffle references, decode last."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowmo_data.datasets import AudioFrameDataset, MixedAudioDataset, StreamingAudioDataset
    from flowmo_data.epochs.report import Report
    from flowmo_data.errors import (
        AllFramesRejectedError,
        AudioFileError,
        FilesError,
        FilesNotFoundError,
        FilesTypeError,
        FlowmoDataError,
        IndexVersionError,
        MissingPackageError,
        NoReadableFileError,
        OptionError,
        ResourceError,
        SampleRateError,
        StateError,
    )
    from flowmo_data.loading import ResumableDataLoader
    from flowmo_data.tracks.index import AudioIndex

__version__ = "0.1.0"

__all__ = [
    "AllFramesRejectedError",
    "AudioFileError",
    "AudioFrameDataset",
    "AudioIndex",
    "FilesError",
    "FilesNotFoundError",
    "FilesTypeError",
    "FlowmoDataError",
    "IndexVersionError",
    "MissingPackageError",
    "MixedAudioDataset",
    "NoReadableFileError",
    "OptionError",
    "Report",
    "ResourceError",
    "ResumableDataLoader",
    "SampleRateError",
    "StateError",
    "StreamingAudioDataset",
    "__version__",
]

_HOMES = {
    "AudioFrameDataset": "datasets",
    "MixedAudioDataset": "datasets",
    "StreamingAudioDataset": "datasets",
    "Report": "epochs.report",
    "ResumableDataLoader": "loading",
    "AudioIndex": "tracks.index",
}
"""modules of the public names; all others are errors. They are imported on first use: torch takes seconds, in which an
interrupt of the command line would end in a traceback"""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
