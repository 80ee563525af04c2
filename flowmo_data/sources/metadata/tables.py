"""Tables about files: CSV, JSON lines or Parquet, with a column that names the file of each row.

A file's rows are found through a sorted array of 64-bit hashes of the paths, and then verified. So a table of a million
rows is a few buffers in a worker, and no Python objects.
"""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.errors import FilesError, FilesNotFoundError, OptionError, counted, shown
from flowmo_data.sources.listing.manifests import FILE_COLUMNS, named_beside
from flowmo_data.sources.metadata.rows import import_pyarrow
from flowmo_data.sources.paths import absolute, folder_of, is_url
from flowmo_data.sources.stores.store import Store

logger = logging.getLogger(__name__)

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
"""suffixes of tables; `.json` is for JSON lines too"""
_LINES_AT_A_TIME = 10_000
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^(-?((0|[1-9][0-9]{0,17})(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[nN]a[nN])$"
"""numbers in CSV. Others stay text: 007 is a name, and a number of 19 digits would lose some"""
_TRUTH = r"^(true|false|True|False|TRUE|FALSE)$"


class Table:
    """A table about files.

    Args:
        path: the file of the table, or its URL.
        store: access to a URL; None for access without options.

    Raises:
        FilesNotFoundError: there is no such file.
        FilesError: it cannot be read as a table, or has no rows, or no column that names files.
        OptionError: its suffix is none of `TABLE_SUFFIXES`.
        MissingPackageError: pyarrow is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], store: Store | None = None) -> None:
        self.path = absolute(path)
        check_suffix(path)
        table = _read(self.path, store)
        self.file_column = next((name for name in FILE_COLUMNS if name in table.column_names), "")
        if not self.file_column or not len(table):
            raise FilesError(
                f"{shown(self.path)}: this table has "
                + ("no rows" if self.file_column else f"no column that names files, only {_listed(table.column_names)}")
                + f"; give it a row for each file, with its path in a column {' or '.join(map(repr, FILE_COLUMNS))}"
            )
        self._names = _as_text(table[self.file_column], self)
        self.columns: dict[str, Any] = {
            name: _combined(table[name]) for name in table.column_names if name != self.file_column
        }
        self._folder = folder_of(self.path)
        hashes = np.fromiter((_hash(self.file(row)) for row in range(len(self))), np.uint64, len(self))
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def __len__(self) -> int:
        return len(self._names)

    def __str__(self) -> str:
        return shown(self.path)

    def file(self, row: int) -> str:
        """Return the absolute path of a row's file, or its URL."""
        name = self._names[row].as_py() or ""
        return named_beside(name, self._folder)

    def rows(self, path: str) -> list[int]:
        """Return the numbers of the rows of the file at `path`, in order."""
        number = np.uint64(_hash(path))
        first, stop = (int(np.searchsorted(self._hashes, number, side=side)) for side in ("left", "right"))
        return [row for row in self._order[first:stop].tolist() if self.file(row) == path]

    def repeated(self) -> Iterable[tuple[int, int]]:
        """Yield each row of a file that has an earlier row, after that row."""
        for place in np.flatnonzero(self._hashes[1:] == self._hashes[:-1]).tolist():
            row, other = self._order[place], self._order[place + 1]
            if self.file(row) == self.file(other):
                yield int(row), int(other)

    def compared(self, paths: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Compare the table with all files, and log in one line how many rows are about none of them.

        Returns:
            For each file whether it has a row, `(len(paths),)`.

        Raises:
            FilesError: no row is about one of the files. The message has examples of both.
        """
        hashes = np.fromiter(map(_hash, paths), np.uint64, len(paths))
        has_row: npt.NDArray[np.bool_] = np.isin(hashes, self._hashes)
        if not has_row.any():
            raise FilesError(
                f"{self}: none of its {counted(len(self), 'row')} is about any of {counted(len(paths), 'file')}. Its "
                f"first row is about {shown(self.file(0))} ({self.file_column} {self._names[0].as_py()!r}, relative to "
                f"the folder of the table), and the first file is {shown(paths[0])}"
            )
        others = self._order[~np.isin(self._hashes, hashes)]
        if len(others):
            logger.warning(
                "%s: %d of %s name none of the files, for example %s",
                self,
                len(others),
                counted(len(self), "row"),
                shown(self.file(int(others.min()))),
            )
        return has_row


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Raise `OptionError` if a path is not that of a table."""
    if not str(os.fspath(path)).lower().endswith(TABLE_SUFFIXES):
        raise OptionError(
            f"{os.fspath(path)!r}: this is no table; give the path of a CSV, JSON lines or Parquet file, with a name "
            f"that ends in {', '.join(TABLE_SUFFIXES)}"
        )


def _read(path: str, store: Store | None) -> Any:
    pa = import_pyarrow("a table")
    suffix = os.path.splitext(path)[1].lower()
    try:
        data = (store or Store()).read_all(path) if is_url(path) else None
        if suffix == ".parquet":
            table = pa.parquet.read_table(path if data is None else pa.BufferReader(data))
        elif suffix in (".csv", ".tsv"):
            table = _read_csv(path, data, "\t" if suffix == ".tsv" else ",")
        else:
            table = _read_json_lines(path, data)
    except FileNotFoundError:
        raise FilesNotFoundError(f"{shown(path)}: there is no such table") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise FilesError(f"{shown(path)}: it cannot be read as a table ({error})") from error
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        raise FilesError(f"{shown(path)}: it has several columns with the name {repeated[0]!r}; rename them")
    return table


def _read_csv(path: str, data: bytes | None, delimiter: str) -> Any:
    from pyarrow import csv

    def source() -> Any:
        return path if data is None else io.BytesIO(data)

    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with csv.open_csv(source(), parse_options=parse) as reader:
        names = reader.schema.names
    pa = import_pyarrow("a table")
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False)
    table = csv.read_csv(source(), parse_options=parse, convert_options=texts)
    named = zip(table.column_names, table.columns, strict=True)  # a file may be called 7
    return pa.table([each if name in FILE_COLUMNS else _typed(each) for name, each in named], names=table.column_names)


def _typed(texts: Any) -> Any:
    """Return a column of CSV as numbers or truth values, if all of it is that; empty cells are null then."""
    pa = import_pyarrow("a table")
    compute = pa.compute
    filled = texts.filter(compute.not_equal(texts, ""))
    kinds = {_INTEGER: pa.int64(), _NUMBER: pa.float64(), _TRUTH: pa.bool_()}
    for pattern, kind in kinds.items():
        if len(filled) and compute.all(compute.match_substring_regex(filled, pattern)).as_py():
            return compute.if_else(compute.equal(texts, ""), pa.scalar(None, pa.large_string()), texts).cast(kind)
    return texts


def _read_json_lines(path: str, data: bytes | None) -> Any:
    pa = import_pyarrow("a table")
    tables = []
    file = open(path, "rb") if data is None else io.BytesIO(data)  # noqa: SIM115
    with io.TextIOWrapper(file, encoding="utf-8-sig") as lines:
        numbered = enumerate(lines, 1)
        while group := list(islice(numbered, _LINES_AT_A_TIME)):
            objects = [_object(path, number, line) for number, line in group if line.strip()]
            if objects:
                tables.append(pa.Table.from_struct_array(pa.array(objects)))
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})


def _object(path: str, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise FilesError(
            f"{shown(path)}: line {number} is not JSON ({error}); write one object per line, as in "
            '{"file_name": "a.mp3", "text": "..."}'
        ) from error
    if not isinstance(value, dict):
        raise FilesError(
            f"{shown(path)}: line {number} is {type(value).__name__} and not an object; write one per line"
        )
    return value


def _as_text(column: Any, table: Table) -> Any:
    pa = import_pyarrow("a table")
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise FilesError(f"{table}: its column {table.file_column!r} names no files: its type is {kind}; give paths")
    return _combined(column.cast(pa.large_string()))


def _combined(column: Any) -> Any:
    """Return a column as one array, with text in the type that holds more than 2 GB."""
    pa = import_pyarrow("a table")
    if pa.types.is_string(column.type):
        column = column.cast(pa.large_string())
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _hash(path: str) -> int:
    return int.from_bytes(blake2b(os.fsencode(path), digest_size=8).digest(), "big")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none at all"
