"""Read any part of a track, and fill frames with samples."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch

from flowmo_data.decoding.conditioning import write_channels, write_dtype
from flowmo_data.decoding.mpeg_window import decode_into, is_native, read_mpeg
from flowmo_data.decoding.resampling import read_resampled
from flowmo_data.decoding.soundfile_window import read_soundfile
from flowmo_data.decoding.window import Window, num_lost
from flowmo_data.runtime.batch_memory import item_bits
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
    length = frame.shape[1]
    filled = min(max(-start, 0), length)
    item_bits(frame[:, :filled])[:] = 0
    num_valid = lost = 0
    for part, begin, end in timeline.windows(start, start + length):
        lost += _fill(part, begin, end, frame[:, filled : filled + end - begin], decoder)
        filled += end - begin
        num_valid += end - begin
    item_bits(frame[:, filled:])[:] = 0
    return Filled(num_valid, lost)


def _fill(part: Part, start: int, stop: int, out: torch.Tensor, decoder: str) -> int:
    """Fill a piece of a frame with the samples `[start, stop)` of a part; return how many are lost."""
    if is_native(part, decoder):
        return num_lost(decode_into(part, start, stop, out))
    window = read_window(part, start, stop, decoder)
    if out.dtype == torch.float32:
        write_channels(window.samples, out.numpy())
    else:
        samples = scratch(*out.shape, name="frame")
        write_channels(window.samples, samples)
        write_dtype(samples, out)
    return num_lost(window.lost)
