"""How many packets are missing from a section, and where."""

from __future__ import annotations

from flowmo_data.mpeg.sections import Section


def missing_packets(section: Section, trailing_bytes: int = 0) -> dict[int, int]:
    """Packets that are missing from a section, by the index of the packet before which they are.

    Where an Info packet states how many there were, they are as many as it states; bytes that are no packets were not
    packets either where none is missing. Elsewhere they are as many as fit into such bytes, at least one.

    Args:
        section: the section.
        trailing_bytes: bytes behind it that are no packets.
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
