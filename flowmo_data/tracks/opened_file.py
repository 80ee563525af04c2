"""An opened file in one of libsndfile's formats: its parts, as libsndfile reads them, and its problems."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import soundfile

from flowmo_data.runtime.scratch import scratch
from flowmo_data.sources import Source
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.ogg import last_page
from flowmo_data.tracks.parts import Loss
from flowmo_data.tracks.soundfile_part import SoundFilePart, open_excerpt, read_or_zero

_OPUS_LEAD = 24_000
"""samples; after a seek, libopus is right to 1e-8 at once, and to the bit after at most some 4,000 samples"""
_ALAC_LEAD = 8_192
"""samples in two packets. libsndfile 1.2.2 reads past the end of a short last packet of 20 bits, and finds there what
the packet before has left"""
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
_ANYWHERE = 1 << 62
"""a sample past the end of any file"""
_UNKNOWN_LENGTH = 1 << 40
"""samples; libsndfile states more than this if a header gives no length"""
_MOST_PROBLEMS = 5
"""problems that are shown"""


@dataclass(slots=True)
class OpenedFile:
    """The parts of a file, and its problems."""

    parts: list[SoundFilePart] = field(default_factory=list)
    """the parts"""
    problems: list[str] = field(default_factory=list)
    """its problems, in words"""
    losses: list[Loss] = field(default_factory=list)
    """its losses"""

    @property
    def damage(self) -> str:
        """The problems in one line, without those beyond the first few."""
        problems = list(dict.fromkeys(self.problems))
        more = len(problems) - _MOST_PROBLEMS
        return "; ".join([*problems[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])])

    @property
    def seconds(self) -> float:
        """Duration of the parts."""
        return sum(part.num_samples / part.sample_rate for part in self.parts)

    def report(self, problem: str, lost_seconds: float | None = None) -> None:
        """Add a problem, and the audio that is lost by it behind the last part; None if that is not known."""
        self.problems.append(problem)
        if lost_seconds is not None:
            self.losses.append(Loss(self.seconds, lost_seconds))

    def report_rest(self, stop: int, size: int) -> None:
        """Add the problem that the bytes of a file from `stop` on are not read, if there are any."""
        if stop < size:
            self.report(f"it holds too many streams: {size - stop} bytes behind the first 1000 are not read")


def add_part(
    found: OpenedFile,
    source: Source,
    excerpt: Excerpt | None,
    *,
    may_be_empty: bool = False,
    is_measured: bool = False,
) -> int:
    """Add a file, or an excerpt of it, as libsndfile reads it; return the number of its samples.

    Args:
        found: gets the part, and its problems.
        source: the file.
        excerpt: the bytes that are read; None for the whole file.
        may_be_empty: whether it is no problem if there are no samples.
        is_measured: whether the header of the excerpt is known to state the right length.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot open it.
    """
    with open_excerpt(source, excerpt) as opened:
        codec, log = opened.subtype, opened.extra_info
        stated = int(opened.frames) - (excerpt.first_sample if excerpt else 0)
        can_seek = opened.seekable()
        whole = is_measured or (stated < _UNKNOWN_LENGTH and (not can_seek or _reads_last(opened)))
        part = SoundFilePart(
            source,
            opened.samplerate,
            opened.channels,
            stated,
            f"{opened.format}/{codec}",
            lead={"OPUS": _OPUS_LEAD}.get(codec, _ALAC_LEAD if codec.startswith("ALAC") else 0),
            last_seek=_ANYWHERE if can_seek else 0,
            excerpt=excerpt,
        )
    if not whole:  # cut off, or streamed: its header does not give the length
        part = replace(part, num_samples=_count_samples(part))
    if codec == "VORBIS":
        part = replace(part, last_seek=_last_vorbis_seek(part))
    num_samples, rate = part.num_samples, part.sample_rate
    if not num_samples and may_be_empty:
        return 0
    if not num_samples:
        why = (
            f"; libsndfile reads no samples of the codec {part.format}"
            if excerpt is None and 0 < stated < _UNKNOWN_LENGTH
            else ""
        )
        found.report(f"it has the header of an audio file, but no samples{why}", 0.0)
        return 0
    found.parts.append(part)
    if not whole:
        if stated < _UNKNOWN_LENGTH:
            found.report(states(stated, num_samples), max(stated - num_samples, 0) / rate)
    elif log_says := _STATED_AND_THERE.search(log):  # libsndfile takes the existing bytes for the whole file
        bytes_stated, there = map(int, log_says.groups())
        if there and bytes_stated - there > _ROUNDING and bytes_stated < _PLACEHOLDER:
            lost_seconds = num_samples / rate * (bytes_stated - there) / there
            found.report(f"its header states {bytes_stated} bytes, but only {there} are there", lost_seconds)
    return num_samples


def states(stated: int, there: int) -> str:
    """Return the problem that a header states another number of samples than the file has."""
    return f"its header states {stated} samples, but the file has {there}"


def _reads_last(opened: soundfile.SoundFile) -> bool:
    """Return whether the last sample that the header states can be read."""
    try:
        opened.seek(max(opened.frames - 1, 0))
    except soundfile.LibsndfileError:
        return False
    return read_or_zero(opened, scratch(1, opened.channels)) == min(int(opened.frames), 1)


def _count_samples(part: SoundFilePart) -> int:
    """Count the samples that can be read, by reading them all."""
    total = 0
    with part.open() as opened:
        block = scratch(_BLOCK, opened.channels)
        while num_read := read_or_zero(opened, block):
            total += num_read
    return total


def _last_vorbis_seek(part: SoundFilePart) -> int:
    """Return the last sample to which libsndfile can seek."""
    start, stop = (part.excerpt.start, part.excerpt.stop) if part.excerpt else (0, part.source.stamp.size)
    begin, end = last_page(lambda first, last: part.source.read(start + first, start + last), stop - start)
    return max(begin - max(end - part.num_samples, 0) - _VORBIS_BLOCK, 0)
