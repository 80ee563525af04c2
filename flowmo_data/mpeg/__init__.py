"""MPEG audio at the level of packets: walk them, and give the bytes that decode to a window. Bytes in, integers out."""

from flowmo_data.mpeg.runs import Run, build_run, packet_range
from flowmo_data.mpeg.tags import Read, tag_end
from flowmo_data.mpeg.walking import Section, Walk, walk

__all__ = ["Read", "Run", "Section", "Walk", "build_run", "packet_range", "tag_end", "walk"]
