"""FLAC streams (RFC 9639): their frame headers, and the length that these give. Pure functions: bytes in, integers out.

A FLAC frame does not state its length in bytes. The next one is found by its header: two bytes of sync, fields that
agree with the stream's, the number that follows on, and a CRC-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from flowmo_data.tracks.mpeg.tags import Read

MARKER = b"fLaC"
_STREAMINFO_BYTES = 42
"""bytes of the marker, a metadata block's header, and STREAMINFO (section 8.2)"""
_MARKER_AND_STREAMINFO = rb"fLaC[\x00\x80]\x00\x00\x22"
_HEADER_BYTES = 16
"""bytes of the longest frame header (section 9.1)"""
MOST_STREAMS = 1_000
"""streams of a file that are looked at: hostile bytes may have one every 42 bytes"""
_CHUNK = 1 << 20
"""bytes read at a time"""
_PROBE = 1 << 15
"""bytes in which a frame header is looked for; a frame of two channels of 16 bits has at most 16 kB"""
_NUM_PROBES = 8
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


class FrameHeader(NamedTuple):
    """The place of a frame."""

    offset: int
    """its first byte"""
    start: int
    """its first sample"""
    stop: int
    """one past its last sample"""


@dataclass(slots=True)
class FlacStream:
    """One FLAC stream of a file."""

    info: StreamInfo
    """its header"""
    start: int
    """byte at which its header starts"""
    frames_start: int
    """byte at which its metadata ends"""
    stop: int
    """byte at which the next stream starts, or the file ends"""
    first_sample: int = 0
    """number of its first sample: not 0 if the stream was cut out of another"""
    last_frame: int = 0
    """first sample of its last frame"""
    last_frame_start: int = 0
    """byte at which its last frame starts"""
    num_samples: int = 0
    """samples up to the end of its last frame"""
    lost: list[tuple[int, int]] = field(default_factory=list)
    """half-open ranges of samples with frames that were not found"""

    def head(self, read: Read, num_samples: int) -> bytes:
        """Return a header that states `num_samples` samples, for the frames from `frames_start` on."""
        head = bytearray(read(self.start, self.start + _STREAMINFO_BYTES))
        head[4] |= 0x80  # the last metadata block: no other one follows
        head[21] = head[21] & 0xF0 | num_samples >> 32 & 0x0F
        head[22:26] = (num_samples & 0xFFFF_FFFF).to_bytes(4, "big")
        return bytes(head)


