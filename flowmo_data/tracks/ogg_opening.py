"""Open an Ogg file: all links of a chain, and what is undamaged of each."""

from __future__ import annotations

import re
from dataclasses import replace

import soundfile

from flowmo_data.sources import Source
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.mpeg.tags import audio_end
from flowmo_data.tracks.ogg import Link, OggFile, Run, walk_ogg
from flowmo_data.tracks.opened_file import OpenedFile, add_part
from flowmo_data.tracks.parts import Loss
from flowmo_data.tracks.soundfile_part import open_excerpt

_STARTS_LATE = re.compile(r"Granule pos offset *: [1-9]")
"""line in libsndfile's log about an Opus stream whose first page is missing, as in a recording of a radio stream"""


def add_links(source: Source, start: int, found: OpenedFile) -> None:
    """Add the links of an Ogg file.

    Args:
        source: the file.
        start: byte at which the tags in front of it end.
        found: gets the parts, and the problems.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot read any link.
    """
    stop = audio_end(source.read, source.stamp.size)
    file = walk_ogg(source.read, start, stop)
    errors: list[soundfile.LibsndfileError] = []
    for number, link in enumerate(file.links, 1):
        try:
            is_read = _add_link(source, file, link, found)
            if not is_read:
                what = f"link {number} of {len(file.links)}: " if len(file.links) > 1 else ""
                seconds = link.audio[0].seconds if link.audio else 0.0
                found.report(f"{what}it has the header of an audio file, but no samples", seconds)
            unread = link.audio[1:]
            what = f"{len(unread)} more audio streams beside the first"
        except soundfile.LibsndfileError as error:
            errors.append(error)
            unread = link.audio
            reason = error.error_string.rstrip(".")
            what = f"link {number} of {len(file.links)}, which libsndfile does not read ({reason})"
        if unread:
            found.report(f"it holds {what}", sum(stream.seconds for stream in unread))
    if file.lost_bytes:
        found.report(f"{file.lost_bytes} bytes inside are not whole Ogg pages")
    if file.links and file.trailing_bytes:
        found.report(f"{file.trailing_bytes} bytes at its end are not a whole Ogg page")
    found.report_rest(file.stop, stop)
    if errors and not found.parts:
        raise errors[0]


def _add_link(source: Source, file: OggFile, link: Link, found: OpenedFile) -> bool:
    """Add the undamaged runs of a link; return whether there are samples in them."""
    is_whole, end, num_parts = len(link.runs) == 1, 0, len(found.parts)
    for run in link.runs:
        if not is_whole and not run.granule:  # no audio, or headers without audio
            continue
        excerpt = _excerpt(source, file, link, run)
        seconds = found.seconds
        num_samples = add_part(found, source, excerpt, may_be_empty=True)
        if not is_whole and num_samples:
            begin = run.granule - num_samples * link.audio[0].rate // found.parts[-1].sample_rate
            if begin > end and run is not link.runs[0]:  # Opus drops samples at the start of a stream
                found.problems.append("pages inside are damaged or missing")
                found.losses.append(Loss(seconds, (begin - end) / link.audio[0].rate))
            end = run.granule
    if num_parts == len(found.parts):
        return False
    if link.audio and not link.audio[0].is_ended:
        found.report("it is cut off: its last page has no end mark")
    return True


def _excerpt(source: Source, file: OggFile, link: Link, run: Run) -> Excerpt | None:
    """Return the bytes that libsndfile gets to read a run; None for the whole file."""
    if run is not link.runs[0]:
        return Excerpt(link.head(source.read, run), run.start, run.stop)
    is_all = len(file.links) == len(link.runs) == 1 and not run.start  # libsndfile refuses tags in front
    excerpt = None if is_all else Excerpt(b"", run.start, run.stop)
    if link.audio and link.audio[0].codec == "Opus" and _starts_late(source, excerpt):
        headers = link.audio[0].headers
        run = replace(run, start=headers[-1][1], first_number=run.first_number + len(headers))
        return Excerpt(link.head(source.read, run), run.start, run.stop)
    return excerpt


def _starts_late(source: Source, excerpt: Excerpt | None) -> bool:
    with open_excerpt(source, excerpt) as opened:
        return bool(_STARTS_LATE.search(opened.extra_info))
