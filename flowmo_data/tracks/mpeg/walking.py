"""Walk through a file's packets, each found by the header before it and never by a guess.

    ID3 | Info | packet packet packet ... noise ... packet packet | packet packet | TAG
                 `------------- section, with a gap ------------'   `- section -'
                                                                     another rate

A section is a stretch of packets that one decoder can decode in one go. If there is no header where the last packet
ends, the walk looks for the next place that two or three headers in a row confirm.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from flowmo_data.tracks.mpeg.claims import apply_info_packet
from flowmo_data.tracks.mpeg.following import follow
from flowmo_data.tracks.mpeg.headers import HEADER_BYTES, LONGEST_FREE_PACKET, packet_lengths, parse_header, stream_key
from flowmo_data.tracks.mpeg.scanning import Bytes, keys_at, vouched_for
from flowmo_data.tracks.mpeg.sections import Gap, Section, section_lengths
from flowmo_data.tracks.mpeg.tags import Read, audio_end, in_blocks, tag_end

_CHUNK_BYTES = 1 << 19
_LOOKAHEAD_BYTES = 3 * LONGEST_FREE_PACKET + HEADER_BYTES
_FIRST_SEARCH_BYTES = 1 << 10
_NO_LIMIT = 1 << 62
_MAX_FREE_FORMAT_TRIALS = 10_000
"""a file of nothing but free-format headers is hostile; past this number of trials, they count as noise"""


@dataclass(frozen=True, slots=True)
class Walk:
    """The result of `walk`."""

    sections: tuple[Section, ...]
    lost_bytes: int
    """bytes between packets that are neither packets nor tags"""
    trailing_bytes: int
    """such bytes after the last packet; 0 if an Info packet confirms that all packets exist"""


def walk(read: Read, size: int) -> Walk:
    """Find all packets of an MPEG audio file.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        size: bytes of the file.

    Returns:
        The sections in the order of the file; none if no packet was found. Any bytes give a result, in time
        linear in their number.
    """
    read_tags = in_blocks(read, size)
    end = audio_end(read_tags, size)
    start = tag_end(read_tags, 0, end)
    walker = _Walker(read, start, end)
    walker.run()
    if not walker.sections and start:  # the tag's size was wrong
        walker = _Walker(read, 0, end)
        walker.run()
    all_there = [
        apply_info_packet(read, section, trailing_bytes=walker.trailing_bytes if section is walker.sections[-1] else 0)
        for section in walker.sections
    ]
    sections = tuple(section for section in walker.sections if section.num_samples > 0)
    return Walk(sections, walker.lost_bytes, 0 if all_there[-1:] == [True] else walker.trailing_bytes)


class _Walker:
    """One walk: a window of bytes that moves through the file, and the sections found so far.

    Bytes before the first packet do not count as lost: nothing shows that they were audio.
    """

    def __init__(self, read: Read, start: int, end: int) -> None:
        self._read, self._pos, self._end = read, start, end
        self._read_tags = in_blocks(read, end)
        self._data, self._base = b"", start
        self.sections: list[Section] = []
        self._offsets = array("I")  # of the last section
        self.lost_bytes = 0
        self.trailing_bytes = 0
        self._key = 0
        self._free_format_trials = 0

    def run(self) -> None:
        while self._next_packet():
            self._follow()

    def _load(self, pos: int, need: int) -> int:
        """Load the bytes `[pos, pos + need)` into the window, as far as they exist; return the place of `pos`."""
        if pos < self._base or min(pos + need, self._end) > self._base + len(self._data):
            self._data, self._base = self._read(pos, min(pos + max(need, _CHUNK_BYTES), self._end)), pos
        return pos - self._base

    def _next_packet(self) -> bool:
        """Move to the next place where a packet starts, and open a section for it or continue the last one."""
        broken, section = self._pos, self.sections[-1] if self.sections else None
        after_tags = tag_end(self._read_tags, broken, self._end) if section else broken
        later = self._one_packet_later(section, broken) if section and after_tags == broken else None
        pos, free_bytes = self._search(after_tags, self._end if later is None else later)
        pos = later if pos is None else pos
        if pos is None:
            self.trailing_bytes += self._end - after_tags
            return False
        if section is not None:
            self.lost_bytes += pos - after_tags
        at = self._load(pos, HEADER_BYTES)
        key = stream_key(self._data, at)
        if section is not None and key == self._key:
            section.gaps.append(Gap(section.num_packets, section.end, pos - after_tags))
        else:
            self._open_section(at, key, free_bytes)
            self.sections[-1].lost_bytes_before = 0 if section is None else pos - after_tags
        self._pos = pos
        return True

    def _open_section(self, at: int, key: int, free_bytes: int) -> None:
        head = self._data[at : at + HEADER_BYTES]
        header = parse_header(head)
        assert header is not None
        self._offsets = array("I" if self._end < 1 << 32 else "Q")
        self.sections.append(Section(header, section_lengths(head, free_bytes), self._offsets))
        self._key = key

    def _follow(self) -> None:
        """Go from header to header until one is missing. A walk spends its time here."""
        section, pos = self.sections[-1], self._pos
        while True:
            at = self._load(pos, HEADER_BYTES)
            places, at = follow(self._data, at, key=self._key, lengths=section.lengths)
            offsets = places.astype(self._offsets.typecode)
            offsets += self._base
            self._offsets.frombytes(offsets.tobytes())
            pos = self._base + at
            if at <= len(self._data) - HEADER_BYTES or pos + HEADER_BYTES > self._end:
                break
        if self._hides_another(section, pos):
            pos = self._offsets.pop()
        elif pos > self._end:  # the last packet is cut off
            pos = self._offsets.pop()
            self.trailing_bytes += self._end - pos
            self._end = pos
        section.end = self._pos = pos
        if section.gaps and section.gaps[-1].packet == section.num_packets:  # and it was the only packet after a gap
            gap = section.gaps.pop()
            section.end = gap.start
            self.lost_bytes -= gap.lost_bytes
            self.trailing_bytes += gap.lost_bytes

    def _hides_another(self, section: Section, end: int) -> bool:
        """Return whether packets start inside the last one, if no header follows it: its own header is then wrong.

        The first packet after a gap is not doubted.
        """
        last_gap = section.gaps[-1].packet if section.gaps else 0
        if end == self._end or section.num_packets - last_gap <= 1:
            return False
        start = self._offsets[-1]
        at = self._load(start, end - start + _LOOKAHEAD_BYTES)
        window = np.frombuffer(self._data, np.uint8)
        last = min(at + end - start, len(window) - HEADER_BYTES + 1)
        return vouched_for(window, at + HEADER_BYTES, last, _NO_LIMIT, self._key)[0] is not None

    def _one_packet_later(self, section: Section, pos: int) -> int | None:
        """Return the start of the next packet if only the header at `pos` is broken.

        The next packet starts one of the section's lengths later. So a broken header costs one packet, even if the
        header after the next one is broken too.
        """
        at = self._load(pos, LONGEST_FREE_PACKET + HEADER_BYTES)
        for length in sorted(set(section.lengths) - {0}):
            if parse_header(self._data, at + length) and stream_key(self._data, at + length) == self._key:
                return pos + length
        return None

    def _search(self, start: int, stop: int) -> tuple[int | None, int]:
        """Return the first place in `[start, stop)` where a packet starts, and its length if it has free format."""
        step = _FIRST_SEARCH_BYTES
        while start < stop and start + HEADER_BYTES <= self._end:
            at = self._load(start, step + _LOOKAHEAD_BYTES)
            window = np.frombuffer(self._data, np.uint8)
            last = min(at + step, stop - self._base, len(window) - HEADER_BYTES + 1)
            limit = self._end - self._base  # the end of the file, as a place in the window
            good, free = vouched_for(window, at, last, limit, self._key)
            for place in free:
                if good is not None and place > good:
                    break
                free_bytes = self._free_format_bytes(window, int(place), limit)
                if free_bytes:
                    return self._base + int(place), free_bytes
            if good is not None:
                return self._base + good, 0
            start += step
            step = min(2 * step, _CHUNK_BYTES // 2)
        return None, 0

    def _free_format_bytes(self, window: Bytes, at: int, limit: int) -> int:
        """Return the length without padding of the free-format packet at `at`: its header must repeat twice."""
        if self._free_format_trials >= _MAX_FREE_FORMAT_TRIALS:
            return 0
        self._free_format_trials += 1
        header = parse_header(self._data, at)
        assert header is not None
        slot = 4 if header.layer == 1 else 1
        least = packet_lengths(self._data[at + 1])[self._data[at + 2] & 0x0C | 0x10]  # the lowest bitrate's
        keys = keys_at(window, np.arange(at, min(at + LONGEST_FREE_PACKET, len(window) - HEADER_BYTES + 1)))
        for distance in np.flatnonzero(keys == keys[0])[1:].tolist():
            length = distance - header.padding
            if length < least:
                continue
            following = parse_header(self._data, at + distance)
            assert following is not None
            third = at + distance + length + following.padding
            if third == limit or (parse_header(self._data, third) and stream_key(self._data, third) == int(keys[0])):
                return int(length // slot * slot)
        return 0
