"""A closed local file, and the only place that opens and reads local files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b

from flowmo_data.errors import AudioFileError, FlowmoDataError, shown
from flowmo_data.runtime.resources import SHORT_OF, out_of
from flowmo_data.sources.source import Stamp, changed

_SAMPLE_BYTES = 4_096
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | getattr(os, "O_CLOEXEC", 0)
"""without O_NONBLOCK, opening a pipe would wait for a writer; for files, it has no effect"""

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def file_error(path: str, error: OSError) -> FlowmoDataError:
    """Return the error for an OSError at a file: this file is bad, or no file can be opened now.

    A bad file is skipped. If no file can be opened, skipping would lose one good file after the other.
    """
    if error.errno in SHORT_OF:
        return out_of(shown(path), error)
    return AudioFileError.of(path, error.strerror or str(error))


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A closed file: a `Source`. It is opened for every read, so no descriptor is held between reads, or forked."""

    path: str
    """absolute path"""
    stamp: Stamp
    """the file's state at first sight; a read finds the same state or raises"""
    indexed: bool = False
    """True if the file was first seen when it was indexed, and not just now"""

    @classmethod
    def at(cls, path: str) -> LocalFile:
        """Return the file at `path` in its current state.

        Raises:
            AudioFileError: its state cannot be read.
        """
        with closing_after(open_file(path), path) as descriptor:
            status = os.fstat(descriptor)
            return cls(path, Stamp(status.st_size, status.st_mtime_ns, digest_of(descriptor, status.st_size)))

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`; fewer if the file ends before `stop`.

        Raises:
            AudioFileError: the file cannot be read, or has changed since it was first seen.
            ResourceError: no file can be opened.
        """
        return read_checked(self.open(), self.path, start, min(stop, self.stamp.size), self._check)

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """See `Source.fetch`. Nothing is gained for a local file."""

    def open(self) -> int:
        """Return a descriptor of the file, for the caller to close.

        Raises:
            AudioFileError: the file cannot be opened.
            ResourceError: no file can be opened.
        """
        return open_file(self.path)

    def check_unchanged(self) -> None:
        """Raise `AudioFileError` if the file is gone or has changed."""
        with closing_after(self.open(), self.path) as descriptor:
            self._check(descriptor)

    def _check(self, descriptor: int) -> None:
        """Raise `AudioFileError` if an open file is not in the state of first sight."""
        status = os.fstat(descriptor)
        is_as_long = status.st_size == self.stamp.size
        if is_as_long and status.st_mtime_ns == self.stamp.mtime_ns:
            return
        if is_as_long and digest_of(descriptor, status.st_size) == self.stamp.digest:
            return
        now = Stamp(status.st_size, status.st_mtime_ns, 0)
        raise changed(self.path, self.stamp, now, indexed=self.indexed)


def open_file(path: str) -> int:
    """Return a descriptor of the file at `path`, for the caller to close. It never waits, not even for a pipe."""
    try:
        descriptor = os.open(path, _FLAGS)
        mode = os.fstat(descriptor).st_mode
    except OSError as error:
        raise file_error(path, error) from error
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise AudioFileError.of(path, f"it is {_KINDS.get(stat.S_IFMT(mode), 'no file')}, not a file with audio")
    return descriptor


@contextmanager
def closing_after(descriptor: int, path: str) -> Iterator[int]:
    """Close a descriptor after the block, and raise its `OSError` as the error for the file at `path`."""
    try:
        yield descriptor
    except OSError as error:
        raise file_error(path, error) from error
    finally:
        os.close(descriptor)


def read_checked(
    descriptor: int, path: str, start: int, stop: int, check: Callable[[int], None], offset: int = 0
) -> bytes:
    """Return the bytes `[start, stop)` of a file, and close it.

    Args:
        descriptor: the file.
        path: its path, for errors.
        start: first byte.
        stop: one past the last byte.
        check: raises if the open file has changed.
        offset: byte at which byte 0 is.

    Raises:
        AudioFileError: it cannot be read, or not so far, or has changed.
    """
    with closing_after(descriptor, path):
        data = read_range(descriptor, offset + start, offset + stop)
        check(descriptor)  # after the read, to notice a change during it
    if len(data) < stop - start:
        raise AudioFileError.of(path, f"cannot be read past byte {start + len(data)}")
    return data


def digest_of(descriptor: int, size: int, offset: int = 0) -> int:
    """Return a hash of the first, middle and last of `size` bytes: 64 bits, signed, for a column of an index."""
    digest = blake2b(digest_size=8)
    for start in sorted({0, max(size - _SAMPLE_BYTES, 0) // 2, max(size - _SAMPLE_BYTES, 0)}):
        digest.update(read_range(descriptor, offset + start, offset + min(start + _SAMPLE_BYTES, size)))
    return int.from_bytes(digest.digest(), "big", signed=True)


def read_range(descriptor: int, start: int, stop: int) -> bytes:
    """Return the bytes `[start, stop)`. One `pread` may give fewer than the file has, and does past 2 GB."""
    data = os.pread(descriptor, max(stop - start, 0), start)
    while start + len(data) < stop and (more := os.pread(descriptor, stop - start - len(data), start + len(data))):
        data += more
    return data
