"""Open a FLAC file with several streams, or with another length than it states."""

from __future__ import annotations

from dataclasses import replace

import soundfile

from flowmo_data.runtime.scratch import scratch
from flowmo_data.sources import Source
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.flac import FlacStream, walk_flac
from flowmo_data.tracks.opened_file import OpenedFile, add_part, states
from flowmo_data.tracks.soundfile_part import open_excerpt, read_what_comes


def add_flac_streams(source: Source, start: int, found: OpenedFile) -> None:
    """Add the streams of a FLAC file, by their frames."""
    streams = walk_flac(source.read, start, source.stamp.size)
    for stream in streams:
        _add_stream(source, stream, found)
    if streams:
        found.report_rest(streams[-1].stop, source.stamp.size)


def _add_stream(source: Source, stream: FlacStream, found: OpenedFile) -> None:
    stated, num_samples, stop = stream.info.num_samples, stream.num_samples, stream.stop
    if not _is_last_frame_whole(source, stream):
        num_samples, stop = stream.last_frame, stream.last_frame_start
    if not num_samples:
        found.report("it has the header of an audio file, but no samples", stated / max(stream.info.rate, 1))
        return
    head = stream.head(source.read, stream.first_sample + num_samples)
    excerpt = Excerpt(head, stream.frames_start, stop, stream.first_sample)
    num_read = add_part(found, source, excerpt, is_measured=True)
    if stream.lost or stream.has_others:
        found.parts[-1] = replace(found.parts[-1], last_seek=-1)
    if stated and stated != num_read:
        found.report(states(stated, num_read), max(stated - num_read, 0) / stream.info.rate)
    elif num_read < stream.num_samples:
        lost = (stream.num_samples - num_read) / stream.info.rate
        found.report("it is cut off: its last frame is not whole", lost)


def _is_last_frame_whole(source: Source, stream: FlacStream) -> bool:
    first, length = stream.first_sample + stream.last_frame, stream.num_samples - stream.last_frame
    head = stream.head(source.read, first + length)
    try:
        with open_excerpt(source, Excerpt(head, stream.last_frame_start, stream.stop, first)) as opened:
            return read_what_comes(opened, scratch(length, opened.channels)) == length
    except soundfile.LibsndfileError:
        return False
