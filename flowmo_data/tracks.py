"""A file, opened: what is in it, exactly how long it is, and how to read any window of it.

MPEG audio is read by packets. Everything else (WAV, FLAC, Ogg, AIFF and what else libsndfile knows) is read through
windows of a handle that is opened for the window: that costs a few hundredths of a millisecond, and no handle has to
survive a fork, a thousand files, or the file's replacement. The bytes decide which of the two it is, not the name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import soundfile

from flowmo_data.errors import AudioFileError
from flowmo_data.losses import Loss
from flowmo_data.mpeg import Walk, missing_packets, tag_end, walk
from flowmo_data.mpeg.tags import in_blocks
from flowmo_data.packets import MpegPart
from flowmo_data.parts import Part
from flowmo_data.soundfiles import open_soundfile
from flowmo_data.sources import Source

_OTHER_FORMATS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"fLaC", b"OggS", b".snd", b"caff", b"NIST", b"Creative")
"""how files start that libsndfile is for. It is not asked about others: mpg123 would tell of its search on stderr"""


@dataclass(frozen=True, slots=True)
class Track:
    """One readable audio file."""

    path: str
    """absolute"""
    parts: tuple[Part, ...]
    """one; several where the sample rate or the channels change inside the file, as in files that were joined"""
    damage: str = ""
    """what is wrong inside, in words; empty where nothing is"""
    losses: tuple[Loss, ...] = ()
    """what is missing from it, in the order of the file"""


def open_track(path: str, decoder: str) -> Track:
    """Look at a file: find its packets, or read its header.

    Args:
        path: the file.
        decoder: the name of an installed decoder, for MPEG audio.

    Raises:
        AudioFileError: there is no audio in it that can be read, or no access to it.
    """
    source = Source.at(path)
    if not source.stamp.size:
        raise AudioFileError.of(path, "the file is empty (0 bytes)")
    audio_start = tag_end(in_blocks(source.read, source.stamp.size), 0, source.stamp.size)
    head = source.read(audio_start, audio_start + 12)
    reason = f"and its first bytes, {head!r}, are those of no other format" if head else "and nothing but tags"
    if head.startswith(_OTHER_FORMATS):
        try:
            part, damage, losses = open_soundfile(source)
            return Track(path, (part,), damage, losses)
        except soundfile.LibsndfileError as error:
            reason = f"and libsndfile, which its first bytes are for, says: {error.error_string}"
    track = _open_mpeg(source, decoder)
    if track is None:
        size = source.stamp.size
        raise AudioFileError.of(path, f"no MPEG audio packets in its {size} bytes, {reason}; is it audio, and whole?")
    return track


def _open_mpeg(source: Source, decoder: str) -> Track | None:
    found = walk(source.read, source.stamp.size)
    if not found.sections:
        return None
    parts = tuple(MpegPart(source, section, decoder) for section in found.sections)
    return Track(source.path, parts, "; ".join(_damage(found)), tuple(_losses(found)))


def _damage(found: Walk) -> Iterator[str]:
    sections = found.sections
    if found.lost_bytes:
        yield f"{found.lost_bytes} bytes inside are no audio packets"
    if found.trailing_bytes:
        yield f"{found.trailing_bytes} bytes at its end are no whole audio packet"
    missing = sum(max(section.stated_packets - section.num_packets, 0) for section in sections)
    if missing:
        there = sum(section.num_packets for section in sections)
        yield f"its header states {there + missing} audio packets and {there} are there"


def _losses(found: Walk) -> Iterator[Loss]:
    before = 0.0  # seconds of the sections before
    for section in found.sections:
        header = section.header
        packet_seconds = header.samples_per_packet / header.sample_rate
        trailing_bytes = found.trailing_bytes if section is found.sections[-1] else 0
        for packet, count in missing_packets(section, trailing_bytes).items():
            start = packet * packet_seconds - section.delay / header.sample_rate
            yield Loss(before + max(start, 0.0), count * packet_seconds, count)
        before += section.num_samples / header.sample_rate