def parse_stream_info(head: bytes) -> StreamInfo | None:
    """Return the fields of a stream's first 42 bytes; None if these are not the header of a stream."""
    if len(head) < _STREAMINFO_BYTES or not re.match(_MARKER_AND_STREAMINFO, head):
        return None
    packed = int.from_bytes(head[18:26], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    return StreamInfo(int.from_bytes(head[10:12], "big"), rate, channels, bits, packed & (1 << 36) - 1)


def samples_in_frame(read: Read, start: int) -> int:
    """Return the number of samples in a frame of the stream that starts at byte `start`; 0 if there is no stream."""
    info = parse_stream_info(read(start, start + _STREAMINFO_BYTES))
    return info.block if info else 0


def is_as_stated(read: Read, start: int, size: int) -> bool:
    """Return whether a file holds one stream that has as many samples as its header states, by a few of its frames.

    Frames from all over the file must be in order, and the last one must end where the stream does.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        start: byte at which the stream starts.
        size: bytes of the file.
    """
    found = _open(read, start, size)
    if found is None or not found.info.num_samples:
        return False
    pattern, last = _pattern(found.info), -1
    step = max((size - found.frames_start) // _NUM_PROBES, _PROBE)
    for place in [*range(found.frames_start, size - _PROBE, step), max(size - 2 * _PROBE, found.frames_start)]:
        data = read(place, min(place + 2 * _PROBE, size))
        if re.search(_MARKER_AND_STREAMINFO, data):
            return False
        frames = [frame for frame in _headers(data, pattern, found.info) if frame.start > last]
        chained = [one for one, other in pairwise(frames) if one.stop == other.start]
        if (not chained and len(frames) != 1) or (last < 0 and frames[0].start):
            return False
        last = (chained or frames)[0].start
    return max(frame.stop for frame in frames) == found.info.num_samples


def walk_flac(read: Read, start: int, size: int) -> list[FlacStream]:
    """Return the streams of a file, one for each header in it, by all of its frame headers; the first 1,000.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        start: byte at which the first stream starts.
        size: bytes of the file.
    """
    streams: list[FlacStream] = []
    while len(streams) < MOST_STREAMS and (stream := _open(read, start, size)) is not None:
        streams.append(stream)
        _walk_stream(stream, read)
        start = stream.stop
    return streams


def _open(read: Read, start: int, size: int) -> FlacStream | None:
    """Return a stream of which no frame has been looked for; None if none starts at `start`."""
    info = parse_stream_info(read(start, start + _STREAMINFO_BYTES))
    if info is None:
        return None
    place, is_last = start + len(MARKER), False
    while not is_last and place + 4 <= size:
        block = read(place, place + 4)
        is_last = block[0] >= 0x80
        place += 4 + int.from_bytes(block[1:], "big")
    return FlacStream(info, start, min(place, size), size)


def _walk_stream(stream: FlacStream, read: Read) -> None:
    """Find a stream's frames, and the byte at which it ends."""
    expected, pending = -1, None
    for frame in _all_headers(stream, read):
        if expected < 0:
            stream.first_sample = expected = frame.start
        if frame.start != expected:  # a frame is missing before it, or these bytes only look like a header
            follows = pending is not None and pending.stop == frame.start and pending.start > expected
            if not follows:
                pending = frame
                continue
            assert pending is not None
            stream.lost.append((expected - stream.first_sample, pending.start - stream.first_sample))
        stream.last_frame, expected, pending = frame.start - stream.first_sample, frame.stop, None
        stream.last_frame_start = frame.offset
    stream.num_samples = max(expected, 0) - stream.first_sample


def _all_headers(stream: FlacStream, read: Read) -> Iterator[FrameHeader]:
    """Yield all that looks like a header of the stream's frames; shorten the stream to where another one starts."""
    pattern, place = _pattern(stream.info), stream.frames_start
    while place < stream.stop:
        data = read(place, min(place + _CHUNK, stream.stop))
        another = re.search(_MARKER_AND_STREAMINFO, data)
        if another:
            stream.stop = place + another.start()
            data = data[: another.start()]
        limit = len(data) if place + len(data) >= stream.stop else len(data) - _HEADER_BYTES
        for frame in _headers(data, pattern, stream.info):
            if frame.offset < limit:
                yield frame._replace(offset=place + frame.offset)
        place += limit


def _pattern(info: StreamInfo) -> re.Pattern[bytes]:
    """Return the pattern of the first 4 bytes of a stream's frames: sync, and fields that agree with STREAMINFO."""
    rates = [0, 12, 13, 14] + [code for code, rate in enumerate(_RATES) if rate == info.rate]
    blocks = [code << 4 | rate for code in range(1, 16) for rate in rates]
    channels = [info.channels - 1, *((8, 9, 10) if info.channels == 2 else ())]
    bits = [0, *([_BITS[info.bits]] if info.bits in _BITS else [])]
    shapes = [code << 4 | width << 1 for code in channels for width in bits]
    choices = [b"".join(b"\\x%02x" % byte for byte in sorted(set(each))) for each in (blocks, shapes)]
    return re.compile(rb"\xff[\xf8\xf9][%b][%b]" % tuple(choices))


def _headers(data: bytes, pattern: re.Pattern[bytes], info: StreamInfo) -> Iterator[FrameHeader]:
    for match in pattern.finditer(data):
        frame = parse_frame_header(data[match.start() : match.start() + _HEADER_BYTES], info)
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
