"""Walk all files into one table, in any number of processes. Files that are already known are not read again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from flowmo_data.errors import AudioFileError, FilesError
from flowmo_data.runtime.processes import process_map
from flowmo_data.runtime.threads import ordered_map
from flowmo_data.sources import (
    AlignedFiles,
    Files,
    Sources,
    Store,
    find_aligned,
    find_sources,
    is_remote,
    is_url,
)
from flowmo_data.sources.corpus_parts.listing import list_part
from flowmo_data.sources.corpus_parts.part import CorpusPart
from flowmo_data.sources.listing.entries import described
from flowmo_data.sources.member_paths import file_of, is_member
from flowmo_data.sources.paths import absolute, common_root, name_below
from flowmo_data.sources.tars.opening import place_of, store_for
from flowmo_data.tracks.aligned import SO_SKIPPED
from flowmo_data.tracks.index.aligned_columns import NAME, SET
from flowmo_data.tracks.index.describing import NOTHING, as_text, describe
from flowmo_data.tracks.index.schema import import_pyarrow, schema, sorted_by_path

_FILES_AT_A_TIME = 32
_THREADS = 8
"""threads that read objects of a store"""
_GROUPS_WORTH_A_PROCESS = 10
"""number of groups that makes a process worth its start: it takes about three seconds to start, and reads a hundred
files a second"""

Named = tuple[str, str]
"""a file's path, and its name in the index"""


def build_table(
    files: Files | AlignedFiles,
    *,
    root: str | None,
    previous: Any | None,
    num_workers: int,
    on_files: Callable[[int, int], None] | None,
    store: Store,
    part: CorpusPart | None = None,
) -> tuple[Any, str, CorpusPart | None]:
    """Return the table of an index, the root of its paths, and the part that it is: see `AudioIndex.build`.

    It is sorted by path. The files of aligned sets are in the order of `find_aligned`.
    """
    if isinstance(files, Mapping):
        aligned = find_aligned(files, store=store)
        sources = Sources(chain(*aligned), store)
    else:
        aligned, sources = None, find_sources(files, store=store, whole_tars=part is not None)
    others = [] if aligned is None else aligned.problems
    root = absolute(root) if root is not None else _root(files, [*sources, *others])
    named = [(path, _name(path, root)) for path in sources]
    if part is not None:
        labels = () if aligned is None else aligned.names
        part = part.of(chain(labels, (name for _, name in named), (_name(path, root) for path in others)))
    if aligned is None:
        if part is not None:
            assert not isinstance(files, Mapping)
            chosen = (path for path, name in named if part.holds(file_of(name)))
            named = [(path, _name(path, root)) for path in list_part(chosen, files, store).sources]
        return _table(named, previous, num_workers, on_files, store), root, part
    sets = [*enumerate(aligned)]
    incomplete = [*enumerate(aligned.problems.items(), len(aligned))]
    if part is not None:
        sets = [each for each in sets if part.holds(_name(each[1][0], root))]
        incomplete = [each for each in incomplete if part.holds(_name(each[1][0], root))]
        paths = {path for _, of_set in sets for path in of_set}
        named = [each for each in named if each[0] in paths]
    table = _table(named, previous, num_workers, on_files, store)
    return _in_sets(table, aligned.names, sets, incomplete, root), root, part


def _table(
    named: Sequence[Named],
    previous: Any | None,
    num_workers: int,
    on_files: Callable[[int, int], None] | None,
    store: Store,
) -> Any:
    """Return the rows of files, sorted by path."""
    pa = import_pyarrow()
    if previous is not None:
        previous = previous.select(schema().names)
    known, unknown = _divide(named, previous, store)
    tables = [schema().empty_table()]
    if previous is not None:
        tables.append(previous.take(pa.array(known, pa.int64())))
    done = len(known)
    if on_files is not None:
        on_files(done, len(named))
    groups = [unknown[start : start + _FILES_AT_A_TIME] for start in range(0, len(unknown), _FILES_AT_A_TIME)]
    for table in _described(groups, num_workers, store):
        tables.append(table)
        done += len(table)
        if on_files is not None:
            on_files(done, len(named))
    return sorted_by_path(pa.concat_tables(table.cast(schema()) for table in tables)).combine_chunks()


