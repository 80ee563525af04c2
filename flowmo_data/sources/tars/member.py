"""A member of a tar, read in place: a `Source` with its own bytes, and no copy of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flowmo_data.errors import AudioFileError
from flowmo_data.sources.local_file import closing_after, digest_of, file_error, open_file, read_checked, read_range
from flowmo_data.sources.source import OpenedSource, Stamp, changed
from flowmo_data.sources.stores.store import Store


@contextmanager
def errors_about(member: str) -> Iterator[None]:
    """Raise an error about a tar as one about a member of it."""
    try:
        yield
    except AudioFileError as error:
        raise AudioFileError.of(member, error.reason) from error


def _opened(tar: str, member: str) -> int:
    with errors_about(member):
        return open_file(tar)


@dataclass(frozen=True, slots=True)
class LocalMember:
    """A member of a local tar: a `Source`. The tar is opened for every read."""

    path: str
    """path of the member"""
    tar: str
    """absolute path of the tar"""
    offset: int
    """first byte in the tar"""
    stamp: Stamp
    """bytes and hash of the member, and time of the tar"""
    indexed: bool = False
    """True if it was first seen when it was indexed, and not just now"""

    @classmethod
    def at(cls, path: str, tar: str, offset: int, size: int) -> LocalMember:
        """Return a member in its current state.

        Raises:
            AudioFileError: its state cannot be read.
        """
        with closing_after(_opened(tar, path), path) as descriptor:
            time = os.fstat(descriptor).st_mtime_ns
            return cls(path, tar, offset, Stamp(size, time, digest_of(descriptor, size, offset)))

    def read(self, start: int, stop: int) -> bytes:
        """See `Source.read`."""
        descriptor = _opened(self.tar, self.path)
        return read_checked(descriptor, self.path, start, min(stop, self.stamp.size), self._check, self.offset)

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """See `Source.fetch`. Nothing is gained for a local file."""

    def open(self) -> OpenedSource:
        """See `Source.open`."""
        descriptor = _opened(self.tar, self.path)

        def read(start: int, stop: int) -> bytes:
            try:
                return read_range(descriptor, self.offset + start, self.offset + min(stop, self.stamp.size))
            except OSError as error:
                raise file_error(self.path, error) from error

        return OpenedSource(read, lambda: os.close(descriptor))

    def check_unchanged(self) -> None:
        """See `Source.check_unchanged`."""
        with closing_after(_opened(self.tar, self.path), self.path) as descriptor:
            self._check(descriptor)

    def _check(self, descriptor: int) -> None:
        """Raise `AudioFileError` if the member is not in the state of first sight. Others may have been added."""
        status, size = os.fstat(descriptor), self.stamp.size
        if status.st_mtime_ns != self.stamp.mtime_ns and digest_of(descriptor, size, self.offset) != self.stamp.digest:
            there = min(max(status.st_size - self.offset, 0), size)
            raise changed(self.path, self.stamp, Stamp(there, status.st_mtime_ns, 0), indexed=self.indexed)


@dataclass(frozen=True, slots=True)
class MemberStore:
    """The bytes of a member of a tar in a store, for a `RemoteFile`."""

    store: Store
    tar: str
    """URL of the tar"""
    offset: int
    """first byte in the tar"""
    size: int
    """bytes"""

    def read(self, url: str, start: int, stop: int) -> tuple[bytes, int | None]:
        """See `Store.read`."""
        with errors_about(url):
            return self.store.read(self.tar, self.offset + start, self.offset + stop)

    def stamp(self, url: str, *, patient: bool = True) -> Stamp:
        """See `Store.stamp`: the size is that of the member, and the rest is about the tar."""
        with errors_about(url):
            now = self.store.stamp(self.tar, patient=patient)
        return Stamp(self.size, now.mtime_ns, now.digest)
