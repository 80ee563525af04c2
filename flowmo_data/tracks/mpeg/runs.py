"""Find the run of packets that decodes to a window of samples.

Layer III packets depend on earlier ones: main data may start up to 511 bytes back (the bit reservoir, ISO/IEC
11172-3 clause 2.4.2.7, main_data_begin), and the synthesis filters remember one or two packets. So a run starts early:

    ... | reservoir | overlap | packets of the window |
        ^ first                                       ^ the run ends where the window does

The first packets of a run, and the first after damage, may point at missing main data. Decoders drop some of these
packets, mute others, and do not agree on which. `build_run` mutes them itself. So every packet of a run decodes to
`samples_per_packet` samples with every decoder, and a decoder that gives fewer has met damage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowmo_data.tracks.mpeg.headers import HEADER_BYTES, Header
from flowmo_data.tracks.mpeg.sections import Section
from flowmo_data.tracks.mpeg.seeking import SeekOffsets, offset_array
from flowmo_data.tracks.mpeg.tags import Read

_OVERLAP_PACKETS = 2
_USUAL_LEAD = 10
"""packets in front of a window that most runs have for reservoir and overlap"""


@dataclass(slots=True)
class Run:
    """Whole packets of one section, back to back, without other bytes."""

    header: Header
    """the header fields that the packets share"""
    data: bytearray
    """the packets"""
    starts: list[int]
    """byte in `data` at which each packet starts, and at the end the length of `data`"""
    first: int
    """index in the section of the first packet"""
    muted: set[int] = field(default_factory=set)
    """packets, as indices in the run, that decode to silence because their content cannot be decoded"""
    num_inaudible: int = 0
    """packets at the start of the section that lie wholly within its delay"""

    @property
    def num_packets(self) -> int:
        """Packets in the run."""
        return len(self.starts) - 1

    @property
    def num_samples(self) -> int:
        """Samples per channel that the run decodes to."""
        return self.num_packets * self.header.samples_per_packet

    def silent_packet(self) -> bytes:
        """Return a packet like the first that decodes to zeros and needs no earlier packet: all its fields are 0."""
        header = bytearray(self.data[:HEADER_BYTES])
        header[1] |= 1  # protection_bit 1: no CRC that has to match
        return bytes(header) + bytes(self.starts[1] - HEADER_BYTES)

    def piece(self, known: int, stop: int) -> Run:
        """Return a run of the packets `[known, stop)`, and of as many earlier packets as they need.

        Args:
            known: index in the run of the first of these packets.
            stop: one past the index of the last packet.
        """
        start, missing = max(known - _OVERLAP_PACKETS, 0), self.header.reservoir_bytes
        while missing > 0 and start > 0:
            start -= 1
            missing -= self.main_data_bytes(start)
        begin, end = self.starts[start], self.starts[stop]
        starts = [place - begin for place in self.starts[start : stop + 1]]
        piece = Run(self.header, self.data[begin:end], starts, self.first + start, num_inaudible=self.num_inaudible)
        if start and self.header.layer == 3:
            _mute_dangling(piece, 0)
        return piece

    def main_data_begin(self, packet: int) -> int:
        """Return the number of bytes that the packet's main data reaches back into earlier packets (Layer III)."""
        at = self._side_info(packet)
        if self.header.version == 1:
            return self.data[at] << 1 | self.data[at + 1] >> 7
        return self.data[at]

    def main_data_bytes(self, packet: int) -> int:
        """Return the bytes of main data that the packet carries, for itself or for later packets."""
        return self.starts[packet + 1] - self._side_info(packet) - self.header.side_info_bytes

    def mute(self, packet: int, reservoir_bytes: int) -> None:
        """Make a packet decode to silence, but keep its main data for the packets after it.

        Args:
            packet: index in the run.
            reservoir_bytes: bytes of main data before it. A muted packet claims all of them, because decoders pass on
                no more than a packet has claimed.
        """
        self.muted.add(packet)
        at, size = self._side_info(packet), self.header.side_info_bytes
        if self.header.layer != 3:  # allocation 0 in every subband: no samples follow (clauses 2.4.1.5 and 2.4.1.6)
            self.data[at : self.starts[packet + 1]] = bytes(self.starts[packet + 1] - at)
            return
        main_data_begin = min(reservoir_bytes, self.header.reservoir_bytes)
        bits = main_data_begin << 7 if self.header.version == 1 else main_data_begin << 8
        self.data[at : at + size] = bits.to_bytes(2, "big") + bytes(size - 2)  # part2_3_length 0 everywhere

    def _side_info(self, packet: int) -> int:
        """Return the start of the packet's side information: after the header, and the CRC if protection_bit is 0."""
        start = self.starts[packet]
        return start + (HEADER_BYTES if self.data[start + 1] & 1 else HEADER_BYTES + 2)


