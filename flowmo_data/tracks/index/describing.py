"""A file as a row of the index."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from flowmo_data.errors import AudioFileError
from flowmo_data.sources import Store, held_whole, offset_of, source_at
from flowmo_data.tracks.containers.part import ContainerPart
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.index.schema import CONTAINER, CONTAINER_NUMBERS
from flowmo_data.tracks.mpeg import Section, seek_points
from flowmo_data.tracks.mpeg_part import MpegPart
from flowmo_data.tracks.soundfile_part import SoundFilePart
from flowmo_data.tracks.track import open_track

NOTHING: dict[str, Any] = {
    "size": 0,
    "mtime_ns": 0,
    "digest": 0,
    "offset": 0,
    "format": None,
    "sample_rate": None,
    "channels": None,
    "num_samples": 0,
    "delay": 0,
    "damage": None,
    "losses": [],
    "error": None,
    "parts": [],
}
"""the row of a file about which nothing is known"""


def describe(path: str, name: str, store: Store | None = None) -> dict[str, Any]:
    """Return the row of the file at `path`, under its name in the index. The row of a bad file holds the reason."""
    try:
        os.fsencode(name).decode()
    except UnicodeDecodeError:
        return {**NOTHING, "path": as_text(name), "error": "its name is not UTF-8; rename it to have it indexed"}
    row = {**NOTHING, "path": name}
    try:
        source = held_whole(source_at(path, store))
        row |= {**asdict(source.stamp), "offset": offset_of(source)}
        track = open_track(source)
        parts = [_part_row(part) for part in track.parts]
    except AudioFileError as error:
        return {**row, "error": as_text(error.reason)}
    first = {key: parts[0][key] for key in ("format", "sample_rate", "channels", "delay")}
    num_samples = sum(part["num_samples"] for part in parts)
    damage = {"damage": as_text(track.damage) or None, "losses": [loss._asdict() for loss in track.losses]}
    return {**row, **first, "num_samples": num_samples, **damage, "parts": parts}


def as_text(words: str) -> str:
    """Return a text, with a path in it, as valid UTF-8: other bytes are escaped."""
    return os.fsencode(words).decode(errors="backslashreplace")


def _part_row(part: Any) -> dict[str, Any]:
    row = {name: getattr(part, name) for name in ("format", "sample_rate", "channels", "num_samples")}
    row |= dict.fromkeys(CONTAINER_NUMBERS, 0)
    if isinstance(part, ContainerPart):
        return {**row, **_container_row(part)}
    if isinstance(part, SoundFilePart):
        excerpt = part.excerpt or Excerpt(b"", 0, 0)
        return {
            **row,
            **dict.fromkeys(("delay", "header", "free_bytes", "num_packets", "stated_packets"), 0),
            "end": excerpt.stop,
            "lead": part.lead,
            "last_seek": part.last_seek,
            "excerpt_start": excerpt.start,
            "excerpt_first_sample": excerpt.first_sample,
            "excerpt_head": excerpt.head,
            "points": [],
            "gaps": [],
        }
    assert isinstance(part, MpegPart)
    section = part.section
    first = section.offsets[0]
    return {
        **row,
        "delay": section.delay,
        "header": int.from_bytes(part.source.read(first, first + 4), "big"),
        "free_bytes": section.free_bytes,
        "num_packets": section.num_packets,
        "stated_packets": section.stated_packets,
        "end": section.end,
        "lead": 0,
        "last_seek": 0,
        "excerpt_start": 0,
        "excerpt_first_sample": 0,
        "excerpt_head": b"",
        "points": list(seek_points(section)),
        "gaps": _gap_rows(section),
    }


def _container_row(part: ContainerPart) -> dict[str, Any]:
    return {
        **dict.fromkeys(("free_bytes", "stated_packets", "lead", "last_seek", "excerpt_first_sample"), 0),
        **{name: getattr(part, name) for name in (*CONTAINER_NUMBERS, "delay", "num_packets")},
        "header": CONTAINER,
        "end": part.excerpt.stop,
        "excerpt_start": part.excerpt.start,
        "excerpt_head": b"",
        "points": [*part.points, *part.point_samples],
        "gaps": [],
    }


def _gap_rows(section: Section) -> list[dict[str, int]]:
    return [
        {
            "packet": gap.packet,
            "start": gap.start,
            "lost_bytes": gap.lost_bytes,
            "resumes": section.offsets[gap.packet],
        }
        for gap in section.gaps
    ]
