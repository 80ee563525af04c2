"""MPEG audio at the level of packets: walk them, and give the bytes that decode to a window. Bytes in, integers out."""

from flowmo_data.mpeg.holes import missing_packets
from flowmo_data.mpeg.runs import Run, build_run, packet_range
from flowmo_data.mpeg.sections import Gap, Section, section_lengths
from flowmo_data.mpeg.seeking import MovedPacketsError, SeekOffsets, seek_points
from flowmo_data.mpeg.tags import Read, tag_end
from flowmo_data.mpeg.walking import Walk, walk

__all__ = [
    "Gap",
    "MovedPacketsError",
    "Read",
    "Run",
    "Section",
    "SeekOffsets",
    "Walk",
    "build_run",
    "missing_packets",
    "packet_range",
    "section_lengths",
    "seek_points",
    "tag_end",
    "walk",
]
