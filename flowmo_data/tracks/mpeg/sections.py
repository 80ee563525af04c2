"""A section: a stretch of packets that one decoder can decode in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from flowmo_data.tracks.mpeg.headers import FREE_FORMAT, Header, packet_lengths


@dataclass(frozen=True, slots=True)
class Gap:
    """A place in a section with bytes that are not packets."""

    packet: int
    """index of the first packet after the gap"""
    start: int
    """byte at which the packet before it ends"""
    lost_bytes: int
    """bytes of damage in it; 0 for a tag, because the stream continues after a tag"""


@dataclass(slots=True)
class Section:
    """Packets of one stream: the same version, layer, sample rate and number of channels."""

    header: Header
    """header of the first packet"""
    lengths: list[int]
    """packet length in bytes by a header's third byte, 256 of them; 0 if such a packet does not belong to this
    section"""
    offsets: Sequence[int]
    """byte at which each packet starts; after a walk, an array of 4 bytes each (8 in a file past 4 GiB)"""
    gaps: list[Gap] = field(default_factory=list)
    end: int = 0
    """byte at which the last packet ends"""
    delay: int = 0
    """decoded samples in front that are not part of the signal"""
    num_samples: int = 0
    """samples per channel, exact"""
    stated_packets: int = 0
    """packets that an Info packet states; 0 if there is none"""
    lost_bytes_before: int = 0
    """bytes between the previous section and this one that are neither packets nor tags"""

    @property
    def num_packets(self) -> int:
        """Number of audio packets."""
        return len(self.offsets)

    @property
    def free_bytes(self) -> int:
        """Length of a packet without padding, in free format; 0 if headers give the length."""
        return 0 if self.header.bitrate else max(self.lengths) - (4 if self.header.layer == 1 else 1)


def section_lengths(head: bytes, free_bytes: int) -> list[int]:
    """Return the packet length in bytes by a header's third byte, for the packets of a section.

    Args:
        head: the first packet's header, 4 bytes.
        free_bytes: length of a free-format packet without padding.

    Returns:
        256 numbers: 0 if such a packet has another sample rate, or has free format and the first has not.
    """
    free_format = head[2] < 0x10
    return _lengths(head[1], head[2] & 0x0C, free_bytes if free_format else None)


@lru_cache(maxsize=256)
def _lengths(second: int, wanted_rate: int, free_bytes: int | None) -> list[int]:
    """Return the lengths of sections that are alike. They share them, as a file may have a section every 72 bytes."""
    slot = 4 if second >> 1 & 3 == 3 else 1  # Layer I
    return [
        0
        if third & 0x0C != wanted_rate or (third < 0x10) != (free_bytes is not None)
        else (free_bytes or 0) + slot * (third >> 1 & 1) if length == FREE_FORMAT else length
        for third, length in enumerate(packet_lengths(second))
    ]  # fmt: skip


def missing_packets(section: Section, trailing_bytes: int = 0) -> dict[int, int]:
    """Return the number of missing packets, by the index of the packet that follows them.

    If an Info packet states the number of packets, the result adds up to the difference. If none is missing, other
    bytes in the section never were packets. Otherwise the result is an estimate: the number of packets that fit into
    the other bytes, at least one.

    Args:
        section: the section.
        trailing_bytes: bytes after it that are not packets.
    """
    places = [(0, section.lost_bytes_before), *((gap.packet, gap.lost_bytes) for gap in section.gaps)]
    inside_gaps = sum(section.offsets[gap.packet] - gap.start for gap in section.gaps if gap.packet)
    packet_bytes = (section.end - section.offsets[0] - inside_gaps) / section.num_packets
    missing: dict[int, int] = {}
    stated = section.stated_packets >= section.num_packets
    left = section.stated_packets - section.num_packets
    for packet, lost_bytes in [*places, (section.num_packets, trailing_bytes)]:
        count = max(round(lost_bytes / packet_bytes), 1) if lost_bytes else 0
        if stated:
            count = min(count, left)
            left -= count
        if count:
            missing[packet] = missing.get(packet, 0) + count
    if stated and left:
        missing[section.num_packets] = missing.get(section.num_packets, 0) + left
    return missing
