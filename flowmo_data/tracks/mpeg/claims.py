"""The claims of an Info packet about its section, held against the packets that were found."""

from __future__ import annotations

from flowmo_data.tracks.mpeg.headers import Header
from flowmo_data.tracks.mpeg.sections import Gap, Section
from flowmo_data.tracks.mpeg.tags import InfoPacket, Read, parse_info_packet


def apply_info_packet(read: Read, section: Section, *, trailing_bytes: int) -> bool:
    """Remove the Info packet from the start of a section, and the samples that it counts as delay and padding.

    Returns:
        True if there is an Info packet, and the section has as many packets as it states.
    """
    first = section.offsets[0]
    stop = section.offsets[1] if section.num_packets > 1 else section.end
    info = parse_info_packet(read(first, stop), section.header)
    padding = stated = 0
    if info is not None:
        section.offsets = section.offsets[1:]
        section.gaps = [Gap(gap.packet - 1, gap.start, gap.lost_bytes) for gap in section.gaps if gap.packet > 1]
        stated = _stated_packets(info, section, there=section.end - first, trailing_bytes=trailing_bytes)
        if section.num_packets and _gapless_fields_fit(info, stated or section.num_packets, section.header):
            section.delay = info.delay
            if stated == section.num_packets or info.num_bytes == section.end - first:
                padding = info.padding  # the tag refers to the end of this section
        if section.num_packets:
            section.stated_packets = _plausible_packets(info, section, stated)
    decoded = section.num_packets * section.header.samples_per_packet
    section.num_samples = decoded - section.delay - padding
    return info is not None and info.num_packets is not None and stated == section.num_packets


def _stated_packets(info: InfoPacket, section: Section, *, there: int, trailing_bytes: int) -> int:
    """Return the packets that an Info packet states, without itself; 0 if it states no number.

    Some encoders count the Info packet. One packet more than there are is then no loss, unless bytes are missing too.

    Args:
        info: the Info packet.
        section: its section, without it.
        there: bytes from the start of the Info packet to the end of the section.
        trailing_bytes: bytes after the section that are not packets.
    """
    stated = info.num_packets or 0
    missing_bytes = (info.num_bytes or there) - there
    is_cut = trailing_bytes or any(gap.lost_bytes for gap in section.gaps) or 0 < missing_bytes <= max(section.lengths)
    return stated - 1 if stated == section.num_packets + 1 and not is_cut else stated


def _gapless_fields_fit(info: InfoPacket, num_packets: int, header: Header) -> bool:
    """Return whether delay and padding leave anything of the packets; if not, the tag cannot be true."""
    return info.delay + info.padding < num_packets * header.samples_per_packet


def _plausible_packets(info: InfoPacket, section: Section, stated: int) -> int:
    """Return the stated number of packets; 0 if there is none, or if it does not fit the stated bytes."""
    if stated and info.num_bytes:
        possible = [length for length in section.lengths if length]
        if not min(possible) <= info.num_bytes / stated <= max(possible) + 1:
            return 0
    return stated
