"""Find a section's packets from a few of them: every 64th is known, those between are found header by header.

packet     0 . . . . . . . 64 . . . . . . . 128 . . . .
known      ▲               ▲                ▲
wanted                         [ . . . . . . . )          two stretches are read, and must end where the next begins
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

from flowmo_data.tracks.mpeg.sections import Section
from flowmo_data.tracks.mpeg.tags import Read

PACKETS_PER_POINT = 64


class MovedPacketsError(Exception):
    """Packets are not where they were when the points were taken: this is another file."""


class SeekOffsets(Sequence[int]):
    """The `offsets` of a `Section`, of which only every 64th is held.

    Args:
        points: byte at which each 64th packet starts.
        num_packets: packets of the section.
        end: byte at which the last packet ends.
        gaps: by the first packet after a gap, the byte at which the packet before ends, and that at which it starts.
        lengths: the section's.
        read: gives the bytes `[start, stop)` of the file.

    Raises:
        MovedPacketsError: when an offset is asked for: the packets there do not lead from one point to the next.
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

    def __len__(self) -> int:
        return self._num_packets

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} packets, none at {index}")
        number, inside = divmod(index, PACKETS_PER_POINT)
        stretch = self._stretches.get(number)
        if stretch is None:
            stretch = self._stretches[number] = self._walk(number)
        return stretch[inside]

    def _walk(self, number: int) -> list[int]:
        """The offsets of the packets from point `number` to the next."""
        first = number * PACKETS_PER_POINT
        stop = min(first + PACKETS_PER_POINT, self._num_packets)
        base = pos = int(self._points[number])
        limit = int(self._points[number + 1]) if stop < self._num_packets else self._end
        data, offsets = self._read(base, limit), []
        for packet in range(first, stop):
            if packet > first:
                pos = self._across(packet, pos)
            offsets.append(pos)
            third = pos - base + 2
            pos += self._lengths[data[third]] if third < len(data) else 0
        if (self._across(stop, pos) if stop < self._num_packets else pos) != limit:
            raise MovedPacketsError(f"packets {first} to {stop} do not lead from byte {base} to {limit}")
        return offsets

    def _across(self, packet: int, pos: int) -> int:
        """Where a packet starts if the one before it ends at `pos`."""
        if packet not in self._gaps:
            return pos
        start, resumes = self._gaps[packet]
        if pos != start:
            raise MovedPacketsError(f"packet {packet - 1} does not end at byte {start}")
        return resumes


def seek_points(section: Section) -> Sequence[int]:
    """The byte at which each 64th packet starts."""
    return section.offsets[::PACKETS_PER_POINT]
