"""The user's files as an ordered list."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Union, overload

import numpy as np

from flowmo_data.errors import FilesError, FilesNotFoundError, FilesTypeError
from flowmo_data.sources.excluding import warn_if_nothing_is_excluded

AUDIO_SUFFIXES = (
    ".mp3", ".mp2", ".mp1", ".mpga", ".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf",
)  # fmt: skip
"""Suffixes of the files that are taken from a folder. A file that is named directly may have any name."""

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

    def __init__(self, paths: Iterable[str]) -> None:
        encoded = sorted({os.fsencode(path) for path in paths})
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
    """Return all files that `files` names, sorted by path, without duplicates.

    Args:
        files: a folder (searched at all levels for `AUDIO_SUFFIXES`, without names that start with a dot), a file
            (with any name), a glob (`**` for all levels), or a sequence of these.
        excluded: absolute paths to leave out.

    Raises:
        FilesTypeError: `files`, or an entry in it, is not a path.
        FilesNotFoundError: an entry does not exist, or no audio file is found.
    """
    entries = [files] if isinstance(files, (str, os.PathLike)) else files
    if not isinstance(entries, Iterable) or isinstance(entries, (bytes, dict)):
        raise FilesTypeError(_wrong_type(files))
    found = Sources(path for entry in entries for path in _expand(entry))
    sources = Sources(path for path in found if path not in excluded) if excluded else found
    warn_if_nothing_is_excluded(excluded, len(found) - len(sources))
    if not len(sources):
        reason = f"all files are among the {len(excluded)} paths in exclude=" if excluded else "it is empty"
        raise FilesNotFoundError(f"files={files!r}: {reason}; name a folder, a file, a glob, or several of these")
    return sources


def _expand(entry: object) -> Iterator[str]:
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
        yield from _or_raise(_walk_folder(absolute), path, f"no file in it ends in {', '.join(AUDIO_SUFFIXES)}")
    elif glob.has_magic(path):
        matches = map(os.path.abspath, glob.iglob(path, recursive=True))
        found = (name for match in matches for name in (_walk_folder(match) if os.path.isdir(match) else [match]))
        yield from _or_raise(found, path, "no file matches it")
    else:
        raise FilesNotFoundError(f"files={path!r}: there is no such file or folder (looked for {absolute})")


def _or_raise(found: Iterator[str], path: str, reason: str) -> Iterator[str]:
    """Yield the files that were found; raise if there are none."""
    empty = True
    for name in found:
        empty = False
        yield name
    if empty:
        raise FilesNotFoundError(f"files={path!r}: {reason}")


def _walk_folder(folder: str) -> Iterator[str]:
    """Yield the audio files under a folder. Links to folders are followed, each folder once."""
    pending, seen = [folder], set()
    while pending:
        current = pending.pop()
        identity = os.stat(current)
        if (identity.st_dev, identity.st_ino) in seen:
            continue
        seen.add((identity.st_dev, identity.st_ino))
        try:
            entries = os.scandir(current)
        except OSError as error:
            raise FilesError(
                f"files: the folder {current} cannot be listed ({error.strerror}); make it readable, or name the "
                "other folders instead"
            ) from error
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    pending.append(entry.path)
                elif entry.name.lower().endswith(AUDIO_SUFFIXES) and entry.is_file():
                    yield entry.path


def _wrong_type(value: object) -> str:
    return (
        f"files={value!r}: {type(value).__name__} does not name a file; "
        "give a str or a pathlib.Path of a folder, a file or a glob, or a sequence of these"
    )
