"""An opened file: its contents, its exact length, and the parts from which any window of it is read.

MPEG audio is read by packets. All other formats (WAV, FLAC, Ogg, AIFF and the rest that libsndfile knows) are read
through a handle that is opened for each window. That costs a few hundredths of a millisecond, and no handle has to
survive a fork, a thousand files, or the file's replacement. The bytes of the file decide between the two, not its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import soundfile

from flowmo_data.errors import AudioFileError, SampleRateError
from flowmo_data.runtime.extras import is_installed
from flowmo_data.sources import Source
from flowmo_data.tracks.containers.kinds import demuxer_of
from flowmo_data.tracks.containers.opening import open_container
from flowmo_data.tracks.mpeg import Walk, missing_packets, tag_end, walk
from flowmo_data.tracks.mpeg.tags import in_blocks
from flowmo_data.tracks.mpeg_in_wav import packets_end
from flowmo_data.tracks.mpeg_part import MpegPart
from flowmo_data.tracks.parts import Loss, Part, ResampledPart, refusal
from flowmo_data.tracks.soundfile_opening import open_soundfile

_OTHER_FORMATS = (
    b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff", b"FORM", b"fLaC", b"OggS", b".snd", b"dns.", b"caff", b"NIST",
    b"Creative",
)  # fmt: skip
"""first bytes of files for libsndfile. Others are not passed to it: mpg123 would print its search to stderr"""


_ALSO_CONTAINERS = (b"caff",)
"""first bytes of files that FFmpeg gets if libsndfile refuses them: AAC, and ALAC of other encoders, in CAF"""


@dataclass(frozen=True, slots=True)
class Track:
    """One readable audio file."""

    path: str
    """absolute path"""
    parts: tuple[Part, ...]
    """one part; several if the sample rate or the channels change inside the file, as in files that were joined"""
    damage: str = ""
    """problems inside the file, in words; empty if there are none"""
    losses: tuple[Loss, ...] = ()
    """missing audio, in the order of the file"""

    @property
    def members(self) -> tuple[Track, ...]:
        """The track itself, as the only one of a set."""
        return (self,)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A track's parts at one sample rate, one after the other.

        samples      0 ............. a ........... num_samples
        parts        [ parts[0]      )[ parts[1]             )
        a frame              [ .......|.... )

    A frame may cross parts, and begin or end outside all of them.
    """

    path: str
    """absolute path"""
    parts: tuple[Part, ...]
    """parts, all at the same sample rate"""
    end: int | None = None
    """sample to stop at, if there are more; None for all of them"""
    metadata: Mapping[str, Any] | None = None
    """what the user knows about the file; None if that is nothing, or is looked up later"""

    @property
    def num_samples(self) -> int:
        """Samples per channel."""
        there = sum(part.num_samples for part in self.parts)
        return there if self.end is None else min(there, self.end)

    @property
    def members(self) -> tuple[Timeline, ...]:
        """The timeline itself, as the only one of a set."""
        return (self,)

    def windows(self, start: int, stop: int) -> Iterator[tuple[Part, int, int]]:
        """Yield the parts that `[start, stop)` touches, each with the half-open range of its own samples."""
        offset = 0
        if self.end is not None:
            stop = min(stop, self.end)
        for part in self.parts:
            begin, end = max(start - offset, 0), min(stop - offset, part.num_samples)
            if begin < end:
                yield part, begin, end
            offset += part.num_samples


def open_track(source: Source) -> Track:
    """Open a file: find its packets, or read its header.

    Raises:
        AudioFileError: the file has no audio that can be read, or cannot be accessed.
    """
    path = source.path
    if not source.stamp.size:
        raise AudioFileError.of(path, "the file is empty (0 bytes)")
    read = in_blocks(source.read, source.stamp.size)
    audio_start = tag_end(read, 0, source.stamp.size)
    head = source.read(audio_start, audio_start + 12)
    demuxer = demuxer_of(read, audio_start, source.stamp.size)
    if demuxer:
        return Track(path, *open_container(source, audio_start, demuxer))
    reason = f"and its first bytes, {head!r}, match no other format" if head else "only tags"
    end = packets_end(read, source.stamp.size) if head.startswith(b"RIFF") else None
    if head.startswith(_OTHER_FORMATS) and end is None:
        try:
            found = open_soundfile(source, audio_start)
            return Track(path, tuple(found.parts), found.damage, tuple(found.losses))
        except soundfile.LibsndfileError as error:
            reason = f"and libsndfile, chosen by its first bytes, reports: {error.error_string}"
            if head.startswith(_ALSO_CONTAINERS) and is_installed("av"):
                with suppress(AudioFileError):  # what libsndfile reports is said of what neither reads
                    return Track(path, *open_container(source, audio_start, "caf", compressed=True))
    track = _open_mpeg(source, source.stamp.size if end is None else end)
    if track is None:
        size = source.stamp.size
        raise AudioFileError.of(
            path, f"no MPEG audio packets in its {size} bytes, {reason}; is it a complete audio file?"
        )
    return track


def _open_mpeg(source: Source, end: int) -> Track | None:
    found = walk(source.read, end)
    if not found.sections:
        return None
    parts = tuple(MpegPart(source, section) for section in found.sections)
    return Track(source.path, parts, "; ".join(_damage(found)), tuple(_losses(found)))


def _damage(found: Walk) -> Iterator[str]:
    sections = found.sections
    if found.lost_bytes:
        yield f"{found.lost_bytes} bytes inside are not audio packets"
    if found.trailing_bytes:
        yield f"{found.trailing_bytes} bytes at its end are not a whole audio packet"
    missing = sum(max(section.stated_packets - section.num_packets, 0) for section in sections)
    if missing:
        there = sum(section.num_packets for section in sections)
        yield f"its header states {there + missing} audio packets, but the file has {there}"


def _losses(found: Walk) -> Iterator[Loss]:
    before = 0.0  # seconds in earlier sections
    for section in found.sections:
        header = section.header
        packet_seconds = header.samples_per_packet / header.sample_rate
        trailing_bytes = found.trailing_bytes if section is found.sections[-1] else 0
        for packet, count in missing_packets(section, trailing_bytes).items():
            start = packet * packet_seconds - section.delay / header.sample_rate
            yield Loss(before + max(start, 0.0), count * packet_seconds, count)
        before += section.num_samples / header.sample_rate


def at_sample_rate(track: Track, sr: int, *, on_other_rate: str) -> Timeline:
    """Return the track's timeline at `sr` Hz.

    Args:
        track: the track.
        sr: sample rate of the timeline, Hz.
        on_other_rate: what to do with a part at another rate: "resample", "skip" or "raise".

    Returns:
        The timeline, without the parts that are skipped.

    Raises:
        AudioFileError: a part has a rate that cannot be resampled.
        SampleRateError: a part has another rate and `on_other_rate` is "raise", or all parts are skipped.
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
