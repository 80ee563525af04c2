"""Headers of FLAC streams and frames (RFC 9639, sections 8 and 9). Pure functions: bytes in, integers out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MARKER = b"fLaC"
HEAD_BYTES = 42
"""bytes of the marker, a metadata block's header, and STREAMINFO (section 8.2)"""
MARKER_AND_STREAMINFO = rb"fLaC[\x00\x80]\x00\x00\x22"
HEADER_BYTES = 16
"""bytes of the longest frame header (section 9.1)"""
_RATES = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
"""Hz, by code (section 9.1.2); 0: as in STREAMINFO"""
_BITS = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6, 32: 7}
"""codes of the bits of a sample (section 9.1.4)"""


def _crc8_table() -> bytes:
    """Return the CRC-8 of every byte: polynomial x^8 + x^2 + x + 1 (section 9.1.8)."""
    table = list(range(256))
    for _ in range(8):
        table = [(crc << 1 ^ 0x107) if crc & 0x80 else crc << 1 for crc in table]
    return bytes(table)


_CRC8 = _crc8_table()


class StreamInfo(NamedTuple):
    """Fields of STREAMINFO (section 8.2)."""

    block: int
    """samples in a frame, if all have as many; the most of all frames otherwise"""
    rate: int
    """sample rate, Hz"""
    channels: int
    """channels"""
    bits: int
    """bits of a sample"""
    num_samples: int
    """samples per channel; 0 if they were not known when the header was written"""

    def most_bytes(self, num_samples: int) -> int:
        """Return the bytes that so many samples have at most: as they are, and a side channel with one bit more."""
        return num_samples * self.channels * (self.bits + 1) // 8 + num_samples // 8 + 64


class FrameHeader(NamedTuple):
    """The place of a frame."""

    offset: int
    """its first byte"""
    start: int
    """its first sample"""
    stop: int
    """one past its last sample"""


def with_num_samples(head: bytes, num_samples: int) -> bytes:
    """Return a stream's first 42 bytes with another number of samples, and as if no other metadata followed."""
    changed = bytearray(head)
    changed[4] |= 0x80  # the last metadata block
    changed[21] = changed[21] & 0xF0 | num_samples >> 32 & 0x0F
    changed[22:26] = (num_samples & 0xFFFF_FFFF).to_bytes(4, "big")
    return bytes(changed)


def parse_stream_info(head: bytes) -> StreamInfo | None:
    """Return the fields of a stream's first 42 bytes; None if these are not the header of a stream."""
    if len(head) < HEAD_BYTES or not re.match(MARKER_AND_STREAMINFO, head):
        return None
    packed = int.from_bytes(head[18:26], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    return StreamInfo(int.from_bytes(head[10:12], "big"), rate, channels, bits, packed & (1 << 36) - 1)


def frame_pattern(info: StreamInfo) -> re.Pattern[bytes]:
    """Return the pattern of the first 4 bytes of a stream's frames: sync, and fields that agree with STREAMINFO."""
    rates = [0, 12, 13, 14] + [code for code, rate in enumerate(_RATES) if rate == info.rate]
    blocks = [code << 4 | rate for code in range(1, 16) for rate in rates]
    channels = [info.channels - 1, *((8, 9, 10) if info.channels == 2 else ())]
    bits = [0, *([_BITS[info.bits]] if info.bits in _BITS else [])]
    shapes = [code << 4 | width << 1 for code in channels for width in bits]
    choices = [b"".join(b"\\x%02x" % byte for byte in sorted(set(each))) for each in (blocks, shapes)]
    return re.compile(rb"\xff[\xf8\xf9][%b][%b]" % tuple(choices))


def headers_in(data: bytes, pattern: re.Pattern[bytes], info: StreamInfo) -> Iterator[FrameHeader]:
    """Yield all that looks like the header of a frame, with its place in `data`."""
    for match in pattern.finditer(data):
        frame = parse_frame_header(data[match.start() : match.start() + HEADER_BYTES], info)
        if frame is not None:
            yield frame._replace(offset=match.start())


def parse_frame_header(head: bytes, info: StreamInfo) -> FrameHeader | None:
    """Return the place of a frame from the bytes of its header; None if its CRC or another field is wrong."""
    if len(head) < 6:
        return None
    length = 8 - (head[4] ^ 0xFF).bit_length() if head[4] >= 0x80 else 1  # ones in front, as in UTF-8 (section 9.1.5)
    if head[4] in (0xFF, *range(0x80, 0xC0)) or len(head) < 5 + length:
        return None
    number = head[4] & 0x7F >> (length - 1 if length == 1 else length)
    for byte in head[5 : 4 + length]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    place = 4 + length
    code, rate = head[2] >> 4, head[2] & 0x0F
    extra = {6: 1, 7: 2}.get(code, 0)
    stop = place + extra + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if len(head) <= stop:
        return None
    crc = 0
    for byte in head[:stop]:
        crc = _CRC8[crc ^ byte]
    if crc != head[stop]:
        return None
    block = int.from_bytes(head[place : place + extra], "big") + 1 if extra else _block(code)
    start = number if head[1] & 1 else number * info.block
    return FrameHeader(0, start, start + block)


def _block(code: int) -> int:
    """Return the samples of a frame by code (section 9.1.1)."""
    return 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8
