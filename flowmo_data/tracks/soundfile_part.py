"""A file in one of libsndfile's formats, or a stretch of it, as a part of a track."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.sources import OpenedSource, Source
from flowmo_data.tracks.excerpt import Excerpt


@dataclass(frozen=True, slots=True)
class SoundFilePart:
    """A file in one of libsndfile's formats, or a stretch of it: a `Part`."""

    source: Source
    sample_rate: int
    """sample rate, Hz"""
    channels: int
    """channels as stored"""
    num_samples: int
    """samples per channel"""
    format: str
    """container and codec, as libsndfile calls them"""
    lead: int = 0
    """samples before a window at which reading starts, so that the decoder has the same state as in the whole file"""
    last_seek: int = 1 << 62
    """sample past which a seek is inaccurate; 0 if every window is read from the part's start; negative for
    FLAC if every window is read frame by frame"""
    excerpt: Excerpt | None = None
    """bytes that libsndfile gets; None for the file as it is"""

    @contextmanager
    def open(self) -> Iterator[soundfile.SoundFile]:
        """Open the part for libsndfile.

        Raises:
            AudioFileError: the file cannot be opened.
            soundfile.LibsndfileError: libsndfile cannot open it.
        """
        with open_excerpt(self.source, self.excerpt) as opened:
            yield opened


@contextmanager
def open_excerpt(source: Source, excerpt: Excerpt | None) -> Iterator[soundfile.SoundFile]:
    """Open a file, or an excerpt of it. Raises as `SoundFilePart.open`."""
    file = source.open()
    if isinstance(file, OpenedSource):
        whole = Excerpt(b"", 0, source.stamp.size)
        try:
            with soundfile.SoundFile((excerpt or whole).file(file.pread)) as opened:
                yield opened
        finally:
            file.close()
            if file.failure is not None:
                raise file.failure
        return
    if excerpt is None:
        with soundfile.SoundFile(file) as opened:  # closes the descriptor
            yield opened
        return
    try:
        with soundfile.SoundFile(excerpt.file(partial(os.pread, file))) as opened:
            yield opened
    finally:
        os.close(file)


def read_or_zero(opened: soundfile.SoundFile, out: npt.NDArray[np.float32]) -> int:
    """Read the next samples into `out`; return their number, 0 if libsndfile refuses."""
    try:
        return int(opened.buffer_read_into(out, "float32"))
    except soundfile.LibsndfileError:
        return 0


def read_what_comes(opened: soundfile.SoundFile, out: npt.NDArray[np.float32]) -> int:
    """Read the next samples into `out`; return the number of samples that came before an error.

    After each read, soundfile seeks to the place behind it. It raises if damage is there, and the samples are good.
    """
    out.fill(np.nan)
    try:
        return int(opened.buffer_read_into(out, "float32"))
    except soundfile.LibsndfileError:
        missing = np.isnan(out).any(axis=1)
        return int(missing.argmax()) if missing.any() else len(out)
