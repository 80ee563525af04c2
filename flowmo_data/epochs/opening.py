"""Open files, or sets of aligned files, in the order of an epoch. Those in stores are fetched ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.fetching import opened_ahead
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.tar_stream import StreamedMember, TarStreamer
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.threads import closed_after, ordered_map
from flowmo_data.sources import AlignedSources, FileMetadata, Source, Sources, Store, source_at
from flowmo_data.sources.member_paths import is_tar
from flowmo_data.sources.metadata.of_files import SidecarMetadata
from flowmo_data.sources.metadata.sidecars import combined
from flowmo_data.sources.stores.storage_options import FETCH_THREADS
from flowmo_data.tracks import AlignedTrack, AnyTimeline, AnyTrack, at_sample_rate, open_aligned, open_track
from flowmo_data.tracks.aligned import sources_of_set


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file, a set of aligned files, or a member of a tar that is read from end to end, to be opened."""

    place: int
    """its number; no other one of the epoch has it"""
    index: int
    """the number of the file or the set; of a member, that of its tar"""
    metadata: dict[str, Any] | AudioFileError | None = None
    """what the user knows about it; an error if it is not to be opened"""


class Opener:
    """Opens files, or sets of aligned files, by their numbers. A tar in a store is read from end to end.

    Args:
        sources: the files.
        max_buffered_bytes: bytes of remote files that may be held.
        metadata: what is known about each file; None for nothing. A file about which nothing is known is not opened.
    """

    def __init__(
        self, sources: Sources | AlignedSources, max_buffered_bytes: int, metadata: FileMetadata | None = None
    ) -> None:
        self._sources, self._max_buffered_bytes, self._metadata = sources, max_buffered_bytes, metadata

    def track(self, index: int) -> AnyTrack:
        """Open one of them, or the first member of a tar that can be opened.

        Raises:
            AudioFileError: it cannot be read, or nothing is known about it.
        """
        error: AudioFileError | None = None
        with closed_after(self.tracks([index], lambda *_: None)) as tracks:
            for _, track in tracks:
                if not isinstance(track, AudioFileError):
                    return track
                error = track
        assert error is not None
        raise error

    def tracks(
        self, indices: Iterable[int], on_problem: Callable[[str, str], None]
    ) -> Iterator[tuple[Wanted, AnyTrack | AudioFileError]]:
        """Yield the track of each, in order, or the error why there is none.

        Args:
            indices: their numbers.
            on_problem: is called with the path of a tar that is read from end to end, and what is not read of it.
        """
        if not self._sources.has_urls:
            for each in map(self._looked_up, indices):
                try:
                    yield each, self._opened(self._closed(each))
                except AudioFileError as error:
                    yield each, error
            return
        beside = self._metadata is not None and self._metadata.is_beside_files
        for is_streamed, group in groupby(indices, key=self._is_streamed):
            if is_streamed:
                yield from self._streamed(group, on_problem)
            else:
                wanted = ordered_map(self._looked_up, group, threads=FETCH_THREADS if beside else 0)
                yield from opened_ahead(wanted, self._closed, self._opened, self._max_buffered_bytes)

    def _is_streamed(self, index: int) -> bool:
        path = self._sources[index]
        return isinstance(path, str) and is_tar(path)

    def _streamed(
        self, indices: Iterable[int], on_problem: Callable[[str, str], None]
    ) -> Iterator[tuple[Wanted, AnyTrack | AudioFileError]]:
        """Yield the tracks of the members of tars."""
        sidecars = isinstance(self._metadata, SidecarMetadata)
        streamer = TarStreamer(self._sources.store or Store(), self._max_buffered_bytes, sidecars, on_problem)
        with closed_after(streamer.members(indices, lambda index: str(self._sources[index]))) as members:
            for index, member in members:
                if isinstance(member, AudioFileError):
                    yield Wanted(index, index), member
                    continue
                place = index + len(self._sources) * member.number
                track: AnyTrack | AudioFileError
                try:
                    known, track = self._known_of(member), open_track(member.source)
                except AudioFileError as error:
                    known, track = None, error
                yield Wanted(place, index, known), track

    def _known_of(self, member: StreamedMember) -> dict[str, Any] | None:
        path = member.source.path
        if isinstance(self._metadata, SidecarMetadata):
            return combined(path, member.sidecars)
        return None if self._metadata is None else self._metadata.of(path)

    def _looked_up(self, index: int) -> Wanted:
        """Return a file to open, with its metadata."""
        if self._metadata is None:
            return Wanted(index, index)
        path = self._sources[index]
        try:
            known = self._metadata.of(path if isinstance(path, str) else path[0])  # of aligned files, the first has it
        except AudioFileError as error:
            return Wanted(index, index, error)
        return Wanted(index, index, known)

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
