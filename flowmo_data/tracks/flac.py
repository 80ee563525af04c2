"""FLAC streams (RFC 9639): their frame headers, and the length that these give. Pure functions: bytes in, integers out.

A FLAC frame does not state its length in bytes. The next one is found by its header: two bytes of sync, fields that
agree with the stream's, the number that follows on, and a CRC-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from flowmo_data.tracks.flac_headers import (
    HEAD_BYTES,
    HEADER_BYTES,
    MARKER,
    MARKER_AND_STREAMINFO,
    FrameHeader,
    StreamInfo,
    frame_pattern,
    headers_in,
    parse_stream_info,
    with_num_samples,
)
from flowmo_data.tracks.mpeg.tags import Read

MOST_STREAMS = 1_000
"""streams of a file that are looked at: hostile bytes may have one every 42 bytes"""
_CHUNK = 1 << 20
"""bytes read at a time"""
_PROBE = 1 << 15
"""bytes in which a frame header is looked for; a frame of two channels of 16 bits has at most 16 kB"""
_NUM_PROBES = 8


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
    has_others: bool = False
    """whether something is between its frames: frames that do not follow on, or more bytes than a frame can have"""

    def head(self, read: Read, num_samples: int) -> bytes:
        """Return a header that states `num_samples` samples, for the frames from `frames_start` on."""
        return with_num_samples(read(self.start, self.start + HEAD_BYTES), num_samples)


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
    pattern, known = frame_pattern(found.info), FrameHeader(found.frames_start - 1, -1, 0)
    step = max((size - found.frames_start) // _NUM_PROBES, _PROBE)
    for place in [*range(found.frames_start, size - _PROBE, step), max(size - 2 * _PROBE, found.frames_start)]:
        data = read(place, min(place + 2 * _PROBE, size))
        if re.search(MARKER_AND_STREAMINFO, data):
            return False
        headers = [frame._replace(offset=place + frame.offset) for frame in headers_in(data, pattern, found.info)]
        frames = [frame for frame in headers if frame.offset > known.offset]
        chained = [one for one, other in pairwise(frames) if one.stop == other.start]
        if (not chained and len(frames) != 1) or (known.start < 0 and frames[0].start):
            return False
        for frame in chained or frames:
            if known.start >= 0 and not _can_follow(known, frame, found.info):
                return False
            known = frame
    return max(frame.stop for frame in frames) == found.info.num_samples


def _can_follow(one: FrameHeader, other: FrameHeader, info: StreamInfo) -> bool:
    """Return whether a frame may be behind another: it has later samples, and no more bytes are between than fit."""
    num_samples = other.start - one.start
    return num_samples > 0 and other.offset - one.offset <= info.most_bytes(num_samples)


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
    info = parse_stream_info(read(start, start + HEAD_BYTES))
    if info is None:
        return None
    place, is_last = start + len(MARKER), False
    while not is_last and place + 4 <= size:
        block = read(place, place + 4)
        is_last = block[0] >= 0x80
        place += 4 + int.from_bytes(block[1:], "big")
    return FlacStream(info, start, min(place, size), size)


def frame_headers(read: Read, start: int, size: int) -> list[FrameHeader]:
    """Return the frames of the stream that starts at byte `start`, by their first samples.

    Of damaged files, some frames may be there twice, in the order of their places.
    """
    stream = _open(read, start, size)
    if stream is None:
        return []
    known = {(frame.start, frame.stop) for frame in _chain(stream, read)}
    found = [frame for frame in _all_headers(stream, read) if (frame.start, frame.stop) in known]
    return sorted(found, key=lambda frame: (frame.start, frame.offset))


def _walk_stream(stream: FlacStream, read: Read) -> None:
    """Find a stream's frames, and the byte at which it ends."""
    last: FrameHeader | None = None
    for frame in _chain(stream, read):
        if last is None:
            stream.first_sample = frame.start
        else:
            stream.has_others |= not _can_follow(last, frame, stream.info)
            if frame.start != last.stop:
                stream.lost.append((last.stop - stream.first_sample, frame.start - stream.first_sample))
        last = frame
    if last is not None:
        stream.last_frame, stream.last_frame_start = last.start - stream.first_sample, last.offset
        stream.num_samples = last.stop - stream.first_sample
        stream.has_others |= stream.stop - last.offset > stream.info.most_bytes(last.stop - last.start)


def _chain(stream: FlacStream, read: Read) -> Iterator[FrameHeader]:
    """Yield a stream's frames: those that follow on, and if one is missing, the next two that do."""
    expected, pending = -1, None
    stream.has_others = False
    for frame in _all_headers(stream, read):
        if expected >= 0 and frame.start != expected:  # one is missing, or these bytes only look like a header
            follows = pending is not None and pending.stop == frame.start and pending.start > expected
            if not follows:
                stream.has_others |= pending is not None and pending.stop == frame.start
                pending = frame
                continue
            assert pending is not None
            yield pending
        expected, pending = frame.stop, None
        yield frame


def _all_headers(stream: FlacStream, read: Read) -> Iterator[FrameHeader]:
    """Yield all that looks like a header of the stream's frames; shorten the stream to where another one starts."""
    pattern, place = frame_pattern(stream.info), stream.frames_start
    while place < stream.stop:
        data = read(place, min(place + _CHUNK, stream.stop))
        another = re.search(MARKER_AND_STREAMINFO, data)
        if another:
            stream.stop = place + another.start()
            data = data[: another.start()]
        limit = len(data) if place + len(data) >= stream.stop else len(data) - HEADER_BYTES
        for frame in headers_in(data, pattern, stream.info):
            if frame.offset < limit:
                yield frame._replace(offset=place + frame.offset)
        place += limit
