"""Join the user's tables with an index: metadata of its files, and segments of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flowmo_data.errors import FilesError, counted, shown
from flowmo_data.sources.metadata.of_files import check_no_repeats
from flowmo_data.sources.metadata.rows import Rows
from flowmo_data.sources.metadata.tables import Table
from flowmo_data.tracks.index.columns import Columns
from flowmo_data.tracks.index.schema import METADATA, SEGMENTS, import_pyarrow

logger = logging.getLogger(__name__)

_BOUNDS = (("start", "stop"), ("offset", "duration"))
"""columns that give the place of a segment, seconds; the first pair that a table has"""
_NANO = 1_000_000_000


def with_metadata(index: Any, paths: Sequence[str], table: Table) -> Any:
    """Return the table of an index with a column of metadata: null for a file without a row.

    Args:
        index: the table of the index.
        paths: the absolute path under which the metadata of each of its files is looked up.
        table: the table of metadata.

    Raises:
        FilesError: the table is about none of the files, has several different rows for a file, or no column beside the
            one that names files.
    """
    pa = import_pyarrow()
    if not table.columns:
        raise FilesError(f"{table}: it has no column beside {table.file_column!r}; add what is to come out")
    _check(paths, table)
    check_no_repeats(table, Rows(table.columns))
    rows = pa.array([next(iter(table.rows(path)), None) for path in paths], pa.int64())
    metadata = pa.StructArray.from_arrays(
        [column.take(rows) for column in table.columns.values()], list(table.columns), mask=rows.is_null()
    )
    return without(index, METADATA).append_column(METADATA, metadata)


def _check(paths: Sequence[str], table: Table) -> None:
    """Raise `FilesError` if a table is about none of the files, or has a column that an index cannot hold."""
    for name, column in table.columns.items():
        if _is_empty(column.type):
            raise FilesError(
                f"{table}: its column {name!r} has empty objects only, which Parquet cannot hold; leave it out"
            )
    table.compared(paths)


def _is_empty(kind: Any) -> bool:
    """Return whether an Arrow type is of objects without any field, or has such inside."""
    types = import_pyarrow().types
    if types.is_struct(kind):
        return not kind.num_fields or any(_is_empty(field.type) for field in kind)
    return bool(types.is_list(kind) or types.is_large_list(kind)) and _is_empty(kind.value_type)


def without(index: Any, name: str) -> Any:
    """Return the table of an index without an optional column."""
    return index.drop_columns([name]) if name in index.column_names else index


class _Segment(NamedTuple):
    """A row of the user's table, in samples of its file. Segments of a file are sorted by place."""

    start: int
    stop: int
    row: int
    seconds_cut: float
    """how far the row goes past the end of the file"""


def with_segments(index: Any, columns: Columns, table: Table) -> Any:
    """Return the table of an index with a column of segments: an empty list for a file without any.

    Logs in one line each how many files have no segment, how many rows are about none of the files, and how many
    segments go past the end of their file.

    Args:
        index: the table of the index.
        columns: the view of it by files.
        table: the table of segments.

    Raises:
        FilesError: the table is about none of the files, has no columns for a segment's place, or a row with a place
            that no file can have.
    """
    pa = import_pyarrow()
    names, starts, stops = _bounds(table)
    paths = columns.all_paths()
    _check(paths, table)
    bad = columns.bad_files()
    segments: list[_Segment] = []
    ends, examples = [0], list[str]()
    num_cut = num_beyond = num_empty = 0
    part_stops, all_rates, all_lengths = columns.part_stops.tolist(), columns.part_rates, columns.part_lengths
    for file, path in enumerate(paths):
        parts = slice(part_stops[file], part_stops[file + 1])
        rates, lengths = all_rates[parts].tolist(), all_lengths[parts].tolist()
        rows = table.rows(path) if file not in bad else []
        found = [_segment(table, row, int(starts[row]), int(stops[row]), rates, lengths) for row in rows]
        of_file = sorted(segment for segment in found if segment.start < segment.stop)
        past = [segment for segment in found if segment.seconds_cut > 0 or segment.start == segment.stop]
        if past and not examples:
            seconds = sum(length / rate for rate, length in zip(rates, lengths, strict=True))
            examples.append(f"row {past[0].row + 1}, about {shown(path)}, which has {seconds:.3f} s")
        num_beyond += len(found) - len(of_file)
        num_cut += len(past) - (len(found) - len(of_file))
        num_empty += not of_file and file not in bad
        segments += of_file
        ends.append(len(segments))
    if examples:
        logger.warning(
            "%s: segments past the end of their file: %d are cut there, %d begin there and are left out; the first is "
            "%s", table, num_cut, num_beyond, examples[0],
        )  # fmt: skip
    if num_empty:
        logger.warning("%s: %s left out, as no segment is about them", table, counted(num_empty, "file"))
    if not segments:
        raise FilesError(f"{table}: none of its segments lies in a readable file; check the units, which are seconds")
    return without(index, SEGMENTS).append_column(SEGMENTS, _column(pa, table, names, segments, ends))


