"""A file, opened: what is in it, exactly how long it is, and how to read any window of it.

MPEG audio is read by packets. Everything else (WAV, FLAC, Ogg, AIFF and what else libsndfile knows) is read through
windows of a handle that is opened for the window: that costs a few hundredths of a millisecond, and no handle has to
survive a fork, a thousand files, or the file's replacement. The bytes decide which of the two it is, not the name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.decoding import decode_run, load_decoder, scratch
from flowmo_data.errors import AudioFileError
from flowmo_data.mpeg import Run, Section, Walk, build_run, packet_range, tag_end, walk
from flowmo_data.ogg import last_page_start
from flowmo_data.sources import Source

_OTHER_FORMATS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"fLaC", b"OggS", b".snd", b"caff", b"NIST", b"Creative")
"""how files start that libsndfile is for. It is not asked about others: mpg123 would tell of its search on stderr"""
_OPUS_LEAD = 24_000
"""samples; after a seek libopus is right to 1e-8 at once, and to the bit some 4,000 samples later at most"""
_VORBIS_BLOCK = 8_192
"""samples, the longest block. libsndfile 1.2.2 counts back from the end of the last page, which may be cut short, and
so lands a few samples off wherever it seeks in that page"""
_BLOCK = 4_096
"""samples read at a time where a read fails: all of it is lost"""
_UNKNOWN_LENGTH = 1 << 40
"""samples; libsndfile states more than this where a header does not tell"""


class Window(NamedTuple):
    """Samples that were read."""

    samples: npt.NDArray[np.float32]
    """`(num_samples, channels)`, nominally in [-1, 1], valid until the thread reads again"""
    num_lost: int = 0
    """how many of them are silence, because what stands there cannot be decoded"""


class Part(Protocol):
    """A stretch of a file with one sample rate and one number of channels."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def channels(self) -> int:
        """Channels as stored."""

    @property
    def num_samples(self) -> int:
        """Samples per channel, exact."""

    def read(self, start: int, stop: int) -> Window:
        """The samples `[start, stop)`, which lie inside the part.

        Raises:
            AudioFileError: the file cannot be read any more, or is another than was opened.
        """


@dataclass(frozen=True, slots=True)
class Track:
    """One readable audio file."""

    path: str
    """absolute"""
    parts: tuple[Part, ...]
    """one; several where the sample rate or the channels change inside the file, as in files that were joined"""
    damage: str = ""
    """what is wrong inside, in words; empty where nothing is"""


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
    audio_start = tag_end(source.read, 0, source.stamp.size)
    head = source.read(audio_start, audio_start + 12)
    reason = f"and its first bytes, {head!r}, are those of no other format" if head else "and nothing but tags"
    if head.startswith(_OTHER_FORMATS):
        try:
            return _open_soundfile(source)
        except (soundfile.LibsndfileError, OSError) as error:
            reason = f"and libsndfile, which its first bytes are for, says: {error}"
    track = _open_mpeg(source, decoder)
    if track is None:
        size = source.stamp.size
        raise AudioFileError.of(path, f"no MPEG audio packets in its {size} bytes, {reason}; is it audio, and whole?")
    return track


@dataclass(frozen=True, slots=True)
class MpegPart:
    """A section of an MPEG audio file, read by its packets."""

    source: Source
    section: Section
    decoder: str
    """name; the function is looked up where it runs, so that a part can be sent to another process"""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.section.header.sample_rate

    @property
    def channels(self) -> int:
        """Channels as stored."""
        return self.section.header.channels

    @property
    def num_samples(self) -> int:
        """Samples per channel, from the packets and the gapless tag."""
        return self.section.num_samples

    def read(self, start: int, stop: int) -> Window:
        """See `Part.read`."""
        run = self.run(start, stop)
        samples, refused = decode_run(run, load_decoder(self.decoder))
        per_packet = self.section.header.samples_per_packet
        skipped = start + self.section.delay - run.first * per_packet
        end = skipped + stop - start
        lost = (min((packet + 1) * per_packet, end) - max(packet * per_packet, skipped) for packet in refused)
        return Window(samples[skipped:end], sum(samples for samples in lost if samples > 0))

    def run(self, start: int, stop: int) -> Run:
        """The packets that decode to the samples `[start, stop)`, and to some before and after."""
        first, last = packet_range(self.section, start, stop)
        return build_run(self.section, first, last, self.source.read)


