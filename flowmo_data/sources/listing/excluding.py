"""Files to leave out."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Sequence
from typing import Union

from flowmo_data.errors import FilesNotFoundError, FilesTypeError, shown
from flowmo_data.sources.paths import absolute, folder_of, is_url, resolved
from flowmo_data.sources.stores.store import Store

logger = logging.getLogger(__name__)

Exclude = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
"""The path of a list of files, or a sequence of paths of files."""


def excluded_paths(exclude: Exclude | None, store: Store | None = None) -> frozenset[str]:
    """Return the absolute paths that `exclude` names.

    Args:
        exclude: a sequence of paths, or the path of a text file with one path per line, relative to its folder.
        store: access to such a file at a URL.

    Raises:
        FilesTypeError: it is neither.
        FilesNotFoundError: there is no such text file.
    """
    if exclude is None:
        return frozenset()
    if not isinstance(exclude, (str, os.PathLike)):
        paths = list(exclude) if isinstance(exclude, Iterable) else [None]  # a list: an iterator can be read only once
        if not all(isinstance(each, (str, os.PathLike)) for each in paths):
            raise FilesTypeError(f"exclude={exclude!r}: give the path of a list of files, or a sequence of paths")
        return frozenset(absolute(each) for each in paths)
    try:
        if is_url(os.fspath(exclude)):
            lines = (store or Store()).read_all(os.fspath(exclude)).split(b"\n")
        else:
            with open(exclude, "rb") as opened:
                lines = opened.read().split(b"\n")
    except OSError as error:
        raise FilesNotFoundError(
            f"exclude={os.fspath(exclude)!r}: this list of files cannot be read ({error.strerror or error}); give the "
            "path of a text file with one path per line, or a sequence of paths"
        ) from error
    if any(b"\0" in line for line in lines):
        raise FilesTypeError(
            f"exclude={os.fspath(exclude)!r}: this is not a list of files; to leave out one file, give exclude=[path]"
        )
    folder = folder_of(absolute(exclude))
    return frozenset(resolved(os.fsdecode(line), folder) for line in lines if line)


def warn_if_nothing_is_excluded(excluded: Collection[str], num_left_out: int) -> None:
    """Warn if `exclude` names files but none of them was found and left out."""
    if excluded and not num_left_out:
        logger.warning(
            "exclude= leaves out nothing: none of its %d paths, such as %s, is one of the files. Paths are compared as "
            "written, without following links; folders and globs are not expanded",
            len(excluded),
            shown(min(excluded)),
        )
