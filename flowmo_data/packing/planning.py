"""The plan of shards: which files go where, under which names. It depends on the files alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from tarfile import BLOCKSIZE, PAX_FORMAT, RECORDSIZE, TarInfo
from typing import Any

from flowmo_data.epochs.sharding import epoch_order
from flowmo_data.errors import FilesError
from flowmo_data.packing.naming import member_names
from flowmo_data.sources import source_at
from flowmo_data.sources.member_paths import is_member
from flowmo_data.sources.metadata.sidecars import SIDECAR_SUFFIXES, has_member
from flowmo_data.sources.paths import name_below, with_suffix


@dataclass(frozen=True, slots=True)
class PlannedMember:
    """A member to be written."""

    name: str
    """its name in the tar"""
    size: int
    """bytes"""
    mtime: int
    """time of the last change, whole seconds since 1970; 0 if it is not known"""
    path: str = ""
    """path of the file to copy; empty if `data` is to be written"""
    data: bytes = b""
    """the bytes, if they come from no file"""

    def header(self) -> TarInfo:
        """Return the header. Its owner and its mode are the same everywhere."""
        info = TarInfo(self.name)
        info.size, info.mtime, info.mode = self.size, self.mtime, 0o644
        return info

    @property
    def bytes_in_tar(self) -> int:
        """Bytes that it takes, with its header, in whole blocks."""
        header = len(self.header().tobuf(PAX_FORMAT, "utf-8", "surrogateescape"))
        return header + -(-self.size // BLOCKSIZE) * BLOCKSIZE


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A shard to be written."""

    name: str
    """file name"""
    members: tuple[PlannedMember, ...]

    @property
    def size(self) -> int:
        """Bytes of the tar."""
        return _tar_bytes(sum(member.bytes_in_tar for member in self.members))


def _tar_bytes(used: int) -> int:
    """Return the bytes of a tar by those of its members: two blocks mark the end, and then it is filled up."""
    return -(-(used + 2 * BLOCKSIZE) // RECORDSIZE) * RECORDSIZE


@dataclass(frozen=True, slots=True)
class Plan:
    """All shards."""

    shards: tuple[PlannedShard, ...]
    num_files: int
    """audio files"""
    renamed: Mapping[str, str]
    """files that have another name in their tar than below their folder, with that name"""


def plan_shards(
    paths: Sequence[str],
    root: str,
    *,
    shard_bytes: int,
    row_of: Callable[[str], Mapping[str, Any] | None] = lambda _: None,
    seed: int | None = None,
    on_file: Callable[[], object] = lambda: None,
) -> Plan:
    """Return the shards that hold some files, each with its sidecars behind it.

    Args:
        paths: absolute paths of the files, in the order to pack them; they may be members of local tars.
        root: the folder that their names in the tars are relative to.
        shard_bytes: the size of a shard, which is larger only if it holds a single file.
        row_of: returns what goes into the `.json` of a file, in place of a `.json` beside it; None for nothing.
        seed: pack them in a random order, drawn from this number, under the same names; None for the order as it is.
        on_file: called after each file.

    Raises:
        AudioFileError: the state of a file cannot be read.
        FilesError: what goes into a `.json` cannot be written as JSON.
    """
    below = [_name_below(path, root) for path in paths]
    names = list(member_names(below))
    shards: list[PlannedShard] = []
    held: list[PlannedMember] = []
    used = 0

    def close() -> None:
        if held:
            shards.append(PlannedShard(f"shard-{len(shards):06d}.tar", tuple(held)))

    order = epoch_order(len(paths), seed=seed or 0, epoch=0, shuffle=seed is not None)
    for path, name in ((paths[place], names[place]) for place in order):
        group = [_copied(path, name), *_sidecars(path, os.path.splitext(name)[0], row_of)]
        size = sum(member.bytes_in_tar for member in group)
        if held and _tar_bytes(used + size) > shard_bytes:
            close()
            held, used = [], 0
        held.extend(group)
        used += size
        on_file()
    close()
    renamed = {path: name for path, name, old in zip(paths, names, below, strict=True) if name != old}
    return Plan(tuple(shards), len(paths), renamed)


def _name_below(path: str, root: str) -> str:
    """Return a file's name below the root; of a member, its name in its tar, behind the name of that."""
    name = name_below(path, root)
    assert name is not None
    if is_member(name):
        inner, tar = name.removeprefix("tar://").split("::", 1)
        return f"{os.path.splitext(tar)[0]}/{inner}"
    return name


def _copied(path: str, name: str) -> PlannedMember:
    stamp = source_at(path).stamp
    return PlannedMember(name, stamp.size, max(stamp.mtime_ns, 0) // 1_000_000_000, path)


def _sidecars(path: str, key: str, row_of: Callable[[str], Mapping[str, Any] | None]) -> Iterator[PlannedMember]:
    row = row_of(path)
    for suffix in SIDECAR_SUFFIXES:
        if suffix == ".json" and row is not None:
            data = _as_json(path, row)
            yield PlannedMember(key + suffix, len(data), 0, data=data)
            continue
        sidecar = with_suffix(path, suffix)
        if os.path.isfile(sidecar) or (is_member(sidecar) and has_member(sidecar)):
            yield _copied(sidecar, key + suffix)


def _as_json(path: str, row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, sort_keys=True).encode()
    except (TypeError, ValueError) as error:
        raise FilesError(f"{path}: its row cannot be written as JSON ({error}); leave such columns out") from error
