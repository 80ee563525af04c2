"""A window of a file in one of libsndfile's formats, read through a handle that is opened for the window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.decoding.window import Stretch, Window, within
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks.soundfile_part import SoundFilePart, read_or_zero

_BLOCK = 4_096
"""samples read at a time around damage: a block that cannot be read is lost whole"""


def read_soundfile(part: SoundFilePart, start: int, stop: int) -> Window:
    """Read the samples `[start, stop)` of a part: see `reading.read_window`."""
    silent: list[Stretch] = []
    try:
        out = _read_at(part, start, stop)
        if len(out) < stop - start:  # damage inside
            out, silent = _read_in_blocks(part, start, stop)
    except soundfile.LibsndfileError as error:
        part.source.check_unchanged()
        raise AudioFileError.of(part.source.path, f"it cannot be opened any more: {error.error_string}") from error
    part.source.check_unchanged()
    return Window(out, within(silent, stop - start)).finite()


def _read_in_blocks(part: SoundFilePart, start: int, stop: int) -> tuple[npt.NDArray[np.float32], list[Stretch]]:
    """Read as much as can be read, with silence for the rest; return the samples, and their silent stretches."""
    out, silent = scratch(stop - start, part.channels, name="in blocks"), []
    for first in range(0, len(out), _BLOCK):
        block = out[first : first + _BLOCK]
        samples = _read_at(part, start + first, start + first + len(block))
        num_read = len(samples)
        block[:num_read], block[num_read:] = samples, 0
        if num_read < len(block):
            silent.append((first + num_read, first + len(block)))
            if not part.last_seek:  # nothing behind the damage can be reached
                silent.append((first + len(block), len(out)))
                out[first + len(block) :] = 0
                break
    return out, silent


def _read_at(part: SoundFilePart, start: int, stop: int) -> npt.NDArray[np.float32]:
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
        return out[start - begin : max(read_or_zero(opened, out), start - begin)]
