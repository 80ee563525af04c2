"""Ogg pages (RFC 3533, section 6), as far as seeking needs them. Pure functions: bytes in, integers out."""

from __future__ import annotations

from collections.abc import Callable

_LONGEST_PAGE_BYTES = 65_307
_NO_PACKET_ENDS_HERE = (1 << 64) - 1


def last_page_start(read: Callable[[int, int], bytes], size: int) -> int:
    """Return the granule position at which the last page of a file starts.

    For Vorbis, this is the index of a sample. For a single page, it is 0.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        size: bytes of the file.
    """
    tail = read(max(size - 3 * _LONGEST_PAGE_BYTES, 0), size)
    position, positions = 0, [0]
    while (position := tail.find(b"OggS\0", position)) >= 0:
        granule = int.from_bytes(tail[position + 6 : position + 14], "little")
        if granule != _NO_PACKET_ENDS_HERE:
            positions.append(granule)
        position += 5
    return positions[-2] if len(positions) > 1 else 0
