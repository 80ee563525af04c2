"""Stream audio into PyTorch training: cut in the compressed domain, shuffle references, decode last."""

from flowmo_data.dataset import StreamingAudioDataset
from flowmo_data.epochs.report import Report
from flowmo_data.errors import (
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
    "AudioFileError",
    "AudioIndex",
    "FilesError",
    "FilesNotFoundError",
    "FilesTypeError",
    "FlowmoDataError",
    "IndexVersionError",
    "MissingPackageError",
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
