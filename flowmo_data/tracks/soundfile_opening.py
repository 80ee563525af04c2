"""Open a file in one of libsndfile's formats: its parts, their exact lengths, and its problems."""

from __future__ import annotations

from flowmo_data.errors import AudioFileError
from flowmo_data.sources import Source
from flowmo_data.tracks.big_endian import AU_MARKERS, check_aiff, check_au, check_caf
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.flac import is_as_stated
from flowmo_data.tracks.flac_headers import MARKER as FLAC_MARKER
from flowmo_data.tracks.flac_opening import add_flac_streams
from flowmo_data.tracks.mpeg.tags import in_blocks
from flowmo_data.tracks.ogg_opening import add_links
from flowmo_data.tracks.ogg_pages import MARKER as OGG_MARKER
from flowmo_data.tracks.opened_file import OpenedFile, add_part
from flowmo_data.tracks.wav import MARKERS as WAV_MARKERS
from flowmo_data.tracks.wav import check_wav

_CHECKS = {
    **dict.fromkeys(WAV_MARKERS, check_wav), **dict.fromkeys(AU_MARKERS, check_au),
    b"FORM": check_aiff, b"caff": check_caf,
}  # fmt: skip
"""functions that check a header, by the first bytes of the file"""
_NOT_EMBEDDED = (b"caff", b"riff")
"""first bytes of files in which libsndfile allows no tags in front"""


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
    if marker == FLAC_MARKER:
        if is_as_stated(source.read, start, source.stamp.size):
            add_part(found, source, None)
        if found.problems or not found.parts:
            found = OpenedFile()
            add_flac_streams(source, start, found)
    elif marker == OGG_MARKER:
        add_links(source, start, found)
    elif check := _CHECKS.get(marker):
        checked = check(in_blocks(source.read, source.stamp.size), start, source.stamp.size)
        if checked.contradiction:
            raise AudioFileError.of(
                source.path, f"its header contradicts itself: {checked.contradiction}; is it damaged?"
            )
        is_embedded = start and marker in _NOT_EMBEDDED
        whole = Excerpt(b"", start, source.stamp.size) if is_embedded else None
        if add_part(found, source, checked.excerpt or whole) and checked.problem:
            found.problems.clear()  # the same in libsndfile's words
            found.losses.clear()
            found.report(checked.problem, checked.num_lost / found.parts[0].sample_rate)
    else:
        add_part(found, source, None)
    if not found.parts and not found.problems:
        add_part(found, source, None)
    if not found.parts:
        raise AudioFileError.of(source.path, found.damage)
    return found
