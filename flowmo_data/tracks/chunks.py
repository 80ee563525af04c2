"""Chunks, of which WAV, AIFF and their relatives consist: an identifier, a size, and as many bytes. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.mpeg.tags import Read, audio_end, tag_end

ByteOrder = Literal["little", "big"]
LARGEST_SIZE = 0xFFFF_FFFF
"""largest size of a field of 4 bytes; programs write it for a size that they do not know"""
PLACEHOLDER = 0x7FFF_0000
"""bytes; programs that do not know the length yet write this number or a larger one"""
_MOST_CHUNKS = 10_000
"""chunks that are looked at, so that a file of empty ones does not take hours"""
_MOST_HEAD = 1 << 20
"""bytes before the samples that are replaced, at most"""


class Check(NamedTuple):
    """The result of a look at a header."""

    contradiction: str = ""
    """fields that contradict each other, in words; empty if none do"""
    excerpt: Excerpt | None = None
    """the bytes to read, if not the whole file as it is: if its header states no length, behind one that does"""
    problem: str = ""
    """a length that is not true, in words; empty if there is no such problem"""
    num_lost: int = 0
    """samples that are lost by that"""


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


def chunks_end(read: Read, start: int, size: int, layout: Layout) -> int:
    """Return the byte at which the chunks from `start` on end: `size`, or where other bytes follow."""
    for chunk in chunks(read, start, size, layout):
        if not all(0x20 <= byte < 0x7F for byte in chunk.name) or chunk.stop > size + layout.alignment - 1:
            return start
        start = chunk.stop
    return size if start + layout.header_bytes > size else start


def has_samples_from(read: Read, start: int, size: int, layout: Layout) -> bool:
    """Return whether the bytes `[start, size)`, which no size covers, are samples and not chunks."""
    return start < size and (chunks_end(read, start, size, layout) < size or start + layout.header_bytes > size)


def check_length(
    read: Read, start: int, stated: int, size: int, layout: Layout | None, sample_bytes: int
) -> tuple[str, int]:
    """Return the problem of a stated length that is not true, in words, and the number of samples that are lost by it.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        start: byte at which the samples start.
        stated: bytes of the samples, as stated.
        size: bytes of the file.
        layout: layout of the chunks behind the samples; None if none may follow.
        sample_bytes: bytes of a sample of all channels; 0 if it is not known.
    """
    there, stop = size - start, start + stated
    if there <= 0 or not sample_bytes or (stated > there and stated >= PLACEHOLDER):
        return "", 0
    if stated > there:
        num_lost = stated // sample_bytes - there // sample_bytes
        problem = f"its header states {stated} bytes of samples, but only {there} are there"
        return (problem, num_lost) if num_lost else ("", 0)
    end = audio_end(read, size)
    if layout is None:
        rest = stop
    else:  # some programs do not pad chunks
        rest = max(chunks_end(read, place, end, layout) for place in {stop, stop + -stated % layout.alignment})
    rest = tag_end(read, rest, end)
    if end - rest < sample_bytes or _is_zero(read, rest, end):
        return "", 0
    return f"{end - rest} bytes behind its samples are not read: its header does not cover them", (
        end - rest
    ) // sample_bytes


def _is_zero(read: Read, start: int, stop: int) -> bool:
    """Return whether a stretch of bytes is padding: zeros, and no more than a megabyte."""
    return stop - start <= _MOST_HEAD and not any(read(start, stop))


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
