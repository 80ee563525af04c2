"""One index of a corpus from the indexes of all of its parts."""

from __future__ import annotations

import os
from typing import Any

from flowmo_data.errors import FilesError
from flowmo_data.runtime.processes import num_cores
from flowmo_data.runtime.threads import ordered_map
from flowmo_data.sources import Store, is_url
from flowmo_data.sources.corpus_parts.files import PartFiles, find_part_files
from flowmo_data.sources.corpus_parts.whole import odd_one_out, whole_corpus
from flowmo_data.sources.paths import absolute
from flowmo_data.tracks.index.aligned_columns import NAME, SET
from flowmo_data.tracks.index.schema import import_pyarrow, order_by_path, schema
from flowmo_data.tracks.index.storing import INDEX_SUFFIX, StoredIndex, read_stored

_THREADS = 16
"""threads that read objects of a store"""


def merged_table(
    parts: PartFiles, root: str | os.PathLike[str] | None, store: Store, *, besides: str = ""
) -> tuple[Any, str]:
    """Return the table of a merged index, and the root of its paths: see `AudioIndex.merge`.

    The rows are those that `build_table` returns for all files, in the same order.

    Args:
        parts: the files of the parts.
        root: the folder of the files; None for the one that all parts have.
        store: access to URLs.
        besides: absolute path of an index that is not a part although it may lie in a folder of them.
    """
    pa = import_pyarrow()
    paths = find_part_files(parts, INDEX_SUFFIX, store, besides=besides)
    threads = max(num_cores(), _THREADS if any(map(is_url, paths)) else 0)
    read = ordered_map(lambda path: read_stored(path, store, use_threads=False), paths, threads=threads)
    stored = {each.path: each for each in read}
    chosen = whole_corpus(
        {path: each.part for path, each in stored.items()},
        lambda one, other: bool(stored[one].table.equals(stored[other].table)),
        command="flowmo-data index FOLDER -o PART.parquet",
    )
    found_root = _common_root(stored) if root is None else absolute(root)
    tables = [stored.pop(path).table for path in chosen]
    stored.clear()
    columns = schema()
    if SET in tables[0].column_names:
        columns = columns.append(pa.field(NAME, pa.string())).append(pa.field(SET, pa.int64()))
    table = pa.concat_tables([each.select(columns.names).cast(columns) for each in tables])
    tables.clear()
    order = _order(table)
    arrays = []
    for name in columns.names:  # one by one, so that the memory of each is free before the next
        column = table[name].combine_chunks()
        table = table.drop_columns([name])
        arrays.append(column.take(order))
        del column
    return pa.table(arrays, schema=columns).combine_chunks(), found_root


def _order(table: Any) -> Any:
    """Return the rows of a table in the order of an index: by path, or those of each set of aligned files together."""
    if SET not in table.column_names:
        return order_by_path(table)
    return import_pyarrow().compute.sort_indices(table.select([SET]), [(SET, "ascending")])  # a stable sort


def _common_root(stored: dict[str, StoredIndex]) -> str:
    """Return the root that all parts have."""
    roots = {path: each.values["absolute_root"] for path, each in stored.items()}
    odd = odd_one_out(roots)
    if odd:
        raise FilesError(
            f"{odd[0]} and {odd[1]}: their files were in different folders ({roots[odd[0]]} and {roots[odd[1]]}); "
            "give the folder for the merged index: --root FOLDER, or AudioIndex.merge(PARTS, root=FOLDER)"
        )
    return str(next(iter(roots.values())))
