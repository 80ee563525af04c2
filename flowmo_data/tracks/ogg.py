"""Ogg pages (RFC 3533, section 6): the links of a chain, and how far seeking goes. Pure functions on bytes.

A link is a group of streams that begin together; files that were joined, and recordings of radio, have several:

    first link                              second link
    | BOS A | BOS B | A | B | A | B ... | | BOS C | C | C ... |       A and B are multiplexed
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from flowmo_data.tracks.mpeg.tags import Read

MARKER = b"OggS"
_LONGEST_PAGE_BYTES = 65_307
_HEADER_BYTES = 27
_BEGINS = 2
"""bit of a page's flags: a stream begins with it"""
MOST_LINKS = 1_000
"""links of a file, and streams of a link, that are looked at: hostile bytes may have one every 28 bytes"""
_BLOCK_BYTES = 1 << 18
"""bytes read at a time"""
_OPUS_RATE = 48_000
_AUDIO = {b"\x01vorbis": "Vorbis", b"OpusHead": "Opus", b"\x7fFLAC": "FLAC", b"Speex   ": "Speex"}
"""first bytes of the streams that hold audio"""


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
    body: int
    """byte at which its content starts"""


@dataclass(slots=True)
class Stream:
    """A stream of a link."""

    codec: str
    """name of an audio codec; empty if it is not known to be audio"""
    rate: int
    """units of its granule positions in a second; 0 if that is not known"""
    granule: int = 0
    """position of its end"""

    @property
    def seconds(self) -> float:
        """Duration; 0 if it is not known."""
        return self.granule / self.rate if self.rate else 0.0


@dataclass(slots=True)
class Link:
    """Streams that begin together."""

    start: int
    """byte at which its first page starts"""
    stop: int = 0
    """one past its last byte"""
    streams: dict[int, Stream] = field(default_factory=dict)
    """streams by their serial number, in the order of their first pages"""

    @property
    def audio(self) -> list[Stream]:
        """The streams that hold audio."""
        return [stream for stream in self.streams.values() if stream.codec]


def walk_ogg(read: Read, size: int) -> list[Link]:
    """Return the links of a file, by all of its page headers; the first 1,000 if there are more.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        size: bytes of the file.
    """
    links: list[Link] = []
    beginning, stop = False, size
    for page in _pages(_in_blocks(read), size):
        if page.flags & _BEGINS:
            if not beginning:
                if len(links) == MOST_LINKS:
                    stop = page.start
                    break
                links.append(Link(page.start))
            if len(links[-1].streams) < MOST_LINKS:
                links[-1].streams[page.serial] = _stream(read(page.body, min(page.body + 64, page.stop)))
        beginning = bool(page.flags & _BEGINS)
        if links:
            links[-1].stop = page.stop
            stream = links[-1].streams.get(page.serial)
            if stream is not None and page.granule >= 0:
                stream.granule = page.granule
    for link, after in pairwise(links):
        link.stop = after.start
    if links:
        links[-1].stop = stop
    return links


def _in_blocks(read: Read) -> Read:
    """Return a `read` that reads a block at a time, for places that mostly come in order."""
    base, block = 0, b""

    def read_in_blocks(start: int, stop: int) -> bytes:
        nonlocal base, block
        if not base <= start <= stop <= base + len(block):
            base, block = start, read(start, max(stop, start + _BLOCK_BYTES))
        return block[start - base : stop - base]

    return read_in_blocks


def _stream(head: bytes) -> Stream:
    """Return a stream by the bytes of its first packet."""
    codec = next((name for start, name in _AUDIO.items() if head.startswith(start)), "")
    if codec == "Vorbis":  # after the start: version of 4 bytes, channels of 1 (Vorbis I, section 4.2.2)
        return Stream(codec, int.from_bytes(head[12:16], "little"))
    if codec == "FLAC":  # STREAMINFO at 17 (RFC 9639, section 10.1), the rate of 20 bits at its byte 10
        return Stream(codec, int.from_bytes(head[27:30], "big") >> 4)
    return Stream(codec, _OPUS_RATE if codec == "Opus" else int.from_bytes(head[36:40], "little") if codec else 0)


def _pages(read: Read, size: int) -> Iterator[Page]:
    """Yield the pages of a file; after bytes that are no page, go on at the next one."""
    place = 0
    while place < size:
        page = _page(read, place)
        if page is None:
            found = _find_page(read, place + 1, size)
            if found is None:
                return
            page = found
        yield page
        place = page.stop


def _page(read: Read, place: int) -> Page | None:
    head = read(place, place + _HEADER_BYTES + 255)
    if head[:5] != MARKER + b"\0" or len(head) < _HEADER_BYTES:
        return None
    body = _HEADER_BYTES + head[26]
    granule, serial = (
        int.from_bytes(head[6:14], "little", signed=True),
        int.from_bytes(head[14:18], "little"),
    )
    return Page(place, place + body + sum(head[_HEADER_BYTES:body]), head[5], granule, serial, place + body)


def _find_page(read: Read, place: int, size: int) -> Page | None:
    """Return the first page from `place` on that another page or the end of the file follows; None if none does."""
    while place < size:
        data = read(place, min(place + _LONGEST_PAGE_BYTES, size))
        at = -1
        while (at := data.find(MARKER, at + 1)) >= 0:
            page = _page(read, place + at)
            if page is not None and (page.stop == size or read(page.stop, page.stop + 4) == MARKER):
                return page
        place += max(len(data) - 3, 1)
    return None


def last_page(read: Read, size: int) -> tuple[int, int]:
    """Return the granule positions at which the last page of a link starts and ends.

    For Vorbis, these are indices of samples. For a single page, the start is 0.

    Args:
        read: returns the bytes `[start, stop)` of the link.
        size: bytes of the link.
    """
    tail = read(max(size - 3 * _LONGEST_PAGE_BYTES, 0), size)
    position, positions = 0, [0]
    while (position := tail.find(MARKER + b"\0", position)) >= 0:
        granule = int.from_bytes(tail[position + 6 : position + 14], "little", signed=True)
        if granule >= 0:
            positions.append(granule)
        position += 5
    return (positions[-2], positions[-1]) if len(positions) > 1 else (0, 0)
