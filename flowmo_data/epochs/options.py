"""The options of a dataset, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch

from flowmo_data.errors import AudioFileError, OptionError
from flowmo_data.sources import Metadata
from flowmo_data.sources.metadata.of_files import check_metadata

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int16)
FRAMINGS = ("pad", "drop")
_LARGEST = (1 << 31) - 1
ON_ERROR = ("skip", "raise")
REMAINDER = ("drop", "repeat")
ON_OTHER_RATE = ("resample", "skip", "raise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the datasets, which describe them.

    Raises:
        OptionError: an option has an invalid value; the message gives the valid ones.
    """

    sr: int = 44_100
    samples_per_frame: int = 196_608
    hop: int | None = None
    shuffle_buffer_size: int | None = 1_000
    channels: int = 2
    shuffle: bool = True
    seed: int = 0
    framing: str = "pad"
    decoder: str = "soundfile"
    decode_threads: int = 0
    on_error: str | Callable[[AudioFileError], None] = "skip"
    on_other_rate: str = "resample"
    dtype: torch.dtype = torch.float32
    transform: Callable[[Any], Any] | None = None
    return_info: bool = False
    metadata: Metadata | None = None
    batch_size: int | None = None
    repeat: bool = False
    remainder: str = "drop"
    limit: int | None = None
    jitter: bool = False
    max_buffered_bytes: int = 1 << 28

    def __post_init__(self) -> None:
        self._check_number("sr", 1, "a sample rate in Hz, for example 44100")
        self._check_number("samples_per_frame", 1, "the length of a frame in samples, for example 196608")
        if self.hop is None:
            object.__setattr__(self, "hop", self.samples_per_frame)
        self._check_number("hop", 1, "samples from the start of a frame to the start of the next")
        if self.limit is not None:
            self._check_number("limit", 1, "frames to select, evenly spaced; None for all")
        if self.shuffle_buffer_size is not None:
            self._check_number(
                "shuffle_buffer_size", 1, "number of frames to shuffle among each other; shuffle=False for file order"
            )
        self._check_number("seed", 0, "the seed of all randomness", most=math.inf)
        self._check_number("decode_threads", 0, "threads that decode ahead; 0 decodes in the calling thread")
        self._check_number(
            "max_buffered_bytes",
            1 << 20,
            "bytes of remote files that a worker holds; 268435456 is 256 MiB",
            most=math.inf,
        )
        if self.batch_size is not None:
            self._check_number("batch_size", 1, "frames in a batch; None emits frames")
        if self.channels not in (1, 2):
            raise OptionError(f"channels={self.channels!r}: use 1 (averaged to mono) or 2 (mono is duplicated)")
        for name in ("shuffle", "return_info", "repeat", "jitter"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name}={getattr(self, name)!r}: use True or False")
        check_framing(self.framing)
        check_dtype(self.dtype)
        check_metadata(self.metadata, return_info=self.return_info)
        if self.on_error not in ON_ERROR and not callable(self.on_error):
            raise OptionError(
                f"on_error={self.on_error!r}: use 'skip' (one warning per bad file), 'raise', or a function that is "
                "called with the AudioFileError of each bad file"
            )
        if self.on_other_rate not in ON_OTHER_RATE:
            raise OptionError(f"on_other_rate={self.on_other_rate!r}: use one of {', '.join(map(repr, ON_OTHER_RATE))}")
        if self.remainder not in REMAINDER:
            raise OptionError(
                f"remainder={self.remainder!r}: use 'drop' (leftover frames are dropped if ranks do not divide them "
                "evenly) or 'repeat' (some frames come twice)"
            )
        if self.transform is not None and not callable(self.transform):
            raise OptionError(
                f"transform={self.transform!r}: it is not callable; give a function of the frame (with "
                "return_info=True, of the dictionary) that returns the value to emit, or None to reject the frame"
            )

    def _check_number(self, name: str, least: int, meaning: str, *, most: float = _LARGEST) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise OptionError(f"{name}={value!r}: it must be a whole number of at least {least}: {meaning}")
        if value > most:
            raise OptionError(f"{name}={value!r}: it must be at most {most}: {meaning}")

    def order(self) -> dict[str, Any]:
        """Return the options that determine the frames and their order, as JSON holds them."""
        free = {
            "decoder", "decode_threads", "on_error", "dtype", "transform", "return_info", "channels", "batch_size",
            "jitter", "max_buffered_bytes", "metadata",
        }  # fmt: skip
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in free}


def check_framing(framing: object) -> None:
    """Raise `OptionError` if `framing` is not in `FRAMINGS`."""
    if framing not in FRAMINGS:
        raise OptionError(f"framing={framing!r}: use 'pad' (every sample once) or 'drop' (whole frames only)")


def check_dtype(dtype: object) -> None:
    """Raise `OptionError` if `dtype` is not in `DTYPES`."""
    if dtype not in DTYPES:
        raise OptionError(f"dtype={dtype!r}: use one of {', '.join(map(str, DTYPES))}")
