"""A window of a file in one of libsndfile's formats, read through a handle that is opened for the window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.decoding.flac_frames import read_frames
from flowmo_data.decoding.window import Stretch, Window, within
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks.soundfile_part import SoundFilePart, read_or_zero, read_what_comes

_BLOCK = 4_096
"""samples read at a time around damage"""


def read_soundfile(part: SoundFilePart, start: int, stop: int) -> Window:
    """Read the samples `[start, stop)` of a part: see `reading.read_window`."""
    silent: list[Stretch] = []
    try:
        out = _read_at(part, start, stop) if part.last_seek >= 0 else scratch(0, part.channels)
        if len(out) < stop - start:  # damage inside
            by_frames = part.format.startswith("FLAC/")
            out, silent = (read_frames if by_frames else _read_in_blocks)(part, start, stop)
    except soundfile.LibsndfileError as error:
        part.source.check_unchanged()
        raise AudioFileError.of(part.source.path, f"it cannot be opened any more: {error.error_string}") from error
    part.source.check_unchanged()
    return Window(out, within(silent, stop - start)).finite()


def _read_in_blocks(part: SoundFilePart, start: int, stop: int) -> tuple[npt.NDArray[np.float32], list[Stretch]]:
    """Read as much as can be read, with silence for the rest; return the samples, and their silent stretches.

    Blocks are the same for all windows, and so are the samples that are lost.
    """
    out, silent = scratch(stop - start, part.channels, name="in blocks"), []
    for first in range(start - start % _BLOCK, stop, _BLOCK):
        last = min(first + _BLOCK, part.num_samples)
        samples = _read_at(part, first, last, is_damaged=True)
        end = first + len(samples)
        out[max(first - start, 0) : max(end - start, 0)] = samples[max(start - first, 0) : max(stop - first, 0)]
        if end < last:
            if not part.last_seek:  # nothing behind the damage can be reached
                last = stop
            out[max(end - start, 0) : max(last - start, 0)] = 0
            silent.append((end - start, last - start))
            if last == stop:
                break
    return out, silent


def _read_at(part: SoundFilePart, start: int, stop: int, *, is_damaged: bool = False) -> npt.NDArray[np.float32]:
    """Open, seek and read the samples `[start, stop)`; return fewer if libsndfile gives fewer.

    A handle that has met damage is not used again. Without a seek, the samples in front are read, in small pieces.
    """
    begin = max(min(start - part.lead, part.last_seek), 0)
    place = begin + (part.excerpt.first_sample if part.excerpt else 0)
    with part.open() as opened:
        if place:
            try:
                opened.seek(place)
            except soundfile.LibsndfileError:
                return scratch(0, part.channels)
        while not opened.seekable() and start - begin > _BLOCK:
            num_read = read_or_zero(opened, scratch(_BLOCK, part.channels))
            if not num_read:
                return scratch(0, part.channels)
            begin += num_read
        out = scratch(stop - begin, part.channels)
        num_read = read_what_comes(opened, out) if is_damaged else read_or_zero(opened, out)
        return out[start - begin : max(num_read, start - begin)]
