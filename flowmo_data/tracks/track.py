"""A file, opened: what is in it, exactly how long it is, and how to read any window of it.

MPEG audio is read by packets. Everything else (WAV, FLAC, Ogg, AIFF and what else libsndfile knows) is read through
windows of a handle that is opened for the window: that costs a few hundredths of a millisecond, and no handle has to
survive a fork, a thousand files, or the file's replacement. The bytes decide which of the two it is, not the name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import soundfile

from flowmo_data.errors import AudioFileError, SampleRateError
from flowmo_data.sources import Source
from flowmo_data.tracks.mpeg import Walk, missing_packets, tag_end, walk
from flowmo_data.tracks.mpeg.tags import in_blocks
from flowmo_data.tracks.mpeg_part import MpegPart
from flowmo_data.tracks.parts import Loss, Part, ResampledPart, refusal
from flowmo_data.tracks.soundfile_part import open_soundfile

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


@dataclass(frozen=True, slots=True)
class Timeline:
    """A track's parts at one sample rate, one after the other.

        samples      0 ............. a ........... num_samples
        parts        [ parts[0]      )[ parts[1]             )
        a frame              [ .......|.... )

    A frame may lie across parts, and begin or end outside of all.
    """

    path: str
    """absolute"""
    parts: tuple[Part, ...]
    """all of the same sample rate"""

    @property
    def num_samples(self) -> int:
        """Samples per channel."""
        return sum(part.num_samples for part in self.parts)

    def windows(self, start: int, stop: int) -> Iterator[tuple[Part, int, int]]:
        """The parts that `[start, stop)` touches, each with the half-open range of its own samples."""
        offset = 0
        for part in self.parts:
            begin, end = max(start - offset, 0), min(stop - offset, part.num_samples)
            if begin < end:
                yield part, begin, end
            offset += part.num_samples


def open_track(source: Source) -> Track:
    """Look at a file: find its packets, or read its header.

    Raises:
        AudioFileError: there is no audio in it that can be read, or no access to it.
    """
    path = source.path
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
    track = _open_mpeg(source)
    if track is None:
        size = source.stamp.size
        raise AudioFileError.of(path, f"no MPEG audio packets in its {size} bytes, {reason}; is it audio, and whole?")
    return track


def _open_mpeg(source: Source) -> Track | None:
    found = walk(source.read, source.stamp.size)
    if not found.sections:
        return None
    parts = tuple(MpegPart(source, section) for section in found.sections)
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


def at_sample_rate(track: Track, sr: int, *, on_other_rate: str) -> Timeline:
    """The track's timeline at `sr` Hz.

    Args:
        track: the track.
        sr: sample rate of the timeline, Hz.
        on_other_rate: what to do with a part at another rate: "resample", "skip" or "raise".

    Returns:
        The timeline, without the parts that are skipped.

    Raises:
        AudioFileError: a part has a rate that cannot be resampled.
        SampleRateError: a part has another rate and that is to be raised, or all are skipped.
    """
    if on_other_rate == "resample":
        for part in track.parts:
            if part.sample_rate != sr and (reason := refusal(part.sample_rate, sr)):
                raise AudioFileError.of(track.path, reason)
        parts = tuple(part if part.sample_rate == sr else ResampledPart(part, sr) for part in track.parts)
    else:
        parts = tuple(part for part in track.parts if part.sample_rate == sr)
    if not parts or (on_other_rate == "raise" and len(parts) < len(track.parts)):
        other = " and ".join(str(rate) for rate in sorted({part.sample_rate for part in track.parts} - {sr}))
        raise SampleRateError.of(
            track.path, f"its sample rate is {other} Hz and not sr={sr}; on_other_rate='resample' would convert it"
        )
    return Timeline(track.path, parts)
