"""A track as the dataset wants it: at one sample rate, and readable frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from flowmo_data.conditioning import ResampledPart, write_channels, write_dtype
from flowmo_data.errors import SampleRateError
from flowmo_data.parts import Part
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks import Track


class Filled(NamedTuple):
    """What a frame was filled with."""

    num_valid: int
    """samples that are not padding"""
    num_lost: int
    """samples of these that are silence, because what stands there cannot be decoded"""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A track's parts at one sample rate, one after the other.

        samples      0 ............. a ........... num_samples
        parts        [ parts[0]      )[ parts[1]             )
        a frame              [ .......|.... )

    A frame may lie across parts, and begin or end outside of all.
    """

    path: str
    """absolute"""
    parts: tuple[Part, ...]
    """all of the same sample rate"""

    @property
    def num_samples(self) -> int:
        """Samples per channel."""
        return sum(part.num_samples for part in self.parts)

    def read_into(self, start: int, frame: torch.Tensor) -> Filled:
        """Fill a frame with the samples from `start` on, and with zeros where the timeline has none.

        Args:
            start: index of the frame's first sample; negative where the frame begins with padding.
            frame: of the shape `(1 or 2, samples_per_frame)` and one of `conditioning.DTYPES`.

        Raises:
            AudioFileError: the file cannot be read any more.
        """
        if frame.dtype == torch.float32:
            return self._read_into(start, frame.numpy())
        samples = scratch(*frame.shape, name="frame")
        filled = self._read_into(start, samples)
        write_dtype(samples, frame)
        return filled

    def _read_into(self, start: int, frame: npt.NDArray[np.float32]) -> Filled:
        filled = min(max(-start, 0), frame.shape[1])
        frame[:, :filled] = 0
        num_valid = num_lost = 0
        for part, begin, end in self.windows(start, start + frame.shape[1]):
            window = part.read(begin, end)
            write_channels(window.samples, frame[:, filled : filled + end - begin])
            filled += end - begin
            num_valid += end - begin
            num_lost += window.num_lost
        frame[:, filled:] = 0
        return Filled(num_valid, num_lost)

    def windows(self, start: int, stop: int) -> Iterator[tuple[Part, int, int]]:
        """The parts that `[start, stop)` touches, each with the half-open range of its own samples."""
        offset = 0
        for part in self.parts:
            begin, end = max(start - offset, 0), min(stop - offset, part.num_samples)
            if begin < end:
                yield part, begin, end
            offset += part.num_samples


def at_sample_rate(track: Track, sr: int, *, on_other_rate: str) -> Timeline:
    """The track's timeline at `sr` Hz.

    Args:
        track: the track.
        sr: sample rate of the timeline, Hz.
        on_other_rate: what to do with a part at another rate: "resample", "skip" or "raise".

    Returns:
        The timeline, without the parts that are skipped.

    Raises:
        SampleRateError: a part has another rate and that is to be raised, or all are skipped.
    """
    if on_other_rate == "resample":
        parts = tuple(part if part.sample_rate == sr else ResampledPart(part, sr) for part in track.parts)
    else:
        parts = tuple(part for part in track.parts if part.sample_rate == sr)
    if not parts or (on_other_rate == "raise" and len(parts) < len(track.parts)):
        other = " and ".join(str(rate) for rate in sorted({part.sample_rate for part in track.parts} - {sr}))
        raise SampleRateError.of(
            track.path, f"its sample rate is {other} Hz and not sr={sr}; on_other_rate='resample' would convert it"
        )
    return Timeline(track.path, parts)
