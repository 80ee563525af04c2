"""The files of the parts of a corpus, as a user names them to have them merged."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Union

from flowmo_data.errors import FilesNotFoundError
from flowmo_data.sources.listing.entries import entries_of
from flowmo_data.sources.paths import absolute, is_url, split_url
from flowmo_data.sources.stores.store import Store

PartFiles = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
"""A file, a folder, a glob, or a sequence of these; each a path or a URL."""


def find_part_files(parts: PartFiles, suffix: str, store: Store, *, besides: str = "") -> list[str]:
    """Return the files that `parts` names, sorted by path, without duplicates.

    Args:
        parts: files, folders (searched at all levels for names that end in `suffix`), and globs.
        suffix: the end of the names of the files.
        store: access to URLs.
        besides: absolute path of a file that is not taken from a folder or a glob, such as the result of a merge.

    Raises:
        FilesTypeError: an entry is not a path.
        FilesNotFoundError: an entry names no file.
    """
    found: set[str] = set()
    for entry in entries_of(parts):
        place = absolute(entry)  # type: ignore[arg-type]
        there = list(_named(place, suffix, store))
        if there != [place]:
            there = [path for path in there if path != besides]
        if not there:
            raise FilesNotFoundError(
                f"{place}: there is no part of a corpus (no such file, or no file in it ends in {suffix}); name the "
                "files of all parts, or the folder that holds them"
            )
        found.update(there)
    return sorted(found)


def _named(place: str, suffix: str, store: Store) -> Iterable[str]:
    if is_url(place):
        return _at_url(place, suffix, store)
    if os.path.isfile(place):
        return [place]
    if os.path.isdir(place):
        return _below(place, suffix)
    matches = glob.iglob(place, recursive=True)
    return (path for match in matches for path in (_below(match, suffix) if os.path.isdir(match) else [match]))


def _at_url(url: str, suffix: str, store: Store) -> Iterator[str]:
    is_folder = store.is_folder(url)
    if is_folder is False:
        yield url
    elif is_folder:
        yield from (entry.url for entry in store.below(url) if entry.name.endswith(suffix))
    elif glob.has_magic(split_url(url).path):
        yield from (entry.url for entry in store.matching(url))


def _below(folder: str, suffix: str) -> Iterator[str]:
    for current, _, names in os.walk(folder):
        yield from (os.path.join(current, name) for name in names if name.endswith(suffix))