def packet_range(section: Section, start: int, stop: int) -> tuple[int, int]:
    """Return the packets that must be decoded for the samples `[start, stop)` of a section to be exact.

    Returns:
        The half-open range of packets, including those in front for the reservoir and the overlap.
    """
    first, last = _packets_of(section, start, stop)
    if isinstance(section.offsets, SeekOffsets):
        section.offsets.load(max(first - _USUAL_LEAD, 0), last)
    overhead = HEADER_BYTES + 2 + section.header.side_info_bytes
    missing = section.header.reservoir_bytes
    after_gap = {gap.packet for gap in section.gaps} if section.gaps else ()
    while missing > 0 and first > 0:
        if first not in after_gap:
            missing -= section.offsets[first] - section.offsets[first - 1] - overhead
        first -= 1
    return first, last


def _packets_of(section: Section, start: int, stop: int) -> tuple[int, int]:
    """Return the packets of the samples `[start, stop)`, and those before them that overlap with them."""
    per_packet = section.header.samples_per_packet
    first = max((start + section.delay) // per_packet - _OVERLAP_PACKETS, 0)
    return first, -(-(stop + section.delay) // per_packet)


def usual_bytes(section: Section, start: int, stop: int) -> tuple[int, int]:
    """Return the range of bytes that is read for the samples `[start, stop)` of an indexed section, but in rare cases.

    Nothing is read.
    """
    assert isinstance(section.offsets, SeekOffsets)
    first, last = _packets_of(section, start, stop)
    return section.offsets.extent(max(first - _USUAL_LEAD, 0), last)


class Packets(NamedTuple):
    """Whole packets of one section, one right after the other, and no other bytes."""

    data: bytes | bytearray
    """the packets"""
    starts: npt.NDArray[np.uint32]
    """byte in `data` at which each packet starts, and at the end the length of `data`"""
    breaks: tuple[int, ...]
    """packets, by their index here, that follow lost bytes: their bit reservoir is missing"""


def read_packets(section: Section, first: int, stop: int, read: Read) -> Packets:
    """Read the packets `[first, stop)` of a section, and close the gaps between them.

    Args:
        section: a section of the file that `read` reads.
        first: index of the first packet.
        stop: one past the index of the last packet.
        read: returns the bytes `[start, stop)` of the file.
    """
    offsets = offset_array(section.offsets, first, min(stop + 1, section.num_packets))
    begin = int(offsets[0])
    end = int(offsets[-1]) if stop < section.num_packets else section.end
    gaps = [gap for gap in section.gaps if first < gap.packet <= stop] if section.gaps else []
    if gaps and gaps[-1].packet == stop:
        end = gaps.pop().start
    read = section.offsets.read if isinstance(section.offsets, SeekOffsets) else read
    data: bytes | bytearray = read(begin, end)
    starts = np.empty(stop - first + 1, np.uint32)
    np.subtract(offsets[: stop - first], begin, out=starts[:-1], casting="unsafe")
    starts[-1] = end - begin
    if gaps:
        data = bytearray(data)
    for gap in reversed(gaps):
        hole = section.offsets[gap.packet] - gap.start
        del data[gap.start - begin : gap.start - begin + hole]  # type: ignore[union-attr]
        starts[gap.packet - first :] -= np.uint32(hole)
    return Packets(data, starts, tuple(gap.packet - first for gap in gaps if gap.lost_bytes))


def build_run(section: Section, first: int, stop: int, read: Read) -> Run:
    """Read the packets `[first, stop)` of a section as a run: every packet can be decoded or is muted.

    Args:
        section: a section of the file that `read` reads.
        first: index of the first packet.
        stop: one past the index of the last packet.
        read: returns the bytes `[start, stop)` of the file.
    """
    packets = read_packets(section, first, stop, read)
    run = Run(
        section.header,
        bytearray(packets.data),
        packets.starts.tolist(),
        first,
        num_inaudible=section.delay // section.header.samples_per_packet,
    )
    if section.header.layer == 3:
        for packet in (*reversed(packets.breaks), 0):
            _mute_dangling(run, packet)
    return run


def _mute_dangling(run: Run, packet: int) -> None:
    """Mute the packets from `packet` on that need main data from before it: that data is unknown."""
    reservoir_bytes = 0
    while packet < run.num_packets and reservoir_bytes < run.header.reservoir_bytes:
        if run.main_data_begin(packet) > reservoir_bytes:
            run.mute(packet, reservoir_bytes)
        reservoir_bytes += run.main_data_bytes(packet)
        packet += 1
