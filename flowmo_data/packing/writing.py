"""Write a shard under a temporary name, read it back, and give it its name: a shard with its name is complete."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b
from typing import IO, cast

from flowmo_data.errors import AudioFileError, FlowmoDataError
from flowmo_data.packing.planning import PlannedMember, PlannedShard
from flowmo_data.sources import source_at
from flowmo_data.sources.local_file import LocalFile
from flowmo_data.sources.tars.headers import Problem, members_of

UNFINISHED = ".part"
"""suffix of a shard that is being written"""
_BLOCK = 1 << 22
"""bytes that are copied at a time"""


class ShardError(FlowmoDataError):
    """A shard that is not what was written, or that another run has written."""


def write_shard(folder: str, shard: PlannedShard, on_member: Callable[[PlannedMember], None] = lambda _: None) -> None:
    """Write a shard into a folder, and verify it by reading it back: each member's bytes against those of its file.

    Args:
        folder: the folder.
        shard: the shard; one of the same name is replaced.
        on_member: called after each member.

    Raises:
        AudioFileError: a file cannot be read, or its size has changed since the plan was made.
        ShardError: the shard does not hold what was written.
        OSError: it cannot be written.
    """
    path = os.path.join(folder, shard.name)
    unfinished = path + UNFINISHED
    try:
        digests = _write(unfinished, shard, on_member)
        _verify(unfinished, shard, digests)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise


def _write(path: str, shard: PlannedShard, on_member: Callable[[PlannedMember], None]) -> list[bytes]:
    """Write a shard; return the hash of each member's bytes."""
    digests = []
    with open(path, "wb") as file:
        with tarfile.TarFile(
            fileobj=file,
            mode="w",
            format=tarfile.PAX_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
            copybufsize=_BLOCK,  # each read opens the file
        ) as tar:
            for member in shard.members:
                content = _Content(member)
                tar.addfile(member.header(), cast("IO[bytes]", content))
                digests.append(content.digest.digest())
                on_member(member)
        file.flush()
        os.fsync(file.fileno())
    return digests


class _Content:
    """The bytes of a member, as a file that `tarfile` copies, with a hash of what was copied."""

    def __init__(self, member: PlannedMember) -> None:
        self.digest = blake2b()
        self._read, self._place = self._reader(member), 0

    @staticmethod
    def _reader(member: PlannedMember) -> Callable[[int, int], bytes]:
        if not member.path:
            return lambda start, stop: member.data[start:stop]
        source = source_at(member.path)
        if source.stamp.size != member.size:
            raise AudioFileError.of(
                member.path,
                f"changed while it was packed ({member.size} bytes before, {source.stamp.size} now); run it again",
            )
        return source.read

    def read(self, count: int) -> bytes:
        data = self._read(self._place, self._place + count)
        self._place += len(data)
        self.digest.update(data)
        return data


def _verify(path: str, shard: PlannedShard, digests: list[bytes]) -> None:
    """Raise `ShardError` if a shard does not hold its members."""
    source = LocalFile.at(path)
    problems: list[Problem] = []
    found = list(members_of(source.read, source.stamp.size, problems.append))
    is_right = [(each.name, each.size) for each in found] == [(each.name, each.size) for each in shard.members]
    for member, expected in zip(found, digests, strict=False):
        digest = blake2b()
        for start in range(member.offset, member.offset + member.size, _BLOCK):
            digest.update(source.read(start, min(start + _BLOCK, member.offset + member.size)))
        is_right = is_right and digest.digest() == expected
    if not is_right or problems:
        raise ShardError(f"{path}: it does not hold what was written to it; is the disk in order? Run it again")


def is_finished(folder: str, shard: PlannedShard) -> bool:
    """Return whether a shard is there, with the planned names, sizes and times; False if a file has changed since.

    Raises:
        ShardError: there is a shard with other members.
    """
    path = os.path.join(folder, shard.name)
    try:
        with tarfile.open(path, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            found = [(info.name, info.size, int(info.mtime)) for info in tar]
            size = os.path.getsize(path)
    except FileNotFoundError:
        return False
    except tarfile.TarError as error:
        raise ShardError(f"{path}: it is not a shard that this command has written ({error}); {_CHOOSE}") from error
    if [each[0] for each in found] != [member.name for member in shard.members]:
        raise ShardError(
            f"{path}: it has other members than it would get now; were the folder, the metadata, --size or "
            f"--shuffle others? {_CHOOSE}"
        )
    return size == shard.size and found == [(each.name, each.size, each.mtime) for each in shard.members]


_CHOOSE = "choose an empty folder, or delete it"


def check_folder(folder: str, names: set[str]) -> None:
    """Raise if a folder has other shards than those with some names.

    Raises:
        ShardError: it has.
    """
    others = sorted(set(_shards_in(folder)) - names)
    if others:
        raise ShardError(
            f"{folder}: it holds other shards, such as {others[0]}, and the new ones would be taken for a part of "
            "them; choose an empty folder, or delete them"
        )


def _shards_in(folder: str) -> Iterator[str]:
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            if name.endswith(".tar"):
                yield name


def remove_unfinished(folder: str) -> None:
    """Remove what a run that was killed has left."""
    for name in os.listdir(folder):
        if name.endswith(".tar" + UNFINISHED):
            os.unlink(os.path.join(folder, name))
