"""The edit list of an MP4 file: which part of a track's samples is the signal, and which is the encoder's delay.

ISO/IEC 14496-12: boxes in 4.2, `mvhd` in 8.2.2, `tkhd` in 8.3.2, `mdhd` in 8.4.2, `elst` in 8.6.6. iTunes writes the
same numbers as text, in `iTunSMPB`: Apple's QuickTime File Format Specification, appendix G.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from flowmo_data.tracks.mpeg.tags import Read

_MOST_BOXES = 10_000
_MOST_EDITS = 100
_MOST_MOOV = 64 << 20
"""bytes of the description of a file, at most"""
_MOST_PRIMING = 16_384
"""samples of delay, at most; FFmpeg has the same limit"""


class Edit(NamedTuple):
    """A stretch of a track that is to be played."""

    start: int
    """first of its media time, in units of the track's timescale"""
    duration: int
    """duration, in units of the movie's timescale; 0 for up to the end"""


class Edits(NamedTuple):
    """The edit list of a track."""

    timescale: int
    """units of media time in a second"""
    movie_timescale: int
    """units of durations in a second"""
    edits: tuple[Edit, ...]
    """stretches to play; those without media, which delay the track, are left out"""


def read_edits(read: Read, size: int, track_id: int) -> Edits:
    """Return the edit list of a track, without edits if it has none.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        size: bytes of the file.
        track_id: the track's number in the file.
    """
    moov = _moov(read, size)
    movie = _timescale(_box(moov, b"mvhd"))
    for name, content in _boxes(moov):
        if name == b"trak" and _track_id(_box(content, b"tkhd")) == track_id:
            media = _timescale(_box(_box(content, b"mdia"), b"mdhd"))
            edits = _edits(_box(_box(content, b"edts"), b"elst"))
            return Edits(media, movie, edits if media and movie else ())
    return Edits(0, 0, ())


def parse_smpb(text: str, num_samples: int) -> tuple[int, int] | None:
    """Return the half-open range of samples that are the signal, by the text of `iTunSMPB`; None if it is wrong.

    Args:
        text: hexadecimal numbers: 0, the delay in front, the padding at the end, and the length of the signal.
        num_samples: samples of all packets, which the three should add up to.

    >>> parse_smpb(" 00000000 00000840 000001CA 00000000003F31F6 00000000", 0x840 + 0x1CA + 0x3F31F6)
    (2112, 4143670)
    """
    try:
        delay, padding, length = (int(word, 16) for word in text.split()[1:4])
    except ValueError:
        return None
    is_right = length > 0 and delay <= _MOST_PRIMING and delay + length + padding == num_samples
    return (delay, delay + length) if is_right else None


def _moov(read: Read, size: int) -> bytes:
    """Return the content of the box that describes the file; nothing if there is none."""
    start = 0
    for _ in range(_MOST_BOXES):
        head = read(start, start + 16)
        length, header = _length(head, size - start)
        if length < header:
            break
        if head[4:8] == b"moov":
            return read(start + header, min(start + length, start + _MOST_MOOV))
        start += length
    return b""


def _length(head: bytes, rest: int) -> tuple[int, int]:
    """Return the bytes of a box, and of its header; 0 if there is no box."""
    if len(head) < 8:
        return 0, 8
    length = int.from_bytes(head[:4], "big")
    if length == 1:
        return int.from_bytes(head[8:16], "big"), 16
    return (rest if length == 0 else length), 8


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes in a box: the name and the content of each."""
    start = 0
    for _ in range(_MOST_BOXES):
        head = content[start : start + 16]
        length, header = _length(head, len(content) - start)
        if length < header:
            break
        yield head[4:8], content[start + header : start + length]
        start += length


def _box(content: bytes, wanted: bytes) -> bytes:
    """Return the content of the first box of that name; nothing if there is none."""
    return next((inside for name, inside in _boxes(content) if name == wanted), b"")


def _timescale(box: bytes) -> int:
    """Return the timescale in `mvhd` or `mdhd`; 0 if there is none."""
    place = 20 if box[:1] == b"\1" else 12  # behind two dates of 8 or of 4 bytes
    return int.from_bytes(box[place : place + 4], "big")


def _track_id(box: bytes) -> int:
    place = 20 if box[:1] == b"\1" else 12
    return int.from_bytes(box[place : place + 4], "big")


def _edits(box: bytes) -> tuple[Edit, ...]:
    width = 8 if box[:1] == b"\1" else 4
    entry_bytes, found = 2 * width + 4, []
    for number in range(min(int.from_bytes(box[4:8], "big"), _MOST_EDITS)):
        entry = box[8 + number * entry_bytes : 8 + (number + 1) * entry_bytes]
        if len(entry) < entry_bytes:
            break
        duration = int.from_bytes(entry[:width], "big")
        start = int.from_bytes(entry[width : 2 * width], "big", signed=True)
        if start >= 0:
            found.append(Edit(start, duration))
    return tuple(found)