def _open_mpeg(source: Source, decoder: str) -> Track | None:
    found = walk(source.read, source.stamp.size)
    if not found.sections:
        return None
    parts = tuple(MpegPart(source, section, decoder) for section in found.sections)
    return Track(source.path, parts, "; ".join(_damage(found)))


def _damage(found: Walk) -> Iterator[str]:
    sections = found.sections
    if found.lost_bytes:
        yield f"{found.lost_bytes} bytes inside are no audio packets"
    if found.trailing_bytes:
        yield f"{found.trailing_bytes} bytes at its end are no whole audio packet"
    missing = sum(section.missing_packets for section in sections)
    if missing:
        there = sum(section.num_packets for section in sections)
        yield f"its header states {there + missing} audio packets and {there} are there"


@dataclass(frozen=True, slots=True)
class SoundFilePart:
    """A file in one of libsndfile's formats."""

    source: Source
    sample_rate: int
    """Hz"""
    channels: int
    """channels as stored"""
    num_samples: int
    """samples per channel"""
    lead: int = 0
    """samples before a window at which reading starts, for a decoder to be where it would be in the whole file"""
    last_seek: int = 1 << 62
    """sample past which seeking goes wrong"""

    def read(self, start: int, stop: int) -> Window:
        """See `Part.read`."""
        self.source.check(Source.at(self.source.path).stamp)
        begin = max(min(start - self.lead, self.last_seek), 0)
        out = scratch(stop - begin, self.channels)
        num_lost = 0
        try:
            if _read_at(self.source.path, begin, out) < len(out):  # damage inside
                num_lost = _read_in_blocks(self.source.path, begin, out, start - begin)
        except (soundfile.LibsndfileError, OSError) as error:
            raise AudioFileError.of(self.source.path, f"it cannot be opened any more: {error}") from error
        return Window(out[start - begin :], num_lost)


def _open_soundfile(source: Source) -> Track:
    with soundfile.SoundFile(source.path) as opened:
        rate, channels, num_samples = opened.samplerate, opened.channels, opened.frames
        codec = opened.subtype
        whole = num_samples < _UNKNOWN_LENGTH and _can_read_last(opened)
    if not whole:  # cut off, or streamed: its header does not tell
        num_samples = _count_samples(source.path)
    if not num_samples:
        raise AudioFileError.of(source.path, "its header is that of an audio file, and there are no samples behind it")
    part = SoundFilePart(source, rate, channels, num_samples)
    if codec == "OPUS":
        part = replace(part, lead=_OPUS_LEAD)
    elif codec == "VORBIS":
        part = replace(part, last_seek=last_page_start(source.read, source.stamp.size) - _VORBIS_BLOCK)
    return Track(source.path, (part,))


def _can_read_last(opened: soundfile.SoundFile) -> bool:
    try:
        opened.seek(max(opened.frames - 1, 0))
    except soundfile.LibsndfileError:
        return False
    return _read_or_zero(opened, scratch(1, opened.channels)) == min(int(opened.frames), 1)


def _count_samples(path: str) -> int:
    """How many samples can be read, by reading them all."""
    total = 0
    with soundfile.SoundFile(path) as opened:
        block = scratch(_BLOCK, opened.channels)
        while num_read := _read_or_zero(opened, block):
            total += num_read
    return total


def _read_in_blocks(path: str, begin: int, out: npt.NDArray[np.float32], wanted: int) -> int:
    """Read what can be read, with silence for the rest; gives how many samples from `out[wanted]` on are silence."""
    num_lost = 0
    for first in range(0, len(out), _BLOCK):
        block = out[first : first + _BLOCK]
        num_read = _read_at(path, begin + first, block)
        block[num_read:] = 0
        num_lost += first + len(block) - min(max(first + num_read, wanted), first + len(block))
    return num_lost


def _read_at(path: str, begin: int, out: npt.NDArray[np.float32]) -> int:
    """Open, seek, read, and give how many samples came. A handle that has met damage is of no more use."""
    with soundfile.SoundFile(path) as opened:
        try:
            opened.seek(begin)
        except soundfile.LibsndfileError:
            return 0
        return _read_or_zero(opened, out)


def _read_or_zero(opened: soundfile.SoundFile, out: npt.NDArray[np.float32]) -> int:
    try:
        return int(opened.buffer_read_into(out, "float32"))
    except soundfile.LibsndfileError:
        return 0
