"""Read any part of a track, and fill frames with samples."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from flowmo_data.decoding import native
from flowmo_data.decoding.conditioning import write_channels, write_dtype
from flowmo_data.decoding.container_window import read_container
from flowmo_data.decoding.mpeg_window import decode_into, is_native, read_mpeg
from flowmo_data.decoding.resampling import resample_into
from flowmo_data.decoding.soundfile_window import read_soundfile
from flowmo_data.decoding.window import Stretch, Window, num_lost
from flowmo_data.runtime.batch_memory import item_bits
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks import ContainerPart, CutPart, MpegPart, Part, ResampledPart, SoundFilePart, Timeline


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
        case ContainerPart():
            return read_container(part, start, stop)
        case CutPart():
            return read_window(part.part, part.start + start, part.start + stop, decoder)
        case ResampledPart():
            out = scratch(part.channels, stop - start, name="resampled")
            return Window(
                out.T, resample_into(part, start, stop, out, partial(read_window, part.part, decoder=decoder))
            )
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
    first = filled = min(max(-start, 0), length)
    lost = 0
    for part, begin, end in timeline.windows(start, start + length):
        stop = filled + end - begin
        piece = frame if end - begin == length else frame[:, filled:stop]
        lost += num_lost(_fill(part, begin, end, piece, decoder))
        filled = stop
    if first:
        item_bits(frame[:, :first])[:] = 0
    if filled < length:
        item_bits(frame[:, filled:])[:] = 0
    return Filled(filled - first, lost)


def _fill(part: Part, start: int, stop: int, out: torch.Tensor, decoder: str) -> tuple[Stretch, ...]:
    """Fill a piece of a frame with the samples `[start, stop)` of a part; return the lost stretches."""
    if isinstance(part, CutPart):
        return _fill(part.part, part.start + start, part.start + stop, out, decoder)
    if is_native(part, decoder):
        return decode_into(part, start, stop, out, streamed=native.is_streamed(out))
    if out.dtype == torch.float32:
        return _fill_floats(part, start, stop, out.numpy(), decoder)
    samples = scratch(*out.shape, name="frame")
    lost = _fill_floats(part, start, stop, samples, decoder)
    write_dtype(samples, out)
    return lost


def _fill_floats(part: Part, start: int, stop: int, out: npt.NDArray[np.float32], decoder: str) -> tuple[Stretch, ...]:
    if isinstance(part, CutPart):
        return _fill_floats(part.part, part.start + start, part.start + stop, out, decoder)
    if is_native(part, decoder):
        return decode_into(part, start, stop, out)
    if isinstance(part, ResampledPart):
        rows = out[: part.channels]  # mono is resampled once, and stereo after it is averaged
        lost = resample_into(part, start, stop, rows, partial(_read_rows, part.part, len(rows), decoder))
        out[len(rows) :] = rows[:1]
        return lost
    window = read_window(part, start, stop, decoder)
    write_channels(window.samples, out)
    return window.lost


def _read_rows(part: Part, num_rows: int, decoder: str, start: int, stop: int) -> Window:
    """Read a window of a part as mono or stereo."""
    out = scratch(num_rows, stop - start, name="rows")
    return Window(out.T, _fill_floats(part, start, stop, out, decoder))
