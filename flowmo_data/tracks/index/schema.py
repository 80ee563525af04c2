"""The columns of an index, as an Arrow schema: one row for each file. `docs/corpus_index.md` explains them."""

from __future__ import annotations

from functools import cache
from typing import Any

from flowmo_data.sources.member_paths import order_key
from flowmo_data.sources.metadata import rows

VERSION = 5
CONTAINER = -1
"""`header` of a part that FFmpeg reads; 0 of one that libsndfile reads. Its `points` are places, and then samples"""
CONTAINER_NUMBERS = ("stream", "packet_samples", "packets_per_point")
"""columns of parts that only containers use"""
METADATA_KEY = b"flowmo_data.index"
METADATA, SEGMENTS = "metadata", "segments"
"""columns that an index has only if such were joined: the types of metadata are those of the user's table"""


def import_pyarrow() -> Any:
    """Import pyarrow.

    Raises:
        MissingPackageError: it is not installed.
    """
    return rows.import_pyarrow("an index")


@cache
def schema() -> Any:
    """Return the columns that every index has."""
    pa = import_pyarrow()
    gap = pa.struct(
        [("packet", pa.int64()), ("start", pa.int64()), ("lost_bytes", pa.int64()), ("resumes", pa.int64())]
    )
    part = pa.struct(
        [
            ("format", pa.string()),
            ("sample_rate", pa.int32()),
            ("channels", pa.int32()),
            ("num_samples", pa.int64()),
            ("delay", pa.int32()),
            ("header", pa.int64()),
            ("free_bytes", pa.int32()),
            ("num_packets", pa.int64()),
            ("stated_packets", pa.int64()),
            ("end", pa.int64()),
            ("lead", pa.int32()),
            ("last_seek", pa.int64()),
            ("stream", pa.int32()),
            ("packet_samples", pa.int32()),
            ("packets_per_point", pa.int32()),
            ("excerpt_start", pa.int64()),
            ("excerpt_first_sample", pa.int64()),
            ("excerpt_head", pa.binary()),
            ("points", pa.large_list(pa.int64())),
            ("gaps", pa.list_(gap)),
        ]
    )
    loss = pa.struct([("start_seconds", pa.float64()), ("seconds", pa.float64()), ("packets", pa.int64())])
    return pa.schema(
        [
            ("path", pa.string()),
            ("size", pa.int64()),
            ("mtime_ns", pa.int64()),
            ("digest", pa.int64()),
            ("offset", pa.int64()),
            ("format", pa.string()),
            ("sample_rate", pa.int32()),
            ("channels", pa.int32()),
            ("num_samples", pa.int64()),
            ("delay", pa.int32()),
            ("damage", pa.string()),
            ("losses", pa.list_(loss)),
            ("error", pa.string()),
            ("parts", pa.list_(part)),
        ]
    )


def sorted_by_path(table: Any) -> Any:
    """Return the rows of files, sorted by path; the members of a tar lie together, at the place of their tar."""
    return table.take(order_by_path(table))


def order_by_path(table: Any) -> Any:
    """Return the numbers of the rows in that order, as an Arrow array. Rows with the same path keep their order."""
    pa = import_pyarrow()
    if not pa.compute.any(pa.compute.starts_with(table["path"], "tar://")).as_py():
        return pa.compute.sort_indices(table.select(["path"]), [("path", "ascending")])
    names = table["path"].to_pylist()
    return pa.array(sorted(range(len(names)), key=lambda row: order_key(names[row])), pa.int64())
