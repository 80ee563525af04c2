"""A closed file, and the only place that reads its bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flowmo_data.errors import AudioFileError, FlowmoDataError, shown
from flowmo_data.runtime.resources import SHORT_OF, out_of

_SECOND_NS = 1_000_000_000


def file_error(path: str, error: OSError) -> FlowmoDataError:
    """Return the error for an OSError at a file: this file is bad, or no file can be opened now.

    A bad file is skipped. If no file can be opened, skipping would lose one good file after the other.
    """
    if error.errno in SHORT_OF:
        return out_of(shown(path), error)
    return AudioFileError.of(path, error.strerror or str(error))


@dataclass(frozen=True, slots=True)
class Stamp:
    """The state of a file, to notice a change."""

    size: int
    """bytes"""
    mtime_ns: int
    """time of the last change, nanoseconds since 1970"""


@dataclass(frozen=True, slots=True)
class Source:
    """A closed file. It is opened for every read, so no descriptor is held between reads or crosses a fork."""

    path: str
    """absolute path"""
    stamp: Stamp
    """the file's state at first sight; a read finds the same state or raises"""
    indexed: bool = False
    """True if the file was first seen when it was indexed, and not just now"""

    @classmethod
    def at(cls, path: str) -> Source:
        """Return the file at `path` in its current state.

        Raises:
            AudioFileError: its state cannot be read.
        """
        try:
            status = os.stat(path)
        except OSError as error:
            raise file_error(path, error) from error
        return cls(path, Stamp(status.st_size, status.st_mtime_ns))

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`; fewer if the file ends before `stop`.

        Raises:
            AudioFileError: the file cannot be read, or has changed since it was first seen.
            ResourceError: no file can be opened.
        """
        descriptor = self.open()
        try:
            data = _read_all(descriptor, start, min(stop, self.stamp.size))
            status = os.fstat(descriptor)  # after the read, to notice a change during it
        except OSError as error:
            raise file_error(self.path, error) from error
        finally:
            os.close(descriptor)
        self.check(Stamp(status.st_size, status.st_mtime_ns))
        if len(data) < min(stop, self.stamp.size) - start:
            raise AudioFileError.of(self.path, f"cannot be read past byte {start + len(data)}")
        return data

    def open(self) -> int:
        """Return a descriptor of the file, for the caller to close.

        Raises:
            AudioFileError: the file cannot be opened.
            ResourceError: no file can be opened.
        """
        try:
            return os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise file_error(self.path, error) from error

    def check_unchanged(self) -> None:
        """Raise `AudioFileError` if the file is gone or has changed."""
        self.check(Source.at(self.path).stamp)

    def _is_same(self, stamp: Stamp) -> bool:
        if stamp == self.stamp or not self.indexed:
            return stamp == self.stamp
        times = stamp.mtime_ns, self.stamp.mtime_ns
        whole_seconds = any(time % _SECOND_NS == 0 for time in times)  # tar keeps whole seconds only
        return stamp.size == self.stamp.size and whole_seconds and len({time // _SECOND_NS for time in times}) == 1

    def check(self, stamp: Stamp) -> None:
        """Raise `AudioFileError` if `stamp` is not the file's state at first sight."""
        if not self._is_same(stamp):
            now = f"{stamp.size} bytes" if stamp.size != self.stamp.size else "the same size"
            when, advice = "while it was in use", "do not change files while they are streamed"
            if self.indexed:
                when, advice = "since it was indexed", "run flowmo-data index again"
            raise AudioFileError.of(self.path, f"changed {when} ({self.stamp.size} bytes before, {now} now); {advice}")


def _read_all(descriptor: int, start: int, stop: int) -> bytes:
    """Return the bytes `[start, stop)`. One `pread` may give fewer than the file has, and does past 2 GB."""
    data = os.pread(descriptor, max(stop - start, 0), start)
    while start + len(data) < stop and (more := os.pread(descriptor, stop - start - len(data), start + len(data))):
        data += more
    return data
