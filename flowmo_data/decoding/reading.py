"""Read any part of a track, and fill frames with samples."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from flowmo_data.decoding.conditioning import write_channels, write_dtype
from flowmo_data.decoding.mpeg_window import read_mpeg
from flowmo_data.decoding.resampling import read_resampled
from flowmo_data.decoding.soundfile_window import read_soundfile
from flowmo_data.decoding.window import Window
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks import MpegPart, Part, ResampledPart, SoundFilePart, Timeline


class Filled(NamedTuple):
    """The result of filling a frame."""

    num_valid: int
    """samples that are not padding"""
    num_lost: int
    """samples of these that are silent because they could not be decoded"""


def read_window(part: Part, start: int, stop: int, decoder: str) -> Window:
    """Read a window of a part.

    Args:
        part: the part.
        start: first sample, from 0 on.
        stop: one past the last sample, at most the part's `num_samples`.
        decoder: name of an installed decoder, for MPEG audio.

    Raises:
        AudioFileError: the file cannot be read any more, or is another than was opened.
    """
    match part:
        case MpegPart():
            return read_mpeg(part, start, stop, decoder)
        case SoundFilePart():
            return read_soundfile(part, start, stop)
        case ResampledPart():
            return read_resampled(part, start, stop, partial(read_window, decoder=decoder))
    raise TypeError(f"{type(part).__name__}: no function here reads such a part")


def fill_frame(timeline: Timeline, start: int, frame: torch.Tensor, decoder: str) -> Filled:
    """Fill a frame with the samples from `start` on, and with zeros outside of the timeline.

    Args:
        timeline: the file.
        start: index of the frame's first sample; negative if the frame begins with padding.
        frame: of the shape `(1 or 2, samples_per_frame)` and one of the dtypes that the dataset's options know.
        decoder: name of an installed decoder, for MPEG audio.

    Raises:
        AudioFileError: the file cannot be read any more.
    """
    if frame.dtype == torch.float32:
        return _fill(timeline, start, frame.numpy(), decoder)
    samples = scratch(*frame.shape, name="frame")
    filled = _fill(timeline, start, samples, decoder)
    write_dtype(samples, frame)
    return filled


def _fill(timeline: Timeline, start: int, frame: npt.NDArray[np.float32], decoder: str) -> Filled:
    filled = min(max(-start, 0), frame.shape[1])
    frame[:, :filled] = 0
    num_valid = num_lost = 0
    for part, begin, end in timeline.windows(start, start + frame.shape[1]):
        window = read_window(part, begin, end, decoder)
        write_channels(window.samples, frame[:, filled : filled + end - begin])
        filled += end - begin
        num_valid += end - begin
        num_lost += window.num_lost
    frame[:, filled:] = 0
    return Filled(num_valid, num_lost)
