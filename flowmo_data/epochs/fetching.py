"""Get the bytes of remote files ahead of their use, in threads, within a number of bytes.

    with an index      spans ──► the bytes of each, fetched ahead ──► decode
    without one        files ──► whole objects, fetched ahead and opened ──► cut ──► shuffle ──► decode

The bytes belong to a span's `Source`, and go with the last span that needs them. The order of results does not depend
on time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from flowmo_data.epochs.span import Span
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.threads import ordered_map
from flowmo_data.sources import RemoteFile, Source
from flowmo_data.sources.storage_options import FETCH_THREADS
from flowmo_data.tracks import Timeline, Track, open_track
from flowmo_data.tracks.byte_ranges import byte_ranges, merged, source_of

K = TypeVar("K")
_OBJECT_THREADS = 16
"""threads that fetch whole objects"""


def with_bytes_ahead(spans: Iterable[Span], max_buffered_bytes: int) -> Iterator[Span]:
    """Yield the spans of an index, in their order, with their bytes fetched.

    Args:
        spans: the spans; read in the calling thread.
        max_buffered_bytes: bytes that spans may hold. Half of them are used here, the others are for decoding.
    """
    planned = ((span, list(_ranges_of(span))) for span in spans)
    return ordered_map(_fetched, planned, threads=FETCH_THREADS, cost=_num_bytes, most=max_buffered_bytes // 2)


Ranges = list[tuple[int, int]]


def _ranges_of(span: Span) -> Iterator[tuple[Source, Ranges]]:
    """Yield the remote files that a span is read from, with the ranges of bytes that it needs."""
    by_source: dict[int, tuple[Source, Ranges]] = {}
    for part, start, stop in span.timeline.windows(span.start, span.stop):
        source = source_of(part)
        if isinstance(source, RemoteFile):
            by_source.setdefault(id(source), (source, []))[1].extend(byte_ranges(part, start, stop))
    for source, ranges in by_source.values():
        yield source, merged(ranges, source.stamp.size)


def _num_bytes(planned: tuple[Span, list[tuple[Source, Ranges]]]) -> int:
    return sum(stop - start for _, ranges in planned[1] for start, stop in ranges)


def _fetched(planned: tuple[Span, list[tuple[Source, Ranges]]]) -> Span:
    span, needed = planned
    for source, ranges in needed:
        source.fetch(ranges)
    return span


def opened_ahead(
    keys: Iterable[K], source_of_key: Callable[[K], Source], max_buffered_bytes: int
) -> Iterator[tuple[K, Track | AudioFileError]]:
    """Yield the track of each file, in order, or the error why there is none. Whole objects are fetched ahead.

    Args:
        keys: names of the files; read in the calling thread.
        source_of_key: returns the closed file of a name.
        max_buffered_bytes: bytes that objects may hold. A quarter is used here. An object that is larger than that is
            not held, but read piece by piece.
    """
    most = max_buffered_bytes // 4

    def seen(key: K) -> tuple[K, Source | AudioFileError]:
        try:
            return key, source_of_key(key)
        except AudioFileError as error:
            return key, error

    def cost(each: tuple[K, Source | AudioFileError]) -> int:
        return each[1].stamp.size if isinstance(each[1], RemoteFile) and each[1].stamp.size <= most else 0

    def opened(each: tuple[K, Source | AudioFileError]) -> tuple[K, Track | AudioFileError]:
        key, source = each
        if isinstance(source, AudioFileError):
            return key, source
        if cost(each):
            source.fetch([(0, source.stamp.size)])
        try:
            return key, open_track(source)
        except AudioFileError as error:
            return key, error

    return ordered_map(
        opened, ordered_map(seen, keys, threads=FETCH_THREADS), threads=_OBJECT_THREADS, cost=cost, most=most
    )


def held_by(span: Span) -> tuple[int, int]:
    """Return a number for the file of a span, and the bytes that the file holds."""
    return id(span.timeline), _held_bytes(span.timeline)


def _held_bytes(timeline: Timeline) -> int:
    source = source_of(timeline.parts[0])
    return source.held.num_bytes if isinstance(source, RemoteFile) else 0
