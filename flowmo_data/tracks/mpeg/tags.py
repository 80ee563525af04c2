"""Data in an MPEG file that is not audio: tags to step over, and the packet that describes the others.

- ID3v2: https://id3.org/id3v2.4.0-structure, section 3.1. ID3v1: the last 128 bytes, from "TAG".
- APEv2: https://wiki.hydrogenaud.io/index.php?title=APE_Tags_Header. Lyrics3v2: https://id3.org/Lyrics3v2.
- Xing, Info and VBRI packets, and LAME's gapless fields: http://gabriel.mp3-tech.org/mp3infotag.html.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowmo_data.tracks.mpeg.headers import HEADER_BYTES, Header

Read = Callable[[int, int], bytes]
"""`read(start, stop)` returns the bytes `[start, stop)`; fewer only at the end of the file."""

_BLOCK_BYTES = 1 << 12
_DECODER_DELAY = 529
"""samples of delay in every Layer III decoder; the encoder's delay in the LAME tag is added to it"""


@dataclass(frozen=True, slots=True)
class InfoPacket:
    """The claims of a Xing, Info or VBRI packet. They are believed only if the packets agree."""

    num_packets: int | None
    """audio packets after this one"""
    num_bytes: int | None
    """bytes from the start of this packet to the end of the last packet"""
    delay: int = 0
    """samples to drop in front: the encoder's delay and the decoder's; 0 if no tag gives one"""
    padding: int = 0
    """samples to drop at the end, after subtraction of the decoder's delay"""


def tag_end(read: Read, pos: int, end: int) -> int:
    """Return the end of the run of tags that starts at `pos`; `pos` itself if no tag starts there."""
    while pos < end:
        head = read(pos, min(pos + 32, end))
        if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 0x80:
            size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
            stop = pos + 10 + size + (10 if head[5] & 0x10 else 0)
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            stop = pos + 32 + int.from_bytes(head[12:16], "little")
        elif head[:3] == b"TAG" and pos + 128 <= end:
            stop = pos + 128
        else:
            break
        if stop > end:  # its size is wrong: the bytes after it are searched one by one
            break
        pos = stop
    return pos


def audio_end(read: Read, size: int) -> int:
    """Return the end of the audio: the file's size less the tags at its end, in any order."""
    end = size
    while True:
        tail = read(max(end - 128, 0), end)
        if len(tail) == 128 and tail[:3] == b"TAG":
            end -= 128
        elif tail[-32:-24] == b"APETAGEX":  # a footer: its size counts items and footer, but not the header
            has_header, tag_bytes = tail[-9] & 0x80, int.from_bytes(tail[-20:-16], "little")
            start = end - tag_bytes - 32 * bool(has_header)
            if tag_bytes < 32 or start < 0 or not _is_ape_tag(read(start, start + 64), bool(has_header)):
                return end
            end = start
        elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
            start = end - int(tail[-15:-9]) - 15
            if start < 0 or read(start, start + 11) != b"LYRICSBEGIN":
                return end
            end = start
        else:
            return end


def _is_ape_tag(head: bytes, has_header: bool) -> bool:
    """Return whether an APE tag starts with these bytes: its header, or an item (eight bytes, an ASCII key, a zero).

    The size in a footer may be wrong, and its place may hold audio.
    """
    if has_header:
        return head.startswith(b"APETAGEX")
    key, ended, _ = head[8:].partition(b"\0")
    return head.startswith(b"APETAGEX") or (
        len(key) > 1 and bool(ended) and key.isascii() and key.decode().isprintable()
    )


def in_blocks(read: Read, size: int) -> Read:
    """Return a `read` for tags that reads a block at a time.

    A file may have a tag every ten bytes, and opening the file for each would cost more.
    """
    base, block = 0, b""

    def read_in_blocks(start: int, stop: int) -> bytes:
        nonlocal base, block
        if stop - start > _BLOCK_BYTES // 4:
            return read(start, stop)
        if not base <= start <= stop <= base + len(block):
            base = max(start - _BLOCK_BYTES // 2, 0)
            block = read(base, min(base + _BLOCK_BYTES, size))
        return block[start - base : max(stop, base) - base]

    return read_in_blocks


def parse_info_packet(packet: bytes, header: Header) -> InfoPacket | None:
    """Return the claims of the Layer III packet `packet` about later packets; None if it is plain audio."""
    if header.layer != 3:
        return None
    if packet[36:40] == b"VBRI" and len(packet) >= 54:
        return InfoPacket(num_packets=_number(packet, 50), num_bytes=_number(packet, 46))
    # Encoders put it after the side information. If there is a CRC, some count its two bytes and some do not.
    for start in {header.main_data_offset, HEADER_BYTES + header.side_info_bytes}:
        if packet[start : start + 4] in (b"Xing", b"Info"):
            return _parse_xing(packet, start)
    return None


def _parse_xing(packet: bytes, start: int) -> InfoPacket:
    flags, pos = _number(packet, start + 4), start + 8
    num_packets = num_bytes = None
    if flags & 1:
        num_packets, pos = _number(packet, pos), pos + 4
    if flags & 2:
        num_bytes, pos = _number(packet, pos), pos + 4
    pos += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)  # seek table, quality
    delay = padding = 0
    if len(packet) >= pos + 24 and packet[pos]:  # nine letters of the encoder's name, 12 bytes, then the two delays
        both = int.from_bytes(packet[pos + 21 : pos + 24], "big")
        delay = (both >> 12) + _DECODER_DELAY
        padding = max((both & 0xFFF) - _DECODER_DELAY, 0)
    return InfoPacket(num_packets, num_bytes, delay, padding)


def _number(packet: bytes, pos: int) -> int:
    return int.from_bytes(packet[pos : pos + 4], "big")
