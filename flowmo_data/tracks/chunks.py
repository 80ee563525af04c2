"""Chunks, of which WAV, AIFF and their relatives consist: an identifier, a size, and as many bytes. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.mpeg.tags import Read

ByteOrder = Literal["little", "big"]
LARGEST_SIZE = 0xFFFF_FFFF
"""largest size of a field of 4 bytes; programs write it for a size that they do not know"""
_MOST_CHUNKS = 10_000
"""chunks that are looked at, so that a file of empty ones does not take hours"""
_MOST_HEAD = 1 << 20
"""bytes before the samples that are replaced, at most"""


class Check(NamedTuple):
    """The result of a look at a header."""

    contradiction: str = ""
    """fields that contradict each other, in words; empty if none do"""
    excerpt: Excerpt | None = None
    """the file behind a header that states its length, if the file's own states none"""


class Layout(NamedTuple):
    """The widths of a container's fields."""

    order: ByteOrder
    """byte order of numbers"""
    id_bytes: int = 4
    """bytes of an identifier"""
    size_bytes: int = 4
    """bytes of a size"""
    size_counts_header: bool = False
    """whether a size includes identifier and size"""
    alignment: int = 2
    """bytes to a multiple of which chunks are padded"""

    @property
    def header_bytes(self) -> int:
        """Bytes before a chunk's content."""
        return self.id_bytes + self.size_bytes


class Chunk(NamedTuple):
    """A chunk of a file."""

    name: bytes
    """the first four bytes of its identifier"""
    start: int
    """first byte of its content"""
    size: int
    """bytes of its content, as stated"""
    stop: int
    """byte at which the next chunk starts"""


def chunks(read: Read, start: int, size: int, layout: Layout) -> Iterator[Chunk]:
    """Yield the chunks from `start` on, to the end of the file. Bytes that are no chunk look like one."""
    for _ in range(_MOST_CHUNKS):
        if start + layout.header_bytes > size:
            break
        head = read(start, start + layout.header_bytes)
        stated = int.from_bytes(head[layout.id_bytes :], layout.order)
        content = start + layout.header_bytes
        length = max(stated - layout.header_bytes, 0) if layout.size_counts_header else stated
        stop = content + length
        stop += -(stop - start) % layout.alignment
        yield Chunk(head[:4], content, length, stop)
        start = stop


def has_samples_from(read: Read, start: int, size: int, layout: Layout) -> bool:
    """Return whether the bytes `[start, size)`, which no size covers, are samples and not chunks."""
    for chunk in chunks(read, start, size, layout):
        start = chunk.stop
        if not all(0x20 <= byte < 0x7F for byte in chunk.name) or chunk.stop > size + 1:
            return True
    return start < size


def repaired(read: Read, start: int, samples_start: int, size: int, fields: dict[int, bytes]) -> Excerpt | None:
    """Return a file behind a header with other values in some of its fields; None if the header is too long for that.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        start: byte at which the header starts.
        samples_start: byte at which it ends.
        size: bytes of the file.
        fields: new bytes, by their place in the file.
    """
    if samples_start - start > _MOST_HEAD:
        return None
    head = bytearray(read(start, samples_start))
    for place, value in fields.items():
        head[place - start : place - start + len(value)] = value
    return Excerpt(bytes(head), samples_start, size)
