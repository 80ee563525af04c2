"""Tars in stores, read from end to end: each object comes once, in large ranges that are fetched ahead in threads.

    ranges of all tars, ahead ──► members of a tar, in its order ──► tracks, with the bytes of their members

Members are found as their headers come by, so nothing is listed beforehand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from flowmo_data.errors import AudioFileError, counted
from flowmo_data.runtime.threads import closed_after, ordered_map
from flowmo_data.sources import RemoteFile, Store
from flowmo_data.sources.folders import is_hidden, kind_of_name, summary
from flowmo_data.sources.member_paths import key_of, member_path
from flowmo_data.sources.metadata.sidecars import SIDECAR_SUFFIXES
from flowmo_data.sources.tars.headers import Member, NotATarError, Problem, members_of
from flowmo_data.sources.tars.member import MemberStore

K = TypeVar("K")
_THREADS = 8
"""threads that fetch ranges ahead"""
_TARS_AHEAD = 2
"""threads that ask for the state of the tars to come"""
_LEAST_RANGE, _MOST_RANGE = 1 << 16, 1 << 23
"""bytes of a range"""
Sidecars = list[tuple[str, bytes]]
"""the suffix and the bytes of each sidecar of a member"""


class StreamedMember(NamedTuple):
    """A member of audio, as it comes by."""

    number: int
    """its number among those of its tar"""
    source: RemoteFile
    """the member, with its bytes in memory if it is not too large"""
    sidecars: Sidecars
    """its sidecars, if these are asked for"""


@dataclass(frozen=True, slots=True)
class TarStreamer:
    """Reads tars from end to end.

    Args:
        store: access to the tars.
        max_buffered_bytes: bytes that a worker may hold. An eighth is for ranges that are fetched ahead. A member that
            is larger than a quarter is not held, but read piece by piece.
        with_sidecars: whether sidecars are read. As for WebDataset, they lie next to the members that they belong to.
        on_problem: is called with the path of a tar, and what is not read of it.
    """

    store: Store
    max_buffered_bytes: int
    with_sidecars: bool
    on_problem: Callable[[str, str], None]

    def members(
        self, keys: Iterable[K], tar_of: Callable[[K], str]
    ) -> Iterator[tuple[K, StreamedMember | AudioFileError]]:
        """Yield the audio of tars, in order; in place of what cannot be read of a tar, the error.

        Args:
            keys: names of the tars; read in the calling thread.
            tar_of: returns the URL of a tar.
        """
        opened = ordered_map(partial(self._opened, tar_of=tar_of), enumerate(keys), threads=_TARS_AHEAD)
        wanted, ahead = self._ranges(opened), self.max_buffered_bytes // 8
        ranges = ordered_map(_fetched, wanted, threads=_THREADS, cost=_cost, most=ahead)
        with closed_after(opened), closed_after(ranges):
            for _, pieces in groupby(ranges, key=lambda piece: piece.number):
                first = next(pieces)
                try:
                    yield from ((first.key, member) for member in self._of_tar(first, pieces))
                except AudioFileError as error:
                    yield first.key, error

    def _opened(self, numbered: tuple[int, K], tar_of: Callable[[K], str]) -> _Piece:
        number, key = numbered
        try:
            return _Piece(number, key, RemoteFile.at(tar_of(key), self.store), 0, 0)
        except AudioFileError as error:
            return _Piece(number, key, error, 0, 0)

    def _ranges(self, opened: Iterable[_Piece]) -> Iterator[_Piece]:
        length = min(max(self.max_buffered_bytes // 64, _LEAST_RANGE), _MOST_RANGE)
        for each in opened:
            yield each
            if isinstance(each.source, RemoteFile):
                for start in range(0, each.source.stamp.size, length):
                    yield each._replace(start=start, stop=min(start + length, each.source.stamp.size))

    def _of_tar(self, first: _Piece, pieces: Iterable[_Piece]) -> Iterator[StreamedMember]:
        """Yield the audio of a tar.

        Raises:
            AudioFileError: it cannot be read, or not any further.
        """
        if isinstance(first.source, AudioFileError):
            raise first.source
        tar = first.source
        problems: list[Problem] = []
        window = _Window(tar, pieces)
        left_out: dict[str, str] = {}
        number = 0
        try:
            members = members_of(window.read, tar.stamp.size, problems.append)
            for _, group in groupby(members, key=lambda member: key_of(member.name)):
                for member, data, sidecars in self._chosen(group, window, left_out, tar.path):
                    yield StreamedMember(number, self._source(tar, member, data), sidecars)
                    number += 1
        except NotATarError as error:
            raise AudioFileError.of(tar.path, str(error)) from error
        except AudioFileError as error:
            raise AudioFileError.of(tar.path, f"{error.reason}; {counted(number, 'file')} of it came before") from error
        finally:
            self._report(tar.path, problems, left_out)
        if not number:
            raise AudioFileError.of(tar.path, "none of its members is audio, by its name")

    def _chosen(
        self, group: Iterable[Member], window: _Window, left_out: dict[str, str], tar: str
    ) -> Iterator[tuple[Member, bytes | None, Sidecars]]:
        """Yield the audio among members with one key, with its bytes, and with the sidecars of all of it."""
        waiting: list[tuple[Member, bytes | None]] = []
        sidecars: Sidecars = []
        room = self.max_buffered_bytes // 4
        for member in group:
            kind = "" if is_hidden(member.name) else kind_of_name(member.name)
            suffix = member.name.removeprefix(key_of(member.name))
            if kind == "audio":
                data = _bytes_of(member, window, room)
                if self.with_sidecars:
                    waiting.append((member, data))
                    room -= len(data or b"")
                else:
                    yield member, data, []
            elif kind:
                left_out[member_path(member.name, tar)] = kind
            elif self.with_sidecars and suffix in SIDECAR_SUFFIXES:
                data = _bytes_of(member, window, self.max_buffered_bytes // 4)
                if data is not None:
                    sidecars.append((suffix, data))
        sidecars.sort(key=lambda each: SIDECAR_SUFFIXES.index(each[0]))
        for member, data in waiting:
            yield member, data, sidecars

    def _source(self, tar: RemoteFile, member: Member, data: bytes | None) -> RemoteFile:
        place = MemberStore(self.store, tar.path, member.offset, member.size)
        source = RemoteFile(member_path(member.name, tar.path), replace(tar.stamp, size=member.size), place)
        if data is not None:
            source.held.pieces = ((0, data),)
        return source

    def _report(self, tar: str, problems: list[Problem], left_out: dict[str, str]) -> None:
        reasons = [each.reason for each in problems if not each.name]
        for problem in problems:
            if problem.name and kind_of_name(problem.name) == "audio":
                left_out[member_path(problem.name, tar)] = problem.reason
        if left_out:
            reasons.append(f"left out: {summary(left_out)}")
        if reasons:
            self.on_problem(tar, "; ".join(reasons))


class _Piece(NamedTuple):
    """A range of bytes of a tar."""

    number: int
    """number of the tar"""
    key: Any
    """name of the tar"""
    source: RemoteFile | AudioFileError
    """the tar; the error if there is none"""
    start: int
    stop: int
    data: bytes | AudioFileError = b""
    """the bytes, when they have been fetched; the error if they could not be"""


def _bytes_of(member: Member, window: _Window, room: int) -> bytes | None:
    """Return the bytes of a member; None if there is no room for them."""
    return window.read(member.offset, member.offset + member.size) if member.size <= room else None


def _cost(piece: _Piece) -> int:
    return piece.stop - piece.start


def _fetched(piece: _Piece) -> _Piece:
    if piece.start == piece.stop or isinstance(piece.source, AudioFileError):
        return piece
    try:
        return piece._replace(data=piece.source.read(piece.start, piece.stop))
    except AudioFileError as error:
        return piece._replace(data=error)


class _Window:
    """The bytes of a tar that have come and are still needed: from the last read on."""

    def __init__(self, tar: RemoteFile, pieces: Iterable[_Piece]) -> None:
        self._tar, self._pieces = tar, iter(pieces)
        self._held: deque[tuple[int, bytes]] = deque()
        self._stop = 0

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`. What lies before the last read is gone, and would be another request."""
        while self._held and self._held[0][0] + len(self._held[0][1]) <= start:
            self._held.popleft()
        while self._stop < stop and (piece := next(self._pieces, None)) is not None:
            if isinstance(piece.data, AudioFileError):
                raise piece.data
            self._stop = piece.stop
            if piece.stop > start:
                self._held.append((piece.start, piece.data))
        if not self._held or self._held[0][0] > start:
            return self._tar.read(start, stop)
        parts = [data[max(start - begin, 0) : max(stop - begin, 0)] for begin, data in self._held]
        return b"".join(parts)
