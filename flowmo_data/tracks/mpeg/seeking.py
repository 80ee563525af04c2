"""Find a section's packets: every 64th is known, the others are found header by header.

packet     0 . . . . . . . 64 . . . . . . . 128 . . . .
known      ▲               ▲                ▲
wanted                         [ . . . . . . . )          two stretches are read; each must end where the next begins
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from flowmo_data.tracks.mpeg.following import follow
from flowmo_data.tracks.mpeg.headers import HEADER_BYTES, stream_key
from flowmo_data.tracks.mpeg.sections import Section
from flowmo_data.tracks.mpeg.tags import Read

PACKETS_PER_POINT = 64


class MovedPacketsError(Exception):
    """Packets that are not where they were when the points were taken: this is another file."""


class SeekOffsets(Sequence[int]):
    """The `offsets` of a `Section`. Only every 64th is stored.

    Args:
        points: byte at which each 64th packet starts.
        num_packets: packets of the section.
        end: byte at which the last packet ends.
        gaps: the byte at which a gap starts and the byte at which it ends, by the first packet after it.
        lengths: the section's `lengths`.
        read: returns the bytes `[start, stop)` of the file.

    Raises:
        MovedPacketsError: on access to an offset: the packets there do not lead from one point to the next.
    """

    def __init__(
        self,
        points: Sequence[int],
        *,
        num_packets: int,
        end: int,
        gaps: Mapping[int, tuple[int, int]],
        lengths: Sequence[int],
        read: Read,
    ) -> None:
        self._points, self._num_packets, self._end, self._gaps = points, num_packets, end, gaps
        self._lengths, self._read = lengths, read
        self._stretches: dict[int, list[int]] = {}
        self._block = 0, b""  # where it starts, and the bytes that were read last
        self._loaded = 0, np.empty(0, np.uint64)  # the first packet, and the offsets that were found last

    def __len__(self) -> int:
        return self._num_packets

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self._between(start, stop) if step == 1 else [self[i] for i in range(start, stop, step)]
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} packets, none at {index}")
        begin, offsets = self._loaded
        if begin <= index < begin + len(offsets):
            return int(offsets[index - begin])
        number, inside = divmod(index, PACKETS_PER_POINT)
        return self._stretch(number)[inside]

    def _between(self, first: int, stop: int) -> list[int]:
        number, offsets = first // PACKETS_PER_POINT, list[int]()
        while number * PACKETS_PER_POINT < stop:
            offsets += self._stretch(number)
            number += 1
        before = first // PACKETS_PER_POINT * PACKETS_PER_POINT
        return offsets[first - before : stop - before]

    def _stretch(self, number: int) -> list[int]:
        stretch = self._stretches.get(number)
        if stretch is None:
            stretch = self._stretches[number] = self._walk(number)
        return stretch

    def load(self, first: int, stop: int) -> None:
        """Find the packets `[first, stop)` with one read; `read` then gives their bytes without another."""
        begin, end = self.extent(first, stop)
        self._block, numbers = (begin, self._read(begin, end)), self._numbers(first, stop)
        if self._gaps or not self._follow(numbers):
            for number in numbers:
                self._stretches[number] = self._walk(number)

    def _follow(self, numbers: range) -> bool:
        """Find the packets of all these points in one go; return whether they lead from one point to the next."""
        begin, data = self._block
        first, stop = numbers.start * PACKETS_PER_POINT, min(numbers.stop * PACKETS_PER_POINT, self._num_packets)
        key = stream_key(data, 0) if len(data) >= HEADER_BYTES else 0
        places, end = follow(data, 0, key=key, lengths=self._lengths, most=stop - first)
        offsets = places.astype(np.uint64)
        offsets += np.uint64(begin)
        points = np.asarray(self._points[numbers.start : numbers.stop])
        if begin + end != self._limit(numbers.stop - 1) or not np.array_equal(offsets[::PACKETS_PER_POINT], points):
            return False
        self._loaded = first, offsets
        return True

    def as_array(self, first: int, stop: int) -> npt.NDArray[np.uint64]:
        """Return the offsets `[first, stop)`."""
        begin, offsets = self._loaded
        if begin <= first and stop <= begin + len(offsets):
            return offsets[first - begin : stop - begin]
        return np.array(self[first:stop], np.uint64)

    def extent(self, first: int, stop: int) -> tuple[int, int]:
        """Return the range of bytes that `load` reads."""
        numbers = self._numbers(first, stop)
        return int(self._points[numbers.start]), self._limit(numbers.stop - 1)

    def _numbers(self, first: int, stop: int) -> range:
        """Return the numbers of the points that lead to the packets `[first, stop)`."""
        return range(first // PACKETS_PER_POINT, -(-min(stop, self._num_packets) // PACKETS_PER_POINT))

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)` of the file."""
        begin, block = self._block
        if begin <= start and stop <= begin + len(block):
            return block[start - begin : stop - begin]
        return self._read(start, stop)

    def _limit(self, number: int) -> int:
        """Return the byte at which the packets of a point end."""
        last = (number + 1) * PACKETS_PER_POINT >= self._num_packets
        return self._end if last else int(self._points[number + 1])

    def _walk(self, number: int) -> list[int]:
        """Return the offsets of the packets from point `number` to the next."""
        first = number * PACKETS_PER_POINT
        stop = min(first + PACKETS_PER_POINT, self._num_packets)
        base, limit = int(self._points[number]), self._limit(number)
        data = self.read(base, limit)
        if not self._gaps:  # most files
            key = stream_key(data, 0) if len(data) >= HEADER_BYTES else 0
            places, end = follow(data, 0, key=key, lengths=self._lengths, most=stop - first)
            offsets, end = [base + place for place in places.tolist()], base + end
        else:
            offsets, end = self._walk_gaps(first, stop, base, data)
        if end != limit:
            raise MovedPacketsError(f"packets {first} to {stop} do not lead from byte {base} to {limit}")
        return offsets

    def _walk_gaps(self, first: int, stop: int, base: int, data: bytes) -> tuple[list[int], int]:
        """Return the offsets of the packets `[first, stop)`, and the byte at which the next one starts."""
        offsets, pos = [], base
        for packet in range(first, stop):
            if packet > first:
                pos = self._across(packet, pos)
            offsets.append(pos)
            third = pos - base + 2
            pos += self._lengths[data[third]] if third < len(data) else 0
        return offsets, self._across(stop, pos) if stop < self._num_packets else pos

    def _across(self, packet: int, pos: int) -> int:
        """Return the start of a packet if the packet before it ends at `pos`."""
        if packet not in self._gaps:
            return pos
        start, resumes = self._gaps[packet]
        if pos != start:
            raise MovedPacketsError(f"packet {packet - 1} does not end at byte {start}")
        return resumes


def seek_points(section: Section) -> Sequence[int]:
    """Return the byte at which each 64th packet starts."""
    return section.offsets[::PACKETS_PER_POINT]


def offset_array(offsets: Sequence[int], first: int, stop: int) -> npt.NDArray[Any]:
    """Return the offsets `[first, stop)` as an array of unsigned integers."""
    if isinstance(offsets, array):
        return np.frombuffer(offsets, offsets.typecode)[first:stop]
    if isinstance(offsets, SeekOffsets):
        return offsets.as_array(first, stop)
    return np.array(offsets[first:stop], np.uint64)
