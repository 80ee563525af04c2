"""A file in one of libsndfile's formats, as a part of a track."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.scratch import scratch
from flowmo_data.sources import Source
from flowmo_data.tracks.ogg import last_page_start
from flowmo_data.tracks.parts import Loss

_OPUS_LEAD = 24_000
"""samples; after a seek, libopus is right to 1e-8 at once, and to the bit after at most some 4,000 samples"""
_VORBIS_BLOCK = 8_192
"""samples in the longest block. libsndfile 1.2.2 counts back from the end of the last page, which may be cut short. So
every seek in that page ends a few samples off"""
_BLOCK = 4_096
"""samples to read at a time; if a read fails, the whole block is lost"""
_STATED_AND_THERE = re.compile(
    r"^ *(?:RIFF|RIFX|Riff size|riff|FORM|Data Size|data) *: (\d+) \(should be (\d+)\)", re.MULTILINE
)
"""lines about the outermost chunk in libsndfile's log: the bytes that the header states, and the bytes that exist. The
log has such lines for other numbers in a header (Bytes/sec) too, but nothing depends on them"""
_ROUNDING = 16
"""bytes by which padding may put headers off without a missing sample"""
_PLACEHOLDER = 0x7FFF_0000
"""bytes; programs that do not know the length yet write this number or a larger one"""
_NO_END = "Ogg: Last page lacks an end-of-stream bit"
"""line in libsndfile's log"""
_UNKNOWN_LENGTH = 1 << 40
"""samples; libsndfile states more than this if a header gives no length"""


@dataclass(frozen=True, slots=True)
class SoundFilePart:
    """A file in one of libsndfile's formats: a `Part`."""

    source: Source
    sample_rate: int
    """sample rate, Hz"""
    channels: int
    """channels as stored"""
    num_samples: int
    """samples per channel"""
    format: str
    """container and codec, as libsndfile calls them"""
    lead: int = 0
    """samples before a window at which reading starts, so that the decoder has the same state as in the whole file"""
    last_seek: int = 1 << 62
    """sample past which a seek is inaccurate"""


def open_soundfile(source: Source) -> tuple[SoundFilePart, str, tuple[Loss, ...]]:
    """Read a file's header, and as much of the rest as it takes to know its length.

    Returns:
        The file, its problems in words (empty if it has none), and its losses.

    Raises:
        AudioFileError: the file has no samples.
        soundfile.LibsndfileError: libsndfile cannot open it.
    """
    damage = ""
    losses: tuple[Loss, ...] = ()
    with soundfile.SoundFile(source.open()) as opened:
        rate, channels, num_samples = opened.samplerate, opened.channels, opened.frames
        codec, name = opened.subtype, f"{opened.format}/{opened.subtype}"
        whole = num_samples < _UNKNOWN_LENGTH and _can_read_last(opened)
        log = opened.extra_info
    stated = num_samples
    if not whole:  # cut off, or streamed: its header does not give the length
        num_samples = _count_samples(source)
    if not num_samples:
        raise AudioFileError.of(source.path, "it has the header of an audio file, but no samples")
    if not whole:
        if stated < _UNKNOWN_LENGTH:
            damage = f"its header states {stated} samples, but the file has {num_samples}"
            losses = (Loss(num_samples / rate, max(stated - num_samples, 0) / rate),)
    elif log_says := _STATED_AND_THERE.search(log):  # libsndfile takes the existing bytes for the whole file
        stated, there = map(int, log_says.groups())
        if there and stated - there > _ROUNDING and stated < _PLACEHOLDER:
            damage = f"its header states {stated} bytes, but the file has {there}"
            losses = (Loss(num_samples / rate, num_samples / rate * (stated - there) / there),)
    elif _NO_END in log:
        damage = "it is cut off: its last page has no end mark"
    part = SoundFilePart(source, rate, channels, num_samples, name)
    if codec == "OPUS":
        part = replace(part, lead=_OPUS_LEAD)
    elif codec == "VORBIS":
        part = replace(part, last_seek=last_page_start(source.read, source.stamp.size) - _VORBIS_BLOCK)
    return part, damage, losses


def _can_read_last(opened: soundfile.SoundFile) -> bool:
    try:
        opened.seek(max(opened.frames - 1, 0))
    except soundfile.LibsndfileError:
        return False
    return read_or_zero(opened, scratch(1, opened.channels)) == min(int(opened.frames), 1)


def _count_samples(source: Source) -> int:
    """Count the samples that can be read, by reading them all."""
    total = 0
    with soundfile.SoundFile(source.open()) as opened:
        block = scratch(_BLOCK, opened.channels)
        while num_read := read_or_zero(opened, block):
            total += num_read
    return total


def read_or_zero(opened: soundfile.SoundFile, out: npt.NDArray[np.float32]) -> int:
    """Read the next samples into `out`; return their number, 0 if libsndfile refuses."""
    try:
        return int(opened.buffer_read_into(out, "float32"))
    except soundfile.LibsndfileError:
        return 0
