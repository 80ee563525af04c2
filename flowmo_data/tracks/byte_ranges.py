"""The bytes that a window of a part needs, to fetch them ahead of their use. Nothing is read here."""

from __future__ import annotations

from flowmo_data.sources import Source
from flowmo_data.tracks.containers.kinds import BARE
from flowmo_data.tracks.containers.part import ContainerPart
from flowmo_data.tracks.mpeg import SeekOffsets, usual_bytes
from flowmo_data.tracks.mpeg_part import MpegPart
from flowmo_data.tracks.parts import CutPart, Part, ResampledPart
from flowmo_data.tracks.soundfile_part import SoundFilePart

_ENDS_BYTES = 1 << 16
"""bytes at both ends of a file that libsndfile looks at when it opens it: headers, and the last Ogg page"""
_MARGIN_BYTES = 1 << 16
"""bytes on both sides of the place where a window is looked for"""
_TABLE_BYTES = 8
"""bytes of the tables of an MP4 file for each packet, about"""
_RESAMPLING_SAMPLES = 4_096
"""more samples than the filters of ordinary rates reach"""


def source_of(part: Part) -> Source:
    """Return the file that a part is read from."""
    if isinstance(part, (CutPart, ResampledPart)):
        return source_of(part.part)
    assert isinstance(part, (ContainerPart, MpegPart, SoundFilePart))
    return part.source


def byte_ranges(part: Part, start: int, stop: int) -> list[tuple[int, int]]:
    """Return the ranges of bytes that reading the samples `[start, stop)` of a part needs, as far as they are known.

    For MPEG audio of an index, these are the packets. For other formats, they are the ends of the file, and the place
    where the samples are if every sample takes as many bytes. The list is empty if nothing is known.
    """
    if isinstance(part, CutPart):
        return byte_ranges(part.part, part.start + start, part.start + stop)
    if isinstance(part, ResampledPart):
        old, new = part.reduced_rates
        first = max(start * old // new - _RESAMPLING_SAMPLES, 0)
        return byte_ranges(part.part, first, min(stop * old // new + _RESAMPLING_SAMPLES, part.part.num_samples))
    if isinstance(part, MpegPart):
        return [usual_bytes(part.section, start, stop)] if isinstance(part.section.offsets, SeekOffsets) else []
    if isinstance(part, ContainerPart):
        return _container_ranges(part, start, stop)
    assert isinstance(part, SoundFilePart)
    size = part.source.stamp.size
    begin, end = (part.excerpt.start, part.excerpt.stop) if part.excerpt else (0, size)
    bytes_per_sample = (end - begin) / max(part.num_samples, 1)
    from_start = max(start - part.lead, 0) if part.last_seek else 0
    first = int(begin + from_start * bytes_per_sample) - _MARGIN_BYTES
    last = int(begin + stop * bytes_per_sample) + _MARGIN_BYTES
    return merged([(0, _ENDS_BYTES), (begin, begin + _ENDS_BYTES), (first, last), (end - _ENDS_BYTES, end)], size)


def _container_ranges(part: ContainerPart, start: int, stop: int) -> list[tuple[int, int]]:
    """Return the ranges for a container: its ends with its tables, and the place where the packets are."""
    begin, end = part.excerpt.start, part.excerpt.stop
    mean = part.packet_samples or max((part.delay + part.num_samples) // part.num_packets, 1)
    first = max((part.delay + start) // mean - part.preroll, 0) // part.packets_per_point
    last = (part.delay + stop) // mean // part.packets_per_point + 1
    if not len(part.points):
        return [(begin, end)]
    if part.demuxer in BARE:
        last_byte = int(part.points[last]) + _MARGIN_BYTES if last < len(part.points) else end - begin
        return merged([(begin + int(part.points[first]), begin + last_byte)], end)
    ends = _ENDS_BYTES + _TABLE_BYTES * part.num_packets
    bytes_per_point = (end - begin) * part.packets_per_point / part.num_packets
    place = (int(first * bytes_per_point) - _MARGIN_BYTES, int(last * bytes_per_point) + _MARGIN_BYTES)
    return merged([(0, ends), place, (end - ends, end)], end)


def merged(ranges: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Return ranges in order, cut to `[0, size)`, and joined where they touch.

    >>> merged([(90, 200), (-5, 10), (8, 20)], 100)
    [(0, 20), (90, 100)]
    """
    found: list[tuple[int, int]] = []
    for start, stop in sorted((max(start, 0), min(stop, size)) for start, stop in ranges):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(stop, found[-1][1])
        elif start < stop:
            found.append((start, stop))
    return found
