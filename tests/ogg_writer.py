"""Ogg pages (RFC 3533, section 6): taken apart, and put together with other numbers of packets."""

from __future__ import annotations

from itertools import pairwise

from flowmo_data.tracks.ogg_pages import checksum

_MOST_SEGMENTS = 255


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = crc << 1 ^ 0x104C11DB7 if crc & 1 << 31 else crc << 1
        table.append(crc)
    return table


_TABLE = _crc_table()


def crc_of(page: bytes) -> int:
    """The checksum of a page whose field of it is zero, by the definition: slow."""
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFF_FFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc


def page_starts(data: bytes) -> list[int]:
    """The byte at which each page starts, in a file of nothing else."""
    starts, place = [], 0
    while place < len(data):
        assert data[place : place + 5] == b"OggS\0"
        starts.append(place)
        body = place + 27 + data[place + 26]
        place = body + sum(data[place + 27 : body])
    return starts


def write_page(packets: list[bytes], *, granule: int, serial: int, number: int, flags: int = 0) -> bytes:
    """A page of whole packets."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
    assert len(lacing) <= _MOST_SEGMENTS
    head = b"OggS\0" + bytes((flags,)) + granule.to_bytes(8, "little", signed=True) + serial.to_bytes(4, "little")
    head += number.to_bytes(4, "little")
    rest = bytes((len(lacing),)) + lacing + b"".join(packets)
    return head + checksum(head + bytes(4) + rest).to_bytes(4, "little") + rest


def packets_of(data: bytes) -> list[bytes]:
    """The packets of a file of one stream."""
    packets, packet = [], b""
    for start in page_starts(data):
        place = start + 27 + data[start + 26]
        for length in data[start + 27 : place]:
            packet += data[place : place + length]
            place += length
            if length < 255:
                packets.append(packet)
                packet = b""
    return packets


def repaged(data: bytes, packets_a_page: int) -> bytes:
    """The same stream, Vorbis or Opus, with this number of packets in a page."""
    starts = page_starts(data)
    last = starts[-1]
    end = int.from_bytes(data[last + 6 : last + 14], "little", signed=True)
    serial = int.from_bytes(data[14:18], "little")
    packets = packets_of(data)
    is_vorbis = packets[0].startswith(b"\1vorbis")
    num_headers = 3 if is_vorbis else 2
    pages = [write_page(packets[:1], granule=0, serial=serial, number=0, flags=2)]
    pages.append(write_page(packets[1:num_headers], granule=0, serial=serial, number=1))
    sizes = vorbis_sizes(packets) if is_vorbis else [opus_samples(packet) for packet in packets[num_headers:]]
    granule, audio = 0, packets[num_headers:]
    for first in range(0, len(audio), packets_a_page):
        granule += sum(sizes[first : first + packets_a_page])
        position, flags = (end, 4) if first + packets_a_page >= len(audio) else (granule, 0)
        chosen = audio[first : first + packets_a_page]
        pages.append(write_page(chosen, granule=position, serial=serial, number=len(pages), flags=flags))
    return b"".join(pages)


def opus_samples(packet: bytes) -> int:
    """Samples at 48 kHz of a packet (RFC 6716, section 3.1)."""
    config, code = packet[0] >> 3, packet[0] & 3
    frame = (
        (480, 960, 1920, 2880)[config & 3]
        if config < 12
        else (480, 960)[config & 1]
        if config < 16
        else 120 << (config & 3)
    )
    return frame * (1 if code == 0 else 2 if code < 3 else packet[1] & 63)


def vorbis_sizes(packets: list[bytes]) -> list[int]:
    """Samples that each audio packet finishes (Vorbis I, section 4.3.8); none for the first.

    The mode's bits follow the packet type's; libvorbis writes two modes, the first for short blocks.
    """
    short, long = 1 << (packets[0][28] & 15), 1 << (packets[0][28] >> 4)
    blocks = [long if packet and packet[0] >> 1 & 1 else short for packet in packets[3:]]
    return [0, *(before // 4 + after // 4 for before, after in pairwise(blocks))]
