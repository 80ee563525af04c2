"""Walk all files into one table, in any number of processes. Files that are already known are not read again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flowmo_data.errors import FilesError
from flowmo_data.runtime.processes import process_map
from flowmo_data.sources import Files, find_sources
from flowmo_data.tracks.index.describing import describe
from flowmo_data.tracks.index.schema import import_pyarrow, schema

_FILES_AT_A_TIME = 32
_GROUPS_WORTH_A_PROCESS = 10
"""number of groups that makes a process worth its start: it takes about three seconds to start, and reads a hundred
files a second"""

Named = tuple[str, str]
"""a file's path, and its name in the index"""


def build_table(
    files: Files,
    *,
    root: str | None,
    previous: Any | None,
    num_workers: int,
    on_files: Callable[[int, int], None] | None,
) -> tuple[Any, str]:
    """Return the table of an index, sorted by path, and the root of its paths: see `AudioIndex.build`."""
    pa = import_pyarrow()
    sources = find_sources(files)
    root = os.path.abspath(root) if root is not None else _common_root(files, sources)
    named = [(path, _name(path, root)) for path in sources]
    known, unknown = _divide(named, previous)
    tables = [schema().empty_table()]
    if previous is not None:
        tables.append(previous.select(schema().names).take(pa.array(known, pa.int64())))
    done = len(known)
    if on_files is not None:
        on_files(done, len(named))
    groups = [unknown[start : start + _FILES_AT_A_TIME] for start in range(0, len(unknown), _FILES_AT_A_TIME)]
    for table in _described(groups, num_workers):
        tables.append(table)
        done += len(table)
        if on_files is not None:
            on_files(done, len(named))
    return pa.concat_tables(table.cast(schema()) for table in tables).sort_by("path").combine_chunks(), root


def _described(groups: list[list[Named]], num_workers: int) -> Iterator[Any]:
    return process_map(describe_all, groups, num_processes=min(num_workers, len(groups) // _GROUPS_WORTH_A_PROCESS))


def describe_all(files: Sequence[Named]) -> Any:
    """Return the rows of some files, as a table. Runs in the processes."""
    return import_pyarrow().Table.from_pylist([describe(path, name) for path, name in files], schema=schema())


def _divide(named: Sequence[Named], previous: Any | None) -> tuple[list[int], list[Named]]:
    """Return the rows of the previous index that are still valid, and the files without such a row."""
    if previous is None:
        return [], list(named)
    names, errors, *stamps = (previous[key].to_pylist() for key in ("path", "error", "size", "mtime_ns"))
    rows = {
        name: (row, stamp)
        for row, (name, error, *stamp) in enumerate(zip(names, errors, *stamps, strict=True))
        if error is None  # a bad file is read again: the problem may not have been in the file
    }
    known, unknown = [], []
    for path, name in named:
        row, stamp = rows.get(name, (-1, []))
        if stamp and stamp == _stamp(path):
            known.append(row)
        else:
            unknown.append((path, name))
    return known, unknown


def _stamp(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _common_root(files: Files, sources: Sequence[str]) -> str:
    if isinstance(files, (str, os.PathLike)) and os.path.isdir(files):
        return os.path.abspath(files)
    return os.path.commonpath([os.path.dirname(path) for path in sources])


def _name(path: str, root: str) -> str:
    prefix = os.path.join(root, "")
    if not path.startswith(prefix):
        raise FilesError(f"{path}: it is not under root={root}, and an index's paths are relative to that")
    return path.removeprefix(prefix)
