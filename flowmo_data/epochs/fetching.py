"""Get the bytes of remote files ahead of their use, in threads, within a number of bytes.

    with an index      spans ──► the bytes of each, fetched ahead ──► decode
    without one        files ──► whole objects, fetched ahead and opened ──► cut ──► shuffle ──► decode

The bytes belong to a span's `Source`, and go with the last span that needs them. The order of results does not depend
on time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from flowmo_data.epochs.span import Span
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.threads import AHEAD, ordered_map
from flowmo_data.sources import FileMetadata, RemoteFile, Source
from flowmo_data.sources.stores.storage_options import FETCH_THREADS
from flowmo_data.tracks import AnyTrack
from flowmo_data.tracks.byte_ranges import byte_ranges, merged, source_of

K = TypeVar("K")
T = TypeVar("T")
FETCHED_AHEAD = AHEAD * FETCH_THREADS
"""frames of indexes with bytes that may be fetched ahead, or on their way"""
_OBJECT_THREADS = 16
"""threads that fetch whole objects"""


def with_bytes_ahead(
    items: Iterable[T], span_of: Callable[[T], Span], max_buffered_bytes: int, *, completed: Callable[[T], T]
) -> Iterator[T]:
    """Yield spans of indexes, in their order, with their bytes fetched.

    Args:
        items: the spans, or what holds them; read in the calling thread.
        span_of: returns the span of an item.
        max_buffered_bytes: bytes that spans may hold. Half of them are used here, the others are for decoding.
        completed: returns an item with what else is fetched for it; it runs in the threads.
    """

    def fetched(planned: tuple[T, list[tuple[Source, Ranges]]]) -> T:
        item, needed = planned
        for source, ranges in needed:
            source.fetch(ranges)
        return completed(item)

    planned = ((item, list(_ranges_of(span_of(item)))) for item in items)
    return ordered_map(fetched, planned, threads=FETCH_THREADS, cost=_num_bytes, most=max_buffered_bytes // 2)


Ranges = list[tuple[int, int]]


def _ranges_of(span: Span) -> Iterator[tuple[Source, Ranges]]:
    """Yield the remote files that a span is read from, with the ranges of bytes that it needs."""
    by_source: dict[int, tuple[Source, Ranges]] = {}
    for timeline in span.timeline.members:
        for part, start, stop in timeline.windows(span.start, span.stop):
            source = source_of(part)
            if isinstance(source, RemoteFile):
                by_source.setdefault(id(source), (source, []))[1].extend(byte_ranges(part, start, stop))
    for source, ranges in by_source.values():
        yield source, merged(ranges, source.stamp.size)


def _num_bytes(planned: tuple[T, list[tuple[Source, Ranges]]]) -> int:
    return sum(stop - start for _, ranges in planned[1] for start, stop in ranges)


def with_sidecar(span: Span, metadata: FileMetadata) -> Span:
    """Return a span of an index with what lies beside its file, or with the error why that cannot be read."""
    if not metadata.is_beside_files:
        return span
    try:
        return span._replace(sidecar=metadata.of(span.timeline.path))
    except AudioFileError as error:
        return span._replace(sidecar=error)


def known(sidecar: dict[str, Any] | AudioFileError) -> dict[str, Any]:
    """Return what lies beside the file of a span. Raise the error if it could not be read."""
    if isinstance(sidecar, AudioFileError):
        raise sidecar
    return sidecar


def opened_ahead(
    keys: Iterable[K],
    sources_of_key: Callable[[K], Sequence[Source]],
    open_sources: Callable[[Sequence[Source]], AnyTrack],
    max_buffered_bytes: int,
) -> Iterator[tuple[K, AnyTrack | AudioFileError]]:
    """Yield the track of each key, in order, or the error why there is none. Whole objects are fetched ahead.

    Args:
        keys: names of files, or of sets of aligned files; read in the calling thread.
        sources_of_key: returns the closed files of a key.
        open_sources: opens them.
        max_buffered_bytes: bytes that objects may hold. A quarter is used here. Objects of a key that are larger than
            that together are not held, but read piece by piece.
    """
    most = max_buffered_bytes // 4

    def seen(key: K) -> tuple[K, Sequence[Source] | AudioFileError]:
        try:
            return key, sources_of_key(key)
        except AudioFileError as error:
            return key, error

    def cost(each: tuple[K, Sequence[Source] | AudioFileError]) -> int:
        if isinstance(each[1], AudioFileError):
            return 0
        size = sum(source.stamp.size for source in each[1] if isinstance(source, RemoteFile))
        return size if size <= most else 0

    def opened(each: tuple[K, Sequence[Source] | AudioFileError]) -> tuple[K, AnyTrack | AudioFileError]:
        key, sources = each
        if isinstance(sources, AudioFileError):
            return key, sources
        if cost(each):
            for source in sources:
                source.fetch([(0, source.stamp.size)])
        try:
            return key, open_sources(sources)
        except AudioFileError as error:
            return key, error

    return ordered_map(
        opened, ordered_map(seen, keys, threads=FETCH_THREADS), threads=_OBJECT_THREADS, cost=cost, most=most
    )


def held_by(span: Span) -> tuple[int, int]:
    """Return a number for the file of a span, or for its set of aligned files, and the bytes that are held of it."""
    sources = (source_of(member.parts[0]) for member in span.timeline.members)
    return id(span.timeline), sum(source.held.num_bytes for source in sources if isinstance(source, RemoteFile))
