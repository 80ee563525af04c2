"""A file, closed, and the one place where its bytes are read."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flowmo_data.errors import AudioFileError, FlowmoDataError, shown
from flowmo_data.runtime.resources import SHORT_OF, out_of

_SECOND_NS = 1_000_000_000


def file_error(path: str, error: OSError) -> FlowmoDataError:
    """What an error at a file means: that this file is bad, or that no file could be opened now.

    A file is skipped for the former. The latter would skip one good file after the other.
    """
    if error.errno in SHORT_OF:
        return out_of(shown(path), error)
    return AudioFileError.of(path, error.strerror or str(error))


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another."""

    size: int
    """bytes"""
    mtime_ns: int
    """time of the last change, nanoseconds since 1970"""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, closed. It is opened for every read, so that nothing is held between reads and nothing crosses a fork."""

    path: str
    """absolute"""
    stamp: Stamp
    """the file's state when it was first looked at; a read finds the same or raises"""
    indexed: bool = False
    """whether that was when it was indexed, and not just now"""

    @classmethod
    def at(cls, path: str) -> Source:
        """The file at `path` as it is now.

        Raises:
            AudioFileError: it cannot be looked at.
        """
        try:
            status = os.stat(path)
        except OSError as error:
            raise file_error(path, error) from error
        return cls(path, Stamp(status.st_size, status.st_mtime_ns))

    def read(self, start: int, stop: int) -> bytes:
        """The bytes `[start, stop)`; fewer where the file ends before `stop`.

        Raises:
            AudioFileError: the file cannot be read, or is not what it was when it was first looked at.
            ResourceError: no file could be opened.
        """
        descriptor = self.open()
        try:
            data = _read_all(descriptor, start, min(stop, self.stamp.size))
            status = os.fstat(descriptor)  # after: a change while it was read shows too
        except OSError as error:
            raise file_error(self.path, error) from error
        finally:
            os.close(descriptor)
        self.check(Stamp(status.st_size, status.st_mtime_ns))
        if len(data) < min(stop, self.stamp.size) - start:
            raise AudioFileError.of(self.path, f"cannot be read past byte {start + len(data)}")
        return data

    def open(self) -> int:
        """A descriptor of the file, for the caller to close.

        Raises:
            AudioFileError: it cannot be opened.
            ResourceError: no file could be opened.
        """
        try:
            return os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise file_error(self.path, error) from error

    def check_unchanged(self) -> None:
        """Raise `AudioFileError` if the file is gone, or its state is not what it was."""
        self.check(Source.at(self.path).stamp)

    def _is_same(self, stamp: Stamp) -> bool:
        if stamp == self.stamp or not self.indexed:
            return stamp == self.stamp
        times = stamp.mtime_ns, self.stamp.mtime_ns
        whole_seconds = any(time % _SECOND_NS == 0 for time in times)  # tar keeps no more of it
        return stamp.size == self.stamp.size and whole_seconds and len({time // _SECOND_NS for time in times}) == 1

    def check(self, stamp: Stamp) -> None:
        """Raise `AudioFileError` if the file's state is not what it was when it was first looked at."""
        if not self._is_same(stamp):
            now = f"{stamp.size} bytes" if stamp.size != self.stamp.size else "the same size"
            when, advice = "while it was in use", "leave files alone while they are streamed"
            if self.indexed:
                when, advice = "since it was indexed", "run flowmo-data index again"
            raise AudioFileError.of(self.path, f"changed {when} ({self.stamp.size} bytes before, {now} now); {advice}")


def _read_all(descriptor: int, start: int, stop: int) -> bytes:
    """The bytes `[start, stop)`: `pread` may give fewer than are there, and does past 2 GB."""
    data = os.pread(descriptor, max(stop - start, 0), start)
    while start + len(data) < stop and (more := os.pread(descriptor, stop - start - len(data), start + len(data))):
        data += more
    return data