def _column(pa: Any, table: Table, names: Sequence[str], segments: list[_Segment], ends: list[int]) -> Any:
    starts, stops, rows, seconds_cut = zip(*segments, strict=True)
    fields = {
        "start": pa.array(starts, pa.int64()),
        "stop": pa.array(stops, pa.int64()),
        "seconds_cut": pa.array(seconds_cut, pa.float64()),
    }
    own = {name: column.take(pa.array(rows)) for name, column in table.columns.items() if name not in names}
    if own:
        fields["metadata"] = pa.StructArray.from_arrays(list(own.values()), list(own))
    structs = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), structs)


def _segment(table: Table, row: int, start: int, stop: int, rates: list[int], lengths: list[int]) -> _Segment:
    """Return a row as a segment, cut at the end of the file. It is empty if the row begins past the end.

    Raises:
        FilesError: it is shorter than a sample.
    """
    first, late = sample_at(start, rates, lengths)
    if stop < 0:
        return _Segment(first, sum(lengths), row, 0.0 if first < sum(lengths) else late)
    last, too_late = sample_at(stop, rates, lengths)
    if first == last < sum(lengths):
        raise _bad_row(table, row, f"it is {(stop - start) / _NANO} s long, which is less than a sample")
    return _Segment(first, last, row, too_late)


def sample_at(nanoseconds: int, rates: Sequence[int], lengths: Sequence[int]) -> tuple[int, float]:
    """Return the sample of a file that is nearest to a time, and how many seconds the time is past the end.

    Args:
        nanoseconds: the time.
        rates: sample rate of each part, Hz.
        lengths: samples of each part.

    Returns:
        The number of the sample, counted over all parts, at most their sum; and the seconds by which the time is past
        the end, 0.0 if that is less than half a sample.

    >>> sample_at(500_000_000, [8_000], [6_000]), sample_at(1_000_000_000, [8_000], [6_000])
    ((4000, 0.0), (6000, 0.25))
    """
    before = 0
    for rate, length in zip(rates, lengths, strict=True):
        nearest = (nanoseconds * rate * 2 + _NANO) // (2 * _NANO)
        if nearest <= length:
            return before + nearest, 0.0
        before += length
        nanoseconds -= length * _NANO // rate
    return before, nanoseconds / _NANO


def _bounds(table: Table) -> tuple[tuple[str, ...], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the names of the columns that give a segment's place, and start and stop of every row in nanoseconds.

    A stop of -1 is the end of the file.
    """
    names = next((pair for pair in _BOUNDS if all(name in table.columns for name in pair)), None)
    if names is None:
        raise FilesError(
            f"{table}: segments need columns 'start' and 'stop', or 'offset' and 'duration', in seconds; it has "
            f"{', '.join(map(repr, table.columns)) or 'neither'}"
        )
    first, second = (_seconds(table, name) for name in names)
    starts = np.where(np.isnan(first), 0.0, first)
    stops = starts + second if names[1] == "duration" else second
    wrong = (starts < 0) | (stops <= starts) | np.isinf(starts) | np.isinf(stops)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        place = f"{names[0]} is {first[row]}, {names[1]} is {second[row]}"
        rule = "duration above 0" if names[1] == "duration" else "stop after it"
        raise _bad_row(table, row, f"{place}; give a {names[0]} of at least 0 and a {rule}, in seconds")
    begin = np.rint(starts * _NANO).astype(np.int64)
    ends = np.isnan(second)
    other = np.rint(np.where(ends, 0.0, second) * _NANO).astype(np.int64)
    return names, begin, np.where(ends, -1, begin + other if names[1] == "duration" else other)


def _seconds(table: Table, name: str) -> npt.NDArray[np.float64]:
    """Return a column of seconds as floats, with NaN in place of null.

    Raises:
        FilesError: it does not hold numbers, or holds NaN.
    """
    pa = import_pyarrow()
    column = table.columns[name]
    types = pa.types
    numbers = (types.is_integer, types.is_floating, types.is_decimal, types.is_null)
    if not any(is_such(column.type) for is_such in numbers):
        raise FilesError(f"{table}: its column {name!r} does not hold numbers ({column.type}); give seconds")
    floats = column.cast(pa.float64())
    values: npt.NDArray[np.float64] = floats.to_numpy(zero_copy_only=False)
    wrong = np.isnan(values) & floats.is_valid().to_numpy(zero_copy_only=False)
    if wrong.any():
        raise _bad_row(table, int(np.flatnonzero(wrong)[0]), f"{name} is NaN; give seconds")
    return values


def _bad_row(table: Table, row: int, problem: str) -> FilesError:
    return FilesError(f"{table}: row {row + 1}, about {shown(table.file(row))}: {problem}")
