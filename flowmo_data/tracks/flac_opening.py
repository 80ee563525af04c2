"""Open a FLAC file with several streams, or with another length than it states."""

from __future__ import annotations

import soundfile

from flowmo_data.sources import Source
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.flac import walk_flac
from flowmo_data.tracks.opened_file import OpenedFile, add_part, reads_last, states
from flowmo_data.tracks.soundfile_part import open_excerpt


def add_flac_streams(source: Source, start: int, found: OpenedFile) -> None:
    """Add the streams of a FLAC file: more than one, or one with another length than its header states."""
    streams = walk_flac(source.read, start, source.stamp.size)
    for stream in streams:
        stated = stream.info.num_samples
        without_last = (stream.last_frame, stream.last_frame_start)  # it may be cut off
        for num_samples, stop in ((stream.num_samples, stream.stop), without_last):
            head = stream.head(source.read, stream.first_sample + num_samples)
            excerpt = Excerpt(head, stream.frames_start, stop, stream.first_sample)
            if num_samples and _can_read_last(source, excerpt):
                break
        num_read = add_part(found, source, excerpt)
        if stated and stated != num_read:
            found.report(states(stated, num_read), max(stated - num_read, 0) / stream.info.rate)
        elif num_read < stream.num_samples:
            lost = (stream.num_samples - num_read) / stream.info.rate
            found.report("it is cut off: its last frame is not whole", lost)
    if streams:
        found.report_rest(streams[-1].stop, source.stamp.size)


def _can_read_last(source: Source, excerpt: Excerpt) -> bool:
    try:
        with open_excerpt(source, excerpt) as opened:
            return reads_last(opened)
    except soundfile.LibsndfileError:
        return False
