"""MPEG audio packets: find them, and give the bytes that decode to a window. Bytes in, integers out."""

from flowmo_data.tracks.mpeg.runs import Packets, Run, build_run, packet_range, read_packets, usual_bytes
from flowmo_data.tracks.mpeg.sections import Gap, Section, missing_packets, section_lengths
from flowmo_data.tracks.mpeg.seeking import MovedPacketsError, SeekOffsets, seek_points
from flowmo_data.tracks.mpeg.tags import Read, tag_end
from flowmo_data.tracks.mpeg.walking import Walk, walk

__all__ = [
    "Gap",
    "MovedPacketsError",
    "Packets",
    "Read",
    "Run",
    "Section",
    "SeekOffsets",
    "Walk",
    "build_run",
    "missing_packets",
    "packet_range",
    "read_packets",
    "section_lengths",
    "seek_points",
    "tag_end",
    "usual_bytes",
    "walk",
]