def _in_sets(
    table: Any,
    names: Sequence[str],
    sets: Sequence[tuple[int, tuple[str, ...]]],
    incomplete: Sequence[tuple[int, tuple[str, str]]],
    root: str,
) -> Any:
    """Return the rows in the order of the sets, with the name and the set of each; incomplete sets are bad files.

    Args:
        table: a row for each file.
        names: the names of the files of a set.
        sets: the number and the paths of each complete set.
        incomplete: the number of each other set, the path of its first file, and the reason.
        root: the folder that paths are relative to.
    """
    pa = import_pyarrow()
    places = {name: place for place, name in enumerate(table["path"].to_pylist())}
    order = [places[as_text(_name(path, root))] for _, paths in sets for path in paths]
    whole = table.take(pa.array(order, pa.int64()))
    errors = [error and f"{error}; {SO_SKIPPED}" for error in whole["error"].to_pylist()]
    whole = whole.set_column(whole.schema.get_field_index("error"), "error", pa.array(errors, pa.string()))
    bad = [
        {**NOTHING, "path": as_text(_name(path, root)), "error": as_text(reason)} for _, (path, reason) in incomplete
    ]
    rows = pa.concat_tables([whole, pa.Table.from_pylist(bad, schema=schema())])
    names_of_rows = [*names] * len(sets) + [None] * len(bad)
    numbers = [number for number, _ in sets for _ in names] + [number for number, _ in incomplete]
    rows = rows.append_column(NAME, pa.array(names_of_rows, pa.string()))
    return rows.append_column(SET, pa.array(numbers, pa.int64())).combine_chunks()


def _described(groups: list[list[Named]], num_workers: int, store: Store) -> Iterator[Any]:
    num_processes = min(num_workers, len(groups) // _GROUPS_WORTH_A_PROCESS)
    if not num_processes:
        return map(partial(describe_all, store=store), groups)
    work = [(group, store_for([path for path, _ in group], store)) for group in groups]
    return process_map(_describe_group, work, num_processes=num_processes)


def _describe_group(work: tuple[list[Named], Store]) -> Any:
    return describe_all(*work)


def describe_all(files: Sequence[Named], store: Store | None = None) -> Any:
    """Return the rows of some files, as a table. Runs in the processes."""
    threads = _THREADS if is_remote(files[0][0]) else 0
    rows = list(ordered_map(lambda named: describe(*named, store), files, threads=threads))
    return import_pyarrow().Table.from_pylist(rows, schema=schema())


def _divide(named: Sequence[Named], previous: Any | None, store: Store) -> tuple[list[int], list[Named]]:
    """Return the rows of the previous index that are still valid, and the files without such a row."""
    if previous is None or not named:
        return [], list(named)
    state = ("size", "digest" if is_remote(named[0][0]) else "mtime_ns", "offset")
    names, errors, *stamps = (previous[key].to_pylist() for key in ("path", "error", *state))
    rows = {
        name: (row, stamp)
        for row, (name, error, *stamp) in enumerate(zip(names, errors, *stamps, strict=True))
        if error is None  # a bad file is read again: the problem may not have been in the file
    }
    known, unknown = [], []
    threads = _THREADS if is_remote(named[0][0]) else 0
    present = ordered_map(lambda each: _stamp(each[0], store) if each[1] in rows else None, named, threads=threads)
    for (path, name), now in zip(named, present, strict=True):
        row, stamp = rows.get(name, (-1, []))
        if stamp and stamp == now:
            known.append(row)
        else:
            unknown.append((path, name))
    return known, unknown


def _stamp(path: str, store: Store) -> list[int] | None:
    try:
        if is_member(path):
            stamp, offset = place_of(path, store)
            return [stamp.size, stamp.digest if is_remote(path) else stamp.mtime_ns, offset]
        if is_url(path):
            stamp = store.stamp(path)
            return [stamp.size, stamp.digest, 0]
        status = os.stat(path)
    except (AudioFileError, OSError):
        return None
    return [status.st_size, status.st_mtime_ns, 0]


def _root(files: Files | AlignedFiles, sources: Sequence[str]) -> str:
    root = common_root(files, sources)
    if root is None:
        raise FilesError(
            f"files={described(files)}: some files are local or in different stores, and an index's paths are relative "
            "to one folder; make an index of each store"
        )
    return root


def _name(path: str, root: str) -> str:
    name = name_below(path, root)
    if name is None:
        raise FilesError(f"{path}: it is not under root={root}, and an index's paths are relative to that")
    return name
