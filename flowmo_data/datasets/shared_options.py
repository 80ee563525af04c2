"""The options that datasets of several sets of files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import torch

from flowmo_data.errors import AudioFileError
from flowmo_data.sources import Metadata


class DatasetOptions(TypedDict, total=False):
    """The options of `StreamingAudioDataset` that the three sets share; see there for meanings and defaults."""

    sr: int
    samples_per_frame: int
    hop: int | None
    shuffle_buffer_size: int | None
    channels: int
    seed: int
    framing: str
    decoder: str
    decode_threads: int
    exclude: str | Sequence[str] | os.PathLike[str] | None
    on_error: str | Callable[[AudioFileError], None]
    on_other_rate: str
    dtype: torch.dtype | str
    transform: Callable[[Any], Any] | None
    return_info: bool
    metadata: Metadata | None
    remainder: str
    limit: int | None
