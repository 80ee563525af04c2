"""The headers of a tar: its members, where their bytes lie, and what is damaged. The bytes of members are not read.

    header  a.mp3 ......  header  a.json .  header  b.mp3 ....  zeros
            offset, size          ...

The standard library reads the headers: ustar, GNU long names, pax. Behind damage, the next header is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from tarfile import BLOCKSIZE, RECORDSIZE, TarError, TarFile, TarInfo
from typing import IO, NamedTuple, cast

from flowmo_data.errors import shown
from flowmo_data.sources.folders import compressed
from flowmo_data.sources.member_paths import can_be_named, plain_name

_KEPT = 1_000
"""headers that one `TarFile` reads: it keeps all of them"""
_READ_BYTES = 8_192
"""bytes that are read at a time"""
_SEARCHED_BYTES = 1 << 20
"""bytes that are searched for a header at a time"""
_LONGEST_HEADER = 1 << 24
"""bytes; a header that states more is damaged"""
_MAGIC, _MAGIC_OFFSET = b"ustar", 257
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""first bytes of compressed files"""

Read = Callable[[int, int], bytes]
"""a function that returns the bytes `[start, stop)`"""


class Member(NamedTuple):
    """A file in a tar, all bytes of which are there."""

    name: str
    """its name, as `plain_name` returns it"""
    offset: int
    """its first byte in the tar"""
    size: int
    """bytes"""


class Problem(NamedTuple):
    """What is not read of a tar."""

    name: str
    """the member's name; empty if it is about the tar"""
    reason: str


class NotATarError(Exception):
    """A file that does not begin as a tar does. The message is the reason."""


def members_of(read: Read, size: int, report: Callable[[Problem], None]) -> Iterator[Member]:
    """Yield the files in a tar, in its order; headers are read as they are needed.

    Args:
        read: reads bytes of the tar, `[start, stop)`.
        size: bytes of the tar.
        report: is called with each problem.

    Raises:
        NotATarError: it is not a tar, or a compressed one.
        AudioFileError: it cannot be read.
    """
    _check_start(read, size)
    start = 0
    while start < size:
        headers = _Headers(read, size, start)
        for info in headers:
            yield from _whole(info, size, report)
        place = headers.stop
        block = read(place, min(place + BLOCKSIZE, size)) if place < size else b""
        if headers.is_cut_off:
            return
        is_ended = bool(block) and not any(block)
        following = _next_header(read, place, size)
        lost = (size if following is None else following) - place
        if not is_ended and block:
            report(Problem("", f"{lost} bytes from byte {place} on are not read: there is no header of a member"))
        elif is_ended and following is None and lost > 2 * RECORDSIZE and _has_data(read, place, size):
            report(Problem("", f"{lost} bytes from byte {place} on, behind the mark of its end, are not read"))
        elif not block:
            report(Problem("", "it has no mark of its end: it may be cut off, and members may be missing"))
        start = size if following is None else following


def _whole(info: TarInfo, size: int, report: Callable[[Problem], None]) -> Iterator[Member]:
    """Yield a member if it is a file that can be read."""
    name = plain_name(info.name)
    there = size - info.offset_data
    if info.issparse():
        report(Problem(name, "it is stored as a sparse file, which is not read; write the tar without --sparse"))
    elif info.islnk() or info.issym():
        report(Problem(name, f"it is a link in the tar, to {shown(info.linkname)}, which is read under its own name"))
    elif not info.isreg():
        return
    elif info.size > there:
        of_it = f"{max(there, 0)} of its {info.size} bytes are there"
        report(Problem("", f"it is cut off inside the member {shown(name)}: {of_it}"))
    elif not can_be_named(name):
        report(Problem(name, "its name has '::' in it, which separates the parts of a URL; rename it"))
    else:
        yield Member(name, info.offset_data, info.size)


def _check_start(read: Read, size: int) -> None:
    head = read(0, min(BLOCKSIZE, size))
    for start, name in _COMPRESSIONS.items():
        if head.startswith(start):
            raise NotATarError(compressed(name))
    if len(head) < BLOCKSIZE:
        raise NotATarError(f"it has {size} bytes, and a tar has at least {BLOCKSIZE}; is it complete?")
    try:
        if any(head):
            TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except TarError as error:
        raise NotATarError(f"it does not begin with the header of a tar ({error}); is it one?") from error


class _Headers:
    """The headers from a place on, up to the end or to damage."""

    def __init__(self, read: Read, size: int, start: int) -> None:
        self._file, self._size = _HeaderFile(read, size), size
        self.stop = start
        """one past the last member that was found, in whole blocks"""
        self.is_cut_off = False
        """whether the last member goes past the end of the file"""

    def __iter__(self) -> Iterator[TarInfo]:
        num_found = _KEPT
        try:
            while num_found == _KEPT and self.stop < self._size:
                self._file.seek(self.stop)
                tar = TarFile(fileobj=cast("IO[bytes]", self._file), encoding="utf-8", errors="surrogateescape")
                num_found = 0
                for info in islice(iter(tar.next, None), _KEPT):
                    if info.size < 0 or tar.offset <= self.stop:
                        return
                    self.is_cut_off = info.isreg() and info.offset_data + info.size > self._size
                    self.stop, num_found = tar.offset, num_found + 1
                    yield info
        except (TarError, ValueError, OverflowError, RecursionError, MemoryError):
            return


class _HeaderFile:
    """A file for `tarfile`, from which only headers are read."""

    def __init__(self, read: Read, size: int) -> None:
        self._read, self._size, self._place = read, size, 0
        self._begin, self._data = 0, b""

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> int:
        if place < 0:
            raise ValueError("a place before the start of the file")
        self._place = place
        return place

    def read(self, count: int) -> bytes:
        if not 0 <= count <= _LONGEST_HEADER:
            raise ValueError(f"a header of {count} bytes")
        start, stop = self._place, min(self._place + count, self._size)
        if start >= stop:
            return b""
        if not self._begin <= start <= stop <= self._begin + len(self._data):
            self._begin, self._data = start, self._read(start, min(max(stop, start + _READ_BYTES), self._size))
        self._place = stop
        return self._data[start - self._begin : stop - self._begin]


def _next_header(read: Read, start: int, size: int) -> int | None:
    """Return the place of the next header, a whole number of blocks behind a place; None if there is none."""
    for begin in range(start, size, _SEARCHED_BYTES):
        data = read(begin, min(begin + _SEARCHED_BYTES, size))
        found = data.find(_MAGIC)
        while found >= 0:
            place = found - _MAGIC_OFFSET
            if place >= 0 and place % BLOCKSIZE == 0 and begin + place > start and _is_header(data[place:]):
                return begin + place
            found = data.find(_MAGIC, found + 1)
    return None


def _is_header(data: bytes) -> bool:
    try:
        TarInfo.frombuf(data[:BLOCKSIZE], "utf-8", "surrogateescape")
    except TarError:
        return False
    return True


def _has_data(read: Read, start: int, size: int) -> bool:
    """Return whether there is anything but zeros."""
    return any(any(read(begin, min(begin + _SEARCHED_BYTES, size))) for begin in range(start, size, _SEARCHED_BYTES))
