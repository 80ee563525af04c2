"""Decode the frames of a damaged FLAC file one by one.

libFLAC seeks by the numbers in frame headers, and loses its way where frames are missing, or are there twice. Here each
frame is decoded as a file of its own: its checksum decides, and nothing around it matters.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.decoding.window import Stretch
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.flac import frame_headers
from flowmo_data.tracks.flac_headers import HEAD_BYTES, FrameHeader, with_num_samples
from flowmo_data.tracks.mpeg.tags import in_blocks, tag_end
from flowmo_data.tracks.soundfile_part import SoundFilePart, open_excerpt, read_what_comes


def read_frames(part: SoundFilePart, start: int, stop: int) -> tuple[npt.NDArray[np.float32], list[Stretch]]:
    """Read the samples `[start, stop)` of a part; return them, and the stretches that are silent for want of data."""
    head, frames, stops = _frames(part)
    out = scratch(stop - start, part.channels, name="in frames")
    out[:] = 0
    lost, place = [], start
    first = part.excerpt.first_sample if part.excerpt else 0
    index = bisect_right(frames, first + start, key=lambda frame: frame.stop)
    for frame in frames[index:]:
        begin, end = max(frame.start - first, place), min(frame.stop - first, stop)
        if frame.start - first >= stop:
            break
        if begin >= end:  # the same as before
            continue
        samples = _decode(part, head, frame, stops[frame.offset])
        if not len(samples):
            continue
        out[begin - start : end - start] = samples[begin + first - frame.start : end + first - frame.start]
        if place < begin:
            lost.append((place - start, begin - start))
        place = end
    if place < stop:
        lost.append((place - start, stop - start))
    return out, lost


def _decode(part: SoundFilePart, head: bytes, frame: FrameHeader, stop: int) -> npt.NDArray[np.float32]:
    """Decode a frame; none of its samples if it is damaged."""
    num_samples = frame.stop - frame.start
    excerpt = Excerpt(with_num_samples(head, frame.stop), frame.offset, stop, frame.start)
    try:
        with open_excerpt(part.source, excerpt) as opened:
            out = scratch(num_samples, part.channels)
            num_read = read_what_comes(opened, out) if opened.channels == part.channels else 0
            return out[: num_read if num_read == num_samples else 0]
    except soundfile.LibsndfileError:
        return scratch(0, part.channels)


@lru_cache(maxsize=4)
def _frames(part: SoundFilePart) -> tuple[bytes, list[FrameHeader], dict[int, int]]:
    """Return a part's header, its frames, with their places in the file, and the ends of these places.

    The last few parts are kept: to look for frames reads the whole file.
    """
    source, excerpt = part.source, part.excerpt
    if excerpt is None:
        start, size = tag_end(in_blocks(source.read, source.stamp.size), 0, source.stamp.size), source.stamp.size
        head, frames = source.read(start, start + HEAD_BYTES), frame_headers(source.read, start, size)
    else:
        head, shift, size = excerpt.head, excerpt.start - len(excerpt.head), excerpt.stop

        def read(start: int, stop: int) -> bytes:
            return head[start:stop] + source.read(max(start, len(head)) + shift, max(stop, len(head)) + shift)

        frames = frame_headers(read, 0, size - shift)
        frames = [frame._replace(offset=frame.offset + shift) for frame in frames]
    offsets = sorted(frame.offset for frame in frames)
    return head, frames, dict(zip(offsets, [*offsets[1:], size], strict=True))
