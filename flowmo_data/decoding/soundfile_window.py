"""A window of a file in one of libsndfile's formats, read through a handle that is opened for the window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.decoding.window import Stretch, Window, within
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.scratch import scratch
from flowmo_data.sources import Source
from flowmo_data.tracks.soundfile_part import SoundFilePart, read_or_zero

_BLOCK = 4_096
"""samples read at a time around damage: a block that cannot be read is lost whole"""


def read_soundfile(part: SoundFilePart, start: int, stop: int) -> Window:
    """Read the samples `[start, stop)` of a part: see `reading.read_window`."""
    begin = max(min(start - part.lead, part.last_seek), 0)
    out, skipped = scratch(stop - begin, part.channels), start - begin
    silent: list[Stretch] = []
    try:
        if _read_at(part.source, begin, out) < len(out):  # damage inside
            silent = _read_in_blocks(part.source, begin, out)
    except soundfile.LibsndfileError as error:
        part.source.check_unchanged()
        raise AudioFileError.of(part.source.path, f"it cannot be opened any more: {error.error_string}") from error
    part.source.check_unchanged()
    lost = within(((first - skipped, end - skipped) for first, end in silent), stop - start)
    return Window(out[skipped:], lost).finite()


def _read_in_blocks(source: Source, begin: int, out: npt.NDArray[np.float32]) -> list[Stretch]:
    """Read as much as can be read, with silence for the rest; return the silent stretches of `out`."""
    silent = []
    for first in range(0, len(out), _BLOCK):
        block = out[first : first + _BLOCK]
        num_read = _read_at(source, begin + first, block)
        block[num_read:] = 0
        if num_read < len(block):
            silent.append((first + num_read, first + len(block)))
    return silent


def _read_at(source: Source, begin: int, out: npt.NDArray[np.float32]) -> int:
    """Open, seek and read; return the number of samples read. A handle that has met damage is not used again."""
    with soundfile.SoundFile(source.open()) as opened:
        try:
            opened.seek(begin)
        except soundfile.LibsndfileError:
            return 0
        return read_or_zero(opened, out)
