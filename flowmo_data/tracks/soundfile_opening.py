"""Open a file in one of libsndfile's formats: its parts, their exact lengths, and its problems."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import soundfile

from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.scratch import scratch
from flowmo_data.sources import Source
from flowmo_data.tracks.big_endian import check_aiff, check_au, check_caf
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.flac import MARKER as FLAC_MARKER
from flowmo_data.tracks.flac import is_as_stated, walk_flac
from flowmo_data.tracks.mpeg.tags import in_blocks
from flowmo_data.tracks.ogg import MARKER as OGG_MARKER
from flowmo_data.tracks.ogg import last_page, walk_ogg
from flowmo_data.tracks.parts import Loss
from flowmo_data.tracks.soundfile_part import SoundFilePart, open_excerpt, read_or_zero
from flowmo_data.tracks.wav import MARKERS as WAV_MARKERS
from flowmo_data.tracks.wav import check_wav

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
_NO_END = "Ogg: Last page lacks an end-of-stream bit"
"""line in libsndfile's log"""
_ANYWHERE = 1 << 62
"""a sample past the end of any file"""
_UNKNOWN_LENGTH = 1 << 40
"""samples; libsndfile states more than this if a header gives no length"""


_MOST_PROBLEMS = 5
"""problems that are shown"""
_CHECKS = {
    **dict.fromkeys(WAV_MARKERS, check_wav), b"FORM": check_aiff, b".snd": check_au, b"caff": check_caf,
}  # fmt: skip
"""functions that check a header, by the first bytes of the file"""


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


def open_soundfile(source: Source, start: int) -> OpenedFile:
    """Read a file's headers, and as much of the rest as it takes to know its length.

    Args:
        source: the file.
        start: byte at which the tags in front of it end.

    Raises:
        AudioFileError: the file has no samples.
        soundfile.LibsndfileError: libsndfile cannot open it.
    """
    found = OpenedFile()
    marker = source.read(start, start + 4)
    if marker == FLAC_MARKER and not is_as_stated(source.read, start, source.stamp.size):
        _add_flac_streams(source, start, found)
    elif marker == OGG_MARKER:
        _add_links(source, found)
    elif check := _CHECKS.get(marker):
        problem, excerpt = check(in_blocks(source.read, source.stamp.size), start, source.stamp.size)
        if problem:
            raise AudioFileError.of(source.path, f"its header contradicts itself: {problem}; is it damaged?")
        _add(found, source, excerpt)
    else:
        _add(found, source, None)
    if not found.parts and not found.problems:
        _add(found, source, None)
    if not found.parts:
        raise AudioFileError.of(source.path, found.damage)
    return found


def _add_flac_streams(source: Source, start: int, found: OpenedFile) -> None:
    """Add the streams of a FLAC file: more than one, or one with another length than its header states."""
    streams = walk_flac(source.read, start, source.stamp.size)
    for stream in streams:
        stated, lengths = stream.info.num_samples, (stream.num_samples, stream.last_frame)
        for num_samples in lengths:  # the last frame may be cut off
            head = stream.head(source.read, stream.first_sample + num_samples)
            excerpt = Excerpt(head, stream.frames_start, stream.stop, stream.first_sample)
            if num_samples and _can_read_last(source, excerpt):
                break
        num_read = _add(found, source, excerpt)
        if stated and stated != num_read:
            found.report(_states(stated, num_read), max(stated - num_read, 0) / stream.info.rate)
        elif num_read < stream.num_samples:
            lost = (stream.num_samples - num_read) / stream.info.rate
            found.report("it is cut off: its last frame is not whole", lost)
    if streams:
        _report_rest(found, streams[-1].stop, source)


def _add_links(source: Source, found: OpenedFile) -> None:
    """Add the links of an Ogg file. libsndfile reads the first, and of that the first stream."""
    links = walk_ogg(source.read, source.stamp.size)
    first_error: soundfile.LibsndfileError | None = None
    for number, link in enumerate(links, 1):
        excerpt = Excerpt(b"", link.start, link.stop) if len(links) > 1 else None
        unread = link.audio
        try:
            _add(found, source, excerpt)
            unread = unread[1:]
            what = f"{len(unread)} more audio streams beside the first"
        except soundfile.LibsndfileError as error:
            first_error = first_error or error
            what = f"link {number} of {len(links)}, which libsndfile does not read ({error.error_string.rstrip('.')})"
        if unread:
            found.report(f"it holds {what}", sum(stream.seconds for stream in unread))
    if links:
        _report_rest(found, links[-1].stop, source)
    if first_error and not found.parts:
        raise first_error


def _report_rest(found: OpenedFile, stop: int, source: Source) -> None:
    if stop < source.stamp.size:
        found.report(f"it holds too many streams: {source.stamp.size - stop} bytes behind the first 1000 are not read")


def _add(found: OpenedFile, source: Source, excerpt: Excerpt | None) -> int:
    """Add a file, or an excerpt of it, as libsndfile reads it; return the number of its samples.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot open it.
    """
    with open_excerpt(source, excerpt) as opened:
        codec, log = opened.subtype, opened.extra_info
        stated = int(opened.frames) - (excerpt.first_sample if excerpt else 0)
        can_seek = opened.seekable()
        whole = stated < _UNKNOWN_LENGTH and (not can_seek or _reads_last(opened))
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
            found.report(_states(stated, num_samples), max(stated - num_samples, 0) / rate)
    elif log_says := _STATED_AND_THERE.search(log):  # libsndfile takes the existing bytes for the whole file
        bytes_stated, there = map(int, log_says.groups())
        if there and bytes_stated - there > _ROUNDING and bytes_stated < _PLACEHOLDER:
            lost_seconds = num_samples / rate * (bytes_stated - there) / there
            found.report(f"its header states {bytes_stated} bytes, but only {there} are there", lost_seconds)
    elif _NO_END in log:
        found.report("it is cut off: its last page has no end mark")
    return num_samples


def _states(stated: int, there: int) -> str:
    return f"its header states {stated} samples, but the file has {there}"


def _can_read_last(source: Source, excerpt: Excerpt) -> bool:
    try:
        with open_excerpt(source, excerpt) as opened:
            return _reads_last(opened)
    except soundfile.LibsndfileError:
        return False


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
