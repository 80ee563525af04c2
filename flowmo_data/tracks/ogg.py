"""Ogg streams (RFC 3533): the links of a chain, their undamaged runs of pages, and how far seeking goes.

A link is a group of streams that begin together; files that were joined, and recordings of radio, have several:

    first link                              second link
    | BOS A | BOS B | A | B | A | B ... | | BOS C | C | C ... |       A and B are multiplexed

libsndfile reads the first audio stream of a link. A run is a stretch of pages of which none is damaged or missing. Each
run is read as a file of its own, behind the stream's header pages: libsndfile's positions are wrong past a hole.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flowmo_data.tracks.mpeg.tags import Read
from flowmo_data.tracks.ogg_pages import BEGINS, ENDS, LONGEST_PAGE_BYTES, MARKER, Page, pages, renumbered

MOST_RUNS = 1_000
"""runs of a file, and streams of a link, that are looked at: hostile bytes may have one every 28 bytes"""
_OPUS_RATE = 48_000
_AUDIO = {b"\x01vorbis": "Vorbis", b"OpusHead": "Opus", b"\x7fFLAC": "FLAC", b"Speex   ": "Speex"}
"""first bytes of the streams that hold audio"""
_NUM_HEADERS = {"Vorbis": 3, "Opus": 2}
"""packets in front of the audio: Vorbis I, section 4.2; RFC 7845, section 3"""


@dataclass(slots=True)
class Stream:
    """A stream of a link."""

    codec: str
    """name of an audio codec; empty if it is not known to be audio"""
    rate: int
    """units of its granule positions in a second; 0 if that is not known"""
    granule: int = 0
    """position of its end"""
    headers: list[tuple[int, int]] = field(default_factory=list)
    """half-open ranges of bytes of the pages in front of its audio"""
    num_packets: int = 0
    """packets up to its last page"""
    next_number: int = 0
    """number of the page that follows its last one"""
    is_ended: bool = False
    """whether its last page has the end mark"""

    @property
    def seconds(self) -> float:
        """Duration; 0 if it is not known."""
        return self.granule / self.rate if self.rate else 0.0


@dataclass(slots=True)
class Run:
    """Pages of a link, none of which is damaged or missing."""

    start: int
    """byte at which it starts"""
    stop: int = 0
    """one past its last byte"""
    granule: int = 0
    """position of the end of the audio stream that is read"""
    first_number: int = -1
    """number of that stream's first page; negative if it has none"""


@dataclass(slots=True)
class Link:
    """Streams that begin together."""

    streams: dict[int, Stream] = field(default_factory=dict)
    """streams by their serial number, in the order of their first pages"""
    runs: list[Run] = field(default_factory=list)
    """runs of pages; the first begins with the link"""

    @property
    def audio(self) -> list[Stream]:
        """The streams that hold audio."""
        return [stream for stream in self.streams.values() if stream.codec]

    def head(self, read: Read, run: Run) -> bytes:
        """Return header pages for a run that does not start with some; empty if they are not known.

        Their numbers lead up to the run's. Opus's pre-skip is 0: libsndfile 1.2.2 skips it after a seek only.
        """
        headers = self.audio[0].headers
        first = run.first_number - len(headers)
        data = [renumbered(read(start, stop), first + number) for number, (start, stop) in enumerate(headers)]
        if data and self.audio[0].codec == "Opus":
            at = data[0].index(b"OpusHead") + 10
            data[0] = renumbered(data[0][:at] + bytes(2) + data[0][at + 2 :], first)
        return b"".join(data)


@dataclass(slots=True)
class OggFile:
    """The result of a walk."""

    links: list[Link] = field(default_factory=list)
    """links"""
    lost_bytes: int = 0
    """bytes between pages that are no pages"""
    stop: int = 0
    """one past the last byte that was looked at: less than the file's size if it has too many runs"""
    trailing_bytes: int = 0
    """bytes behind the last page"""


def walk_ogg(read: Read, start: int, stop: int) -> OggFile:
    """Return the links of a file, by all of its pages.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        start: byte at which the first page starts.
        stop: one past its last byte, without tags.
    """
    found, beginning, place, num_runs = OggFile(stop=stop), False, start, 0
    for page in pages(read, start, stop):
        if page.flags & BEGINS and not beginning:
            found.links.append(Link())
        beginning = bool(page.flags & BEGINS)
        if not found.links:  # pages of a stream whose beginning is missing
            continue
        link = found.links[-1]
        if beginning and len(link.streams) < MOST_RUNS:
            link.streams[page.serial] = _stream(read(page.body, min(page.body + 64, page.stop)))
            link.streams[page.serial].next_number = page.number
        if not link.runs or page.start != place or _is_behind_hole(link, page):
            num_runs += 1
            if num_runs > MOST_RUNS:
                found.stop = page.start
                return found
            link.runs.append(Run(page.start))
        found.lost_bytes += page.start - place
        place = page.stop
        _add_page(link, page)
    found.trailing_bytes = stop - place
    return found


def _is_behind_hole(link: Link, page: Page) -> bool:
    """Return whether pages of the stream that is read are missing before a page.

    Between headers and audio none are: a recording of a radio stream has the headers of its beginning.
    """
    if not link.audio or link.streams.get(page.serial) is not link.audio[0]:
        return False
    stream = link.audio[0]
    return page.number != stream.next_number and stream.num_packets != _NUM_HEADERS.get(stream.codec)


def _add_page(link: Link, page: Page) -> None:
    """Add a page to the last run of a link, and to its stream."""
    run, stream = link.runs[-1], link.streams.get(page.serial)
    run.stop = page.stop
    if stream is None:
        return
    if page.granule >= 0:
        stream.granule = page.granule
    if stream.num_packets < _NUM_HEADERS.get(stream.codec, 0):
        stream.headers.append((page.start, page.stop))
    stream.num_packets += page.num_packets
    stream.next_number = (page.number + 1) % (1 << 32)
    stream.is_ended = bool(page.flags & ENDS)
    if link.audio and stream is link.audio[0]:
        run.granule = stream.granule
        run.first_number = page.number if run.first_number < 0 else run.first_number


def _stream(head: bytes) -> Stream:
    """Return a stream by the bytes of its first packet."""
    codec = next((name for start, name in _AUDIO.items() if head.startswith(start)), "")
    if codec == "Vorbis":  # after the start: version of 4 bytes, channels of 1 (Vorbis I, section 4.2.2)
        return Stream(codec, int.from_bytes(head[12:16], "little"))
    if codec == "FLAC":  # STREAMINFO at 17 (RFC 9639, section 10.1), the rate of 20 bits at its byte 10
        return Stream(codec, int.from_bytes(head[27:30], "big") >> 4)
    return Stream(codec, _OPUS_RATE if codec == "Opus" else int.from_bytes(head[36:40], "little") if codec else 0)


def last_page(read: Read, size: int) -> tuple[int, int]:
    """Return the granule positions at which the last page of a link starts and ends.

    For Vorbis, these are indices of samples. For a single page, the start is 0.

    Args:
        read: returns the bytes `[start, stop)` of the link.
        size: bytes of the link.
    """
    tail = read(max(size - 3 * LONGEST_PAGE_BYTES, 0), size)
    position, positions = 0, [0]
    while (position := tail.find(MARKER + b"\0", position)) >= 0:
        granule = int.from_bytes(tail[position + 6 : position + 14], "little", signed=True)
        if granule >= 0:
            positions.append(granule)
        position += 5
    return (positions[-2], positions[-1]) if len(positions) > 1 else (0, 0)
