"""Keep some files of an index, or some segments, by an expression about them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from flowmo_data.errors import OptionError
from flowmo_data.sources.listing.found import is_excluded
from flowmo_data.sources.paths import joined
from flowmo_data.tracks.index.aligned_columns import SET, AlignedColumns
from flowmo_data.tracks.index.columns import Columns, one_chunk
from flowmo_data.tracks.index.schema import METADATA, SEGMENTS, import_pyarrow
from flowmo_data.tracks.index.segments import START, STOP, SegmentColumns

_OF_FILE = ("path", "sample_rate", "channels", "format")
_ROW = "flowmo_data.row"


def kept_rows(index: Any, columns: Columns | SegmentColumns | AlignedColumns, expression: Any) -> Any:
    """Return the table of an index with the tracks that an expression accepts: see `AudioIndex.filter`."""
    pa = import_pyarrow()
    if not isinstance(expression, pa.compute.Expression):
        raise OptionError(
            f"filter({expression!r}): give an expression of pyarrow.compute, such as field('seconds') > 30 with "
            "from pyarrow.compute import field"
        )
    asked = _fields(index, columns.files if isinstance(columns, AlignedColumns) else columns)
    names = [name for name in asked.column_names if name != _ROW]
    try:
        kept = np.sort(asked.filter(expression)[_ROW].to_numpy())
    except (pa.ArrowException, TypeError, ValueError) as error:
        problem = str(error).partition(" in flowmo_data.row")[0]  # all fields follow, one per line
        raise OptionError(f"filter({expression}): {problem}; the fields are {', '.join(names)}") from error
    if isinstance(columns, AlignedColumns):
        kept = columns.with_partners(kept)
    if not isinstance(columns, SegmentColumns):
        return index.take(pa.array(kept)).combine_chunks()
    counts = np.bincount(columns.file_of[kept], minlength=len(index))
    segments = one_chunk(index[SEGMENTS]).values.take(pa.array(kept))
    ends = np.concatenate([[0], np.cumsum(counts)])
    files = pa.array(np.flatnonzero(counts))
    place = index.column_names.index(SEGMENTS)
    listed = index.set_column(place, SEGMENTS, pa.LargeListArray.from_arrays(pa.array(ends), segments))
    return listed.take(files).combine_chunks()


def without_files(index: Any, root: str, paths: Collection[str]) -> tuple[Any, int]:
    """Return the table of an index without some files and their partners, and how many files or sets these are."""
    pa = import_pyarrow()
    names = index["path"].to_pylist()
    sets = index[SET].to_pylist() if SET in index.column_names else range(len(names))
    dropped = {each for each, name in zip(sets, names, strict=True) if is_excluded(joined(root, name), paths)}
    kept = [row for row, each in enumerate(sets) if each not in dropped]
    return index.take(pa.array(kept, pa.int64())).combine_chunks(), len(dropped)


def _fields(index: Any, columns: Columns | SegmentColumns) -> Any:
    """Return a table of what can be asked for, with a row for each track."""
    pa = import_pyarrow()
    fields = {
        "path": one_chunk(index["path"]),
        "seconds": pa.array(columns.seconds()),
        **{name: one_chunk(index[name]) for name in _OF_FILE[1:]},
    }
    own = _children(one_chunk(index[METADATA])) if METADATA in index.column_names else {}
    if isinstance(columns, SegmentColumns):
        files = pa.array(columns.file_of)
        fields = {name: array if name == "seconds" else array.take(files) for name, array in fields.items()}
        own = {name: array.take(files) for name, array in own.items()}
        of_segment = _children(one_chunk(index[SEGMENTS]).values)
        own |= _children(of_segment["metadata"]) if "metadata" in of_segment else {}
        own |= {START: pa.array(columns.start_seconds), STOP: pa.array(columns.stop_seconds)}
    if own:
        own[METADATA] = pa.StructArray.from_arrays(list(own.values()), list(own))
    return pa.table({_ROW: pa.array(np.arange(len(columns))), **own, **fields})


def _children(structs: Any) -> dict[str, Any]:
    """Return the fields of an array of structs, null where a struct is."""
    return dict(zip([field.name for field in structs.type], structs.flatten(), strict=True))
