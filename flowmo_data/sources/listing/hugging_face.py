"""Columns of audio of Hugging Face `datasets`, as the paths in them. Nothing is decoded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import Any

from flowmo_data.errors import FilesError, FilesTypeError, counted
from flowmo_data.sources.listing.manifests import ListedPath
from flowmo_data.sources.paths import absolute, is_url


def paths_in_column(files: Any) -> Iterable[ListedPath] | None:
    """Return the paths in a column of `datasets`; None if `files` is something else.

    Args:
        files: what the user gives for `files`: a column with audio of a `Dataset`, or a `Dataset` with one such column.

    Raises:
        FilesTypeError: it is a `Dataset` without such a column, or with several, or several splits, or a stream.
        FilesError: a row holds the bytes of a file in place of its path.
    """
    if type(files).__module__.partition(".")[0] != "datasets" or not (
        hasattr(files, "column_name") or hasattr(files, "cast_column")
    ):  # the user may have a module of that name
        return None
    kind = type(files).__name__
    if isinstance(files, Mapping):
        raise FilesTypeError(f"files is a {kind} with the splits {', '.join(map(str, files))}; give one of them")
    if kind.startswith("Iterable"):
        raise FilesTypeError(f"files is an {kind}, which has no list of its rows; load it without streaming=True")
    if hasattr(files, "column_name"):
        dataset, name = files.source, files.column_name
    else:
        dataset, name = files, _audio_column(files)
    if not hasattr(dataset, "select_columns"):  # a field of a column, such as dataset["audio"]["path"]
        return (path_in_row(row, _place(number, name)) for number, row in enumerate(files))
    return _in_table(dataset.select_columns([name]).with_format("arrow")[:], name)


def _audio_column(dataset: Any) -> str:
    names: list[str] = [name for name, feature in dataset.features.items() if type(feature).__name__ == "Audio"]
    if len(names) != 1:
        columns = ", ".join(map(repr, dataset.features))
        raise FilesTypeError(
            f"files is a {type(dataset).__name__} with {counted(len(names), 'column')} of audio; give the column "
            f"with the paths: files=dataset[NAME], with NAME one of {columns}"
        )
    return names[0]


def _in_table(table: Any, name: str) -> Iterator[ListedPath]:
    """Yield the paths in an Arrow table of one column: of text, or of the structs of an Audio column."""
    flat = table.flatten()
    if f"{name}.path" not in flat.column_names:
        yield from (path_in_row(row, _place(number, name)) for number, row in enumerate(flat[0].to_pylist()))
        return
    paths, has_bytes = flat[f"{name}.path"].to_pylist(), repeat(False)
    if f"{name}.bytes" in flat.column_names:
        has_bytes = flat[f"{name}.bytes"].is_valid().to_pylist()
    for number, (path, has) in enumerate(zip(paths, has_bytes, strict=False)):
        yield _checked(path, has_bytes=has, place=_place(number, name))


def path_in_row(row: Any, place: str) -> ListedPath:
    """Return the path in a row: text, or a dictionary with "path" and "bytes" as `Audio(decode=False)` gives it.

    Raises:
        FilesError: the row holds the bytes of a file in place of its path, or neither.
    """
    if isinstance(row, Mapping):
        return _checked(row.get("path"), has_bytes=row.get("bytes") is not None, place=place)
    return _checked(row, has_bytes=False, place=place)


def _checked(path: Any, *, has_bytes: bool, place: str) -> ListedPath:
    if isinstance(path, str) and path and (not has_bytes or is_url(path) or os.path.exists(absolute(path))):
        return ListedPath(absolute(path), place)
    found = "the bytes of a file, and not its path" if has_bytes else f"no path ({path!r})"
    raise FilesError(
        f"files: {place} holds {found}. Files are read in place: write the bytes to files, and give their folder: "
        'for row in dataset.cast_column(NAME, Audio(decode=False)): open(PATH, "wb").write(row[NAME]["bytes"])'
    )


def _place(number: int, name: str) -> str:
    return f"row {number} of the column {name!r}"
