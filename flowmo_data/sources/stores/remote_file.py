"""An object in a store, or a member of a tar there, and its bytes that are held in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from flowmo_data.errors import AudioFileError
from flowmo_data.sources.source import OpenedSource, Stamp, changed
from flowmo_data.sources.stores.store import Store

_LEAST_BYTES = 1 << 16
"""a shorter read gets so many bytes, because the next one is often of the bytes behind it"""


class ObjectBytes(Protocol):
    """Where the bytes and the state of an object come from: a `Store`, or a member's place in a tar."""

    def read(self, url: str, start: int, stop: int) -> tuple[bytes, int | None]:
        """See `Store.read`."""

    def stamp(self, url: str, *, patient: bool = True) -> Stamp:
        """See `Store.stamp`."""


class Held:
    """Bytes of an object that are in memory."""

    def __init__(self) -> None:
        self.pieces: tuple[tuple[int, bytes], ...] = ()
        """pieces that were fetched ahead: their first byte, and the bytes"""
        self.last: tuple[int, bytes] = (0, b"")
        """the piece that a short read got last"""
        self.failure: AudioFileError | None = None
        """the reason why bytes could not be fetched ahead"""

    @property
    def num_bytes(self) -> int:
        """Bytes that were fetched ahead."""
        return sum(len(data) for _, data in self.pieces)

    def find(self, start: int, stop: int) -> bytes | None:
        """Return the bytes `[start, stop)` if they are held."""
        for begin, data in (*self.pieces, self.last):
            if begin <= start and stop <= begin + len(data):
                return data[start - begin : stop - begin]
        return None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An object in a store, or a member of a tar there: a `Source`."""

    path: str
    """URL"""
    stamp: Stamp
    """see `Source.stamp`"""
    store: ObjectBytes = field(repr=False, compare=False)
    indexed: bool = False
    """True if the object was first seen when it was indexed, and not just now"""
    held: Held = field(default_factory=Held, repr=False, compare=False)
    """bytes in memory, as long as the object's spans are"""

    @classmethod
    def at(cls, url: str, store: Store) -> RemoteFile:
        """Return the object at `url` in its current state.

        Raises:
            AudioFileError: its state cannot be read.
        """
        return cls(url, store.stamp(url), store)

    def read(self, start: int, stop: int) -> bytes:
        """See `Source.read`. Bytes that are not held come in one request."""
        stop = min(stop, self.stamp.size)
        if start >= stop:
            return b""
        data = self.held.find(start, stop)
        if data is not None:
            return data
        if self.held.failure is not None:
            raise AudioFileError.of(self.path, self.held.failure.reason)
        data = self._get([(start, min(max(stop, start + _LEAST_BYTES), self.stamp.size))])[0][1]
        if len(data) > stop - start:
            self.held.last = start, data
        return data[: stop - start]

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """See `Source.fetch`."""
        try:
            self.held.pieces = tuple(self._get(ranges))
        except AudioFileError as error:
            self.held.failure = error

    def _get(self, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, bytes]]:
        """Return ranges of bytes, each with its first byte, of the object that was seen first.

        Raises:
            AudioFileError: they cannot be read, or the object has changed.
        """
        pieces, seen = [], True
        try:
            for start, stop in ranges:
                if start == stop:
                    continue
                data, digest = self.store.read(self.path, start, stop)
                if digest is not None and digest != self.stamp.digest:
                    self._check()
                seen = seen and digest is not None
                pieces.append((start, data))
        except AudioFileError:
            self._check(patient=False)  # a change explains the failure best
            raise
        if not seen:
            self._check()  # after the reads, to notice a change during them
        return pieces

    def open(self) -> OpenedSource:
        """See `Source.open`."""
        return OpenedSource(self.read)

    def check_unchanged(self) -> None:
        """See `Source.check_unchanged`. Every read has checked it."""

    def _check(self, *, patient: bool = True) -> None:
        """Raise `AudioFileError` if the object is not in the state of first sight."""
        now = self.store.stamp(self.path, patient=patient)
        if (now.size, now.digest) != (self.stamp.size, self.stamp.digest):
            raise changed(self.path, self.stamp, now, indexed=self.indexed)
