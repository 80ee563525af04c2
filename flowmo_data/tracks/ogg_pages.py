"""Ogg pages (RFC 3533, section 6): where they are, by their checksums. Pure functions on bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from flowmo_data.tracks.mpeg.tags import Read

MARKER = b"OggS"
LONGEST_PAGE_BYTES = 65_307
BEGINS, ENDS = 2, 4
"""bits of a page's flags: a stream begins, or ends, with it"""
_HEADER_BYTES = 27
_CRC_AT = 22
_BLOCK_BYTES = 1 << 18
"""bytes read at a time"""
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""every byte with its bits in the other order"""


class Page(NamedTuple):
    """The header of a page."""

    start: int
    """its first byte"""
    stop: int
    """one past its last byte"""
    flags: int
    """bits: 1 continues a packet, 2 a stream begins, 4 a stream ends"""
    granule: int
    """position at its end, in units of the codec; negative if no packet ends in it"""
    serial: int
    """number of its stream"""
    number: int
    """number of the page in its stream"""
    body: int
    """byte at which its content starts"""
    num_packets: int
    """packets that end in it"""


def pages(read: Read, start: int, stop: int) -> Iterator[Page]:
    """Yield the pages in the bytes `[start, stop)` whose checksums are right, whatever is between them."""
    read = _in_blocks(read, stop)
    while start + _HEADER_BYTES <= stop:
        page = _page(read, start, stop) or _find_page(read, start + 1, stop)
        if page is None:
            return
        yield page
        start = page.stop


def checksum(page: bytes) -> int:
    """Return the checksum of a page, as if its own field of it held zeros.

    zlib computes the same polynomial with bits in the other order.
    """
    crc = zlib.crc32(page[:_CRC_AT].translate(_REVERSED), 0xFFFF_FFFF)
    crc = zlib.crc32(page[_CRC_AT + 4 :].translate(_REVERSED), zlib.crc32(bytes(4), crc)) ^ 0xFFFF_FFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_REVERSED), "big")


def renumbered(page: bytes, number: int) -> bytes:
    """Return a page with another number, and the checksum that goes with it."""
    page = page[:18] + (number % (1 << 32)).to_bytes(4, "little") + page[_CRC_AT:]
    return page[:_CRC_AT] + checksum(page).to_bytes(4, "little") + page[_CRC_AT + 4 :]


def _page(read: Read, place: int, end: int) -> Page | None:
    """Return the page at a byte; None if there is none, or it is damaged."""
    head = read(place, min(place + _HEADER_BYTES + 255, end))
    if head[:5] != MARKER + b"\0" or len(head) < _HEADER_BYTES:
        return None
    body = _HEADER_BYTES + head[26]
    lengths = head[_HEADER_BYTES:body]
    stop = place + body + sum(lengths)
    if stop > end or checksum(read(place, stop)) != int.from_bytes(head[_CRC_AT : _CRC_AT + 4], "little"):
        return None
    granule, serial, number = (
        int.from_bytes(head[6:14], "little", signed=True),
        int.from_bytes(head[14:18], "little"),
        int.from_bytes(head[18:22], "little"),
    )
    return Page(place, stop, head[5], granule, serial, number, place + body, len(lengths) - lengths.count(255))


def _find_page(read: Read, place: int, end: int) -> Page | None:
    """Return the first page from a byte on; None if there is none."""
    while place < end:
        data = read(place, min(place + LONGEST_PAGE_BYTES, end))
        at = -1
        while (at := data.find(MARKER, at + 1)) >= 0:
            if (page := _page(read, place + at, end)) is not None:
                return page
        place += max(len(data) - 3, 1)
    return None


def _in_blocks(read: Read, end: int) -> Read:
    """Return a `read` that reads a block at a time, for places that mostly come in order."""
    base, block = 0, b""

    def read_in_blocks(start: int, stop: int) -> bytes:
        nonlocal base, block
        if not base <= start <= stop <= base + len(block):
            base, block = start, read(start, min(max(stop, start + _BLOCK_BYTES), max(end, stop)))
        return block[start - base : stop - base]

    return read_in_blocks
