"""A stretch of a file that is read as a file of its own, if need be behind a header other than the file's."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A header, and the bytes `[start, stop)` of a file behind it."""

    head: bytes
    """bytes that take the place of the file's own header; empty if the stretch has a header"""
    start: int
    """first byte of the file that is part of it"""
    stop: int
    """one past the last byte of the file that is part of it"""
    first_sample: int = 0
    """number that its first sample has for libsndfile: not 0 if it is cut out of a longer stream"""

    def file(self, pread: Callable[[int, int], bytes]) -> ExcerptFile:
        """Return the excerpt as a file object. `pread(count, offset)` reads bytes of the file, at most `count`."""
        return ExcerptFile(self, pread)


class ExcerptFile(io.RawIOBase):
    """An excerpt as a file object for libsndfile.

    libsndfile calls it from C, where an exception would be printed and lost. So bytes that cannot be read are the end
    of the file; whoever reads checks afterwards that the file has not changed.
    """

    def __init__(self, excerpt: Excerpt, pread: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._excerpt, self._pread, self._position = excerpt, pread, 0
        self._length = len(excerpt.head) + excerpt.stop - excerpt.start

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes of the excerpt."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to another position, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read the next bytes; return their number, 0 at the end."""
        out = memoryview(buffer).cast("B")
        excerpt, place = self._excerpt, self._position
        data = excerpt.head[place : place + len(out)]
        start = excerpt.start + max(place - len(excerpt.head), 0)
        wanted = min(len(out) - len(data), max(excerpt.stop - start, 0))
        while wanted:
            try:
                more = self._pread(wanted, start)
            except OSError:
                break
            if not more:
                break
            data, start, wanted = data + more, start + len(more), wanted - len(more)
        out[: len(data)] = data
        self._position += len(data)
        return len(data)
