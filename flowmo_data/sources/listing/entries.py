"""What the user gives for `files`, entry by entry: those of a list, of manifests, or of a column of `datasets`."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Union

from flowmo_data.errors import FilesTypeError
from flowmo_data.sources.listing.braces import expand_braces
from flowmo_data.sources.listing.hugging_face import path_in_row, paths_in_column
from flowmo_data.sources.listing.manifests import is_manifest, listed_paths
from flowmo_data.sources.paths import absolute, is_url, split_url
from flowmo_data.sources.stores.store import Store

Files = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
"""A folder, a file, a tar, a glob, a manifest, or a sequence of these, each a path or a URL, with braces or without. Or
a column of audio of `datasets`."""


def described(files: Any) -> str:
    """Return the value of `files` for a message. The text of a column of `datasets` would decode some of it."""
    return repr(files) if isinstance(files, (str, os.PathLike, list, tuple)) else f"<{type(files).__name__}>"


def all_entries_of(files: Files, store: Store) -> Iterator[object]:
    """Yield the folders, files and globs that `files` lists, and those that its manifests list.

    Raises:
        FilesTypeError: it lists nothing.
        FilesError: a manifest cannot be read, or a column of `datasets` holds no paths.
    """
    rows = paths_in_column(files)
    if rows is not None:
        yield from rows
        return
    for number, entry in enumerate(entries_of(files)):
        if isinstance(entry, Mapping):
            yield path_in_row(entry, f"entry {number}")
        elif isinstance(entry, (str, os.PathLike)) and is_manifest(str(entry)):
            yield from _entries_of_manifest(entry, store)
        else:
            yield entry


def _entries_of_manifest(entry: str | os.PathLike[str], store: Store) -> Iterator[object]:
    """Yield the entries of a manifest, or of all that a glob matches; a folder with such a name is itself an entry."""
    place = absolute(entry)
    if is_url(place):
        is_glob = glob.has_magic(split_url(place).path) and not store.exists(place)
        matches = [each.url for each in store.matching(place)] if is_glob else [place]
    elif os.path.isdir(place):
        yield entry
        return
    else:
        is_glob = glob.has_magic(place) and not os.path.exists(place)
        matches = glob.glob(place, recursive=True) if is_glob else [place]
    for match in sorted(matches):
        for listed in listed_paths(match, store):
            yield from (replace(listed, path=str(path)) for path in expanded(listed.path))
    if not matches:
        yield entry  # an error like that of other globs


def entries_of(files: Files) -> Iterator[object]:
    """Yield the entries that `files` lists, with braces expanded.

    Raises:
        FilesTypeError: it lists nothing.
    """
    entries = [files] if isinstance(files, (str, os.PathLike)) else files
    if not isinstance(entries, Iterable) or isinstance(entries, (bytes, dict)):
        raise FilesTypeError(wrong_type(files))
    for entry in entries:
        yield from expanded(entry)


def expanded(entry: object) -> Iterable[object]:
    """Return the entries that one with braces stands for. A file whose name has braces is that file."""
    path = os.fspath(entry) if isinstance(entry, (str, os.PathLike)) else b""
    if not isinstance(path, str) or "{" not in path or (not is_url(path) and os.path.lexists(path)):
        return (entry,)
    return expand_braces(path)


def wrong_type(value: object) -> str:
    """Return the message for a value that does not name files."""
    return (
        f"files={value!r}: {type(value).__name__} does not name a file; "
        "give a str or a pathlib.Path of a folder, a file, a glob or a manifest, or a sequence of these"
    )
