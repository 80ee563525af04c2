"""Open files, or sets of aligned files, in the order of an epoch. Those in stores are fetched ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.fetching import opened_ahead
from flowmo_data.epochs.options import Options
from flowmo_data.errors import AudioFileError
from flowmo_data.sources import AlignedSources, Source, Sources, held_whole, source_at
from flowmo_data.tracks import AlignedTrack, AnyTimeline, AnyTrack, at_sample_rate, open_aligned, open_track
from flowmo_data.tracks.aligned import sources_of_set


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file, or a set of aligned files, to be opened."""

    index: int
    """its number"""
    metadata: dict[str, Any] | AudioFileError | None = None
    """what the user knows about it; an error if it is not to be opened"""


class Opener:
    """Opens files, or sets of aligned files, by their numbers.

    Args:
        sources: the files.
        max_buffered_bytes: bytes of remote files that may be held.
    """

    def __init__(self, sources: Sources | AlignedSources, max_buffered_bytes: int) -> None:
        self._sources, self._max_buffered_bytes = sources, max_buffered_bytes

    def track(self, index: int) -> AnyTrack:
        """Open one of them.

        Raises:
            AudioFileError: it cannot be read.
        """
        return self._opened([held_whole(source) for source in self._closed(Wanted(index))])

    def tracks(self, wanted: Iterable[Wanted]) -> Iterator[tuple[Wanted, AnyTrack | AudioFileError]]:
        """Yield the track of each, in order, or the error why there is none."""
        if self._sources.has_urls:
            yield from opened_ahead(wanted, self._closed, self._opened, self._max_buffered_bytes)
            return
        for each in wanted:
            try:
                yield each, self._opened(self._closed(each))
            except AudioFileError as error:
                yield each, error

    def _closed(self, wanted: Wanted) -> Sequence[Source]:
        """Return its closed files."""
        if isinstance(wanted.metadata, AudioFileError):
            raise wanted.metadata
        if isinstance(self._sources, AlignedSources):
            return sources_of_set(self._sources[wanted.index], self._sources.store)
        return [source_at(self._sources[wanted.index], self._sources.store)]

    def _opened(self, sources: Sequence[Source]) -> AnyTrack:
        if isinstance(self._sources, AlignedSources):
            return open_aligned(self._sources.names, sources)
        return open_track(sources[0])


def as_wanted(track: AnyTrack, options: Options, error_log: ErrorLog, epoch: int) -> AnyTimeline:
    """Return a track at the dataset's rate, and report its damage.

    Raises:
        AudioFileError: it is at a rate that cannot be resampled, or aligned files have nothing in common.
        SampleRateError: it is at another rate, and the options do not allow that.
    """
    timeline = at_sample_rate(track, options.sr, on_other_rate=options.on_other_rate)
    for each, chosen in zip(track.members, timeline.members, strict=True):
        damage = [each.damage] if each.damage else []
        if len(chosen.parts) < len(each.parts):
            damage.append(f"its parts that are not at sr={options.sr} are skipped")
        if damage:
            error_log.note_damage(each.path, "; ".join(damage), each.losses, epoch)
    if isinstance(track, AlignedTrack) and track.damage:
        error_log.note_misalignment(track.path, track.damage, track.losses, epoch)
    return timeline
