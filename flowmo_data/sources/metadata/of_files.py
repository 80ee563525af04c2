"""What the user knows about files: from a function, from a JSON file beside each, or from a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Union

import numpy as np
import numpy.typing as npt

from flowmo_data.errors import AudioFileError, FilesError, OptionError, shown
from flowmo_data.sources.member_paths import is_member
from flowmo_data.sources.metadata.rows import Rows
from flowmo_data.sources.metadata.sidecars import sidecar_values, sidecars_of_member
from flowmo_data.sources.metadata.tables import Table, check_suffix
from flowmo_data.sources.opening import read_small
from flowmo_data.sources.paths import with_suffix
from flowmo_data.sources.stores.store import Store

Metadata = Union[Callable[[str], Mapping[str, Any] | None], str, "os.PathLike[str]"]
"""A function from a path to a dictionary, "sidecar", or the path of a table."""
SIDECAR = "sidecar"


class LeftOutError(AudioFileError):
    """A file that the user's function leaves out. It is not reported as unreadable."""


class FileMetadata(Protocol):
    """What is known about each file."""

    def of(self, path: str) -> dict[str, Any]:
        """Return what is known about a file, as a new dictionary.

        Raises:
            LeftOutError: the file is to be left out.
            AudioFileError: nothing is known about it, or it cannot be read.
        """

    @property
    def is_known(self) -> npt.NDArray[np.bool_] | None:
        """Whether anything is known about each of the files; None if that is found out when it is needed."""

    @property
    def keys(self) -> frozenset[str] | None:
        """The keys of every file's dictionary; None if that is found out when they are needed."""

    @property
    def is_beside_files(self) -> bool:
        """True if it is read from the place of the file, in any thread."""


def check_metadata(metadata: object, *, return_info: bool) -> None:
    """Raise `OptionError` if the option `metadata` has no valid value, or could not come out."""
    if metadata is None:
        return
    if not callable(metadata) and not isinstance(metadata, (str, os.PathLike)):
        raise OptionError(
            f"metadata={metadata!r}: give a function from a path to a dictionary, {SIDECAR!r}, or the path of a table"
        )
    if is_table(metadata):
        check_suffix(metadata)  # type: ignore[arg-type]
    if not return_info:
        raise OptionError(f"metadata={metadata!r} comes out in the dictionary of return_info=True; set that too")


def is_table(metadata: object) -> bool:
    """Return whether the option `metadata` is the path of a table."""
    return metadata != SIDECAR and isinstance(metadata, (str, os.PathLike))


def copied(metadata: Any) -> Any:
    """Return a copy of metadata, with copies of the dictionaries and lists in it."""
    if isinstance(metadata, dict):
        return {key: copied(value) for key, value in metadata.items()}
    return [copied(value) for value in metadata] if isinstance(metadata, list) else metadata


def open_metadata(metadata: Metadata, files: Sequence[str], store: Store | None = None) -> FileMetadata:
    """Return what the option `metadata` knows about some files. `store` is the access to URLs.

    Raises:
        FilesError: it is a table that cannot be read, that has no row for any of the files, or that has several
            different rows for a file.
    """
    if callable(metadata):
        return CalledMetadata(metadata)
    return TableMetadata(Table(metadata, store), files) if is_table(metadata) else SidecarMetadata(store)


class CalledMetadata:
    """What a function returns: a `FileMetadata`."""

    is_known = keys = None
    is_beside_files = False

    def __init__(self, function: Callable[[str], Mapping[str, Any] | None]) -> None:
        self._function = function

    def of(self, path: str) -> dict[str, Any]:
        """See `FileMetadata.of`."""
        try:
            found = self._function(path)
        except Exception as error:
            raise AudioFileError.of(path, f"metadata= raised {type(error).__name__}: {error}") from error
        if found is None:
            raise LeftOutError.of(path, "it is left out, because metadata= returned None for it")
        if not isinstance(found, Mapping):
            raise AudioFileError.of(
                path, f"metadata= returned {type(found).__name__}; return a dictionary, or None to leave the file out"
            )
        return {key: copied(value) for key, value in found.items()}


class SidecarMetadata:
    """The JSON object in a file beside the audio, with the same name but the suffix `.json`: a `FileMetadata`.

    The members of a tar have also `.txt` and `.cls`, as WebDataset has them.
    """

    is_known = keys = None
    is_beside_files = True

    def __init__(self, store: Store | None = None) -> None:
        self._store = store

    def of(self, path: str) -> dict[str, Any]:
        """See `FileMetadata.of`."""
        if is_member(path):
            return sidecars_of_member(path, self._store)
        sidecar = with_suffix(path, ".json")
        its = f"its sidecar {os.path.basename(sidecar)}"
        try:
            data = read_small(sidecar, self._store)
        except AudioFileError as error:
            raise AudioFileError.of(path, f"{its} cannot be read: {error.reason}") from error
        return sidecar_values(path, ".json", data)


class TableMetadata:
    """A file's row of a table: a `FileMetadata`.

    Raises:
        FilesError: the table has no row for any of the files, or several different rows for a file.
    """

    is_beside_files = False

    def __init__(self, table: Table, files: Sequence[str]) -> None:
        self._table, self._rows = table, Rows(table.columns)
        check_no_repeats(table, self._rows)
        self.is_known = table.compared(files)
        self.keys = frozenset(table.columns)

    def of(self, path: str) -> dict[str, Any]:
        """See `FileMetadata.of`."""
        rows = self._table.rows(path)
        if not rows:
            raise AudioFileError.of(path, missing_row(str(self._table)))
        return self._rows[rows[0]]


def missing_row(table: str) -> str:
    """Return the reason why a file without a row is left out."""
    return f"it has no row in {table}"


def check_no_repeats(table: Table, rows: Rows) -> None:
    """Raise `FilesError` if a table has several different rows for a file.

    Args:
        table: the table.
        rows: the rows of its columns.
    """
    for row, other in table.repeated():
        if repr(rows[row]) != repr(rows[other]):
            raise FilesError(
                f"{table}: rows {row + 1} and {other + 1} are both about {shown(table.file(row))} and differ; leave "
                "one row for each file"
            )
