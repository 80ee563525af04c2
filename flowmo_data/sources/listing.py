"""The user's files as an ordered list."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Union, overload

import numpy as np

from flowmo_data.errors import FilesError, FilesNotFoundError, FilesTypeError
from flowmo_data.sources.excluding import warn_if_nothing_is_excluded
from flowmo_data.sources.folders import AUDIO_SUFFIXES, summary, walk_folder

logger = logging.getLogger(__name__)

Files = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
"""A folder, a file, a glob, or a sequence of these."""


class Sources(Sequence[str]):
    """An ordered list of any number of paths, in two buffers.

    A million `str` objects would cost 100 MB in every worker. Each access changes an object's reference count, and so
    copies the memory page that a forked worker shares with its parent.

    >>> paths = Sources(["/a/two.mp3", "/a/one.mp3", "/a/two.mp3"])
    >>> list(paths)
    ['/a/one.mp3', '/a/two.mp3']
    """

    def __init__(self, paths: Iterable[str], *, as_given: bool = False) -> None:
        """Hold paths, sorted and without duplicates; `as_given` keeps their order and duplicates."""
        encoded = [os.fsencode(path) for path in paths]
        if not as_given:
            encoded = sorted(set(encoded))
        self._bytes = b"".join(encoded)
        self._ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} files, none at {index}")
        index = index % len(self)
        start = int(self._ends[index - 1]) if index else 0
        return os.fsdecode(self._bytes[start : int(self._ends[index])])

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that are different for other lists of paths."""
        digest = blake2b(self._bytes, digest_size=8)
        digest.update(self._ends.tobytes())
        return digest.hexdigest()


def find_sources(files: Files, *, excluded: Collection[str] = ()) -> Sources:
    """Return all files that `files` names, sorted by path, without duplicates. Log in one line what is left out.

    Args:
        files: a folder (searched at all levels for `AUDIO_SUFFIXES`, without names that start with a dot), a file
            (with any name), a glob (`**` for all levels), or a sequence of these.
        excluded: absolute paths to leave out.

    Raises:
        FilesTypeError: `files`, or an entry in it, is not a path.
        FilesNotFoundError: an entry does not exist, or no audio file is found.
    """
    left_out: dict[str, str] = {}
    found = Sources(found_files(files, left_out))
    sources = Sources(path for path in found if path not in excluded) if excluded else found
    warn_if_nothing_is_excluded(excluded, len(found) - len(sources))
    warn_of_left_out(left_out, excluded)
    if not len(sources):
        reason = f"all files are among the {len(excluded)} paths in exclude=" if excluded else "it is empty"
        raise FilesNotFoundError(f"files={files!r}: {reason}; name a folder, a file, a glob, or several of these")
    return sources


def warn_of_left_out(left_out: Mapping[str, str], excluded: Collection[str]) -> None:
    """Log in one line what is left out of folders, without what the user has excluded."""
    left_out = {path: reason for path, reason in left_out.items() if path not in excluded}
    if left_out:
        logger.warning("left out: %s; flowmo-data check lists them", summary(left_out))


def find_left_out(files: Files) -> dict[str, str]:
    """Return what `find_sources` leaves out of folders, though it may be audio: the reasons, by path."""
    left_out: dict[str, str] = {}
    for _ in found_files(files, left_out):
        pass
    return dict(sorted(left_out.items()))


def found_files(files: Files, left_out: dict[str, str]) -> Iterator[str]:
    """Yield the absolute paths of all files that `files` names; `left_out` receives the rest, with reasons."""
    for entry in entries_of(files):
        yield from files_of_entry(entry, left_out)


def entries_of(files: Files) -> Iterable[object]:
    """Return the folders, files and globs that `files` lists.

    Raises:
        FilesTypeError: it lists nothing.
    """
    entries = [files] if isinstance(files, (str, os.PathLike)) else files
    if not isinstance(entries, Iterable) or isinstance(entries, (bytes, dict)):
        raise FilesTypeError(_wrong_type(files))
    return entries


def files_of_entry(entry: object, left_out: dict[str, str]) -> Iterator[str]:
    """Yield the absolute paths of the files that one entry names."""
    if not isinstance(entry, (str, os.PathLike)):
        raise FilesTypeError(_wrong_type(entry))
    path = os.fspath(entry)
    if not isinstance(path, str):
        raise FilesTypeError(_wrong_type(entry))
    if not path:
        raise FilesNotFoundError("files='': an empty path; name a folder, a file or a glob ('.' is the current folder)")
    absolute = os.path.abspath(path)
    if os.path.isfile(absolute):
        yield absolute
    elif os.path.isdir(absolute):
        no_file = f"no file in it ends in {', '.join(AUDIO_SUFFIXES)}"
        yield from _or_raise(walk_folder(absolute, left_out), path, no_file, left_out)
    elif glob.has_magic(path):
        matches = map(os.path.abspath, glob.iglob(path, recursive=True))
        found = (
            name for match in matches for name in (walk_folder(match, left_out) if os.path.isdir(match) else [match])
        )
        yield from _or_raise(found, path, "no file matches it", left_out)
    else:
        _check_accessible(path, absolute)
        raise FilesNotFoundError(f"files={path!r}: there is no such file or folder (looked for {absolute})")


def _or_raise(found: Iterator[str], path: str, reason: str, left_out: Mapping[str, str]) -> Iterator[str]:
    """Yield the files that were found; raise if there are none."""
    empty = True
    for name in found:
        empty = False
        yield name
    if empty:
        but = f"; left out: {summary(left_out)}" if left_out else ""
        raise FilesNotFoundError(f"files={path!r}: {reason}{but}")


def _check_accessible(path: str, absolute: str) -> None:
    """Raise if something is there that cannot be accessed, or is neither a file nor a folder."""
    try:
        os.stat(absolute)
    except FileNotFoundError:
        if os.path.islink(absolute):
            raise FilesNotFoundError(f"files={path!r}: it is a link that leads nowhere ({absolute})") from None
    except OSError as error:
        raise FilesError(f"files={path!r}: {absolute} cannot be accessed ({error.strerror})") from error
    else:
        raise FilesError(f"files={path!r}: {absolute} is neither a file nor a folder")


def _wrong_type(value: object) -> str:
    return (
        f"files={value!r}: {type(value).__name__} does not name a file; "
        "give a str or a pathlib.Path of a folder, a file or a glob, or a sequence of these"
    )
