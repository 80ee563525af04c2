"""What the user named, as an ordered list of files."""

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
"""What is taken from a folder. A file that is named itself is taken whatever it is called."""

Files = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
"""A folder, a file, a glob, or a sequence of these."""


class Sources(Sequence[str]):
    """An ordered list of paths in two buffers, however many there are.

    A million `str` objects would cost 100 MB in every worker: touching one changes its reference count, and with it
    the page that a forked worker shared with its parent until then.

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
        """16 hexadecimal digits that differ for other lists of paths."""
        digest = blake2b(self._bytes, digest_size=8)
        digest.update(self._ends.tobytes())
        return digest.hexdigest()


def find_sources(files: Files, *, excluded: Collection[str] = ()) -> Sources:
    """All files that `files` names, sorted by path, each once.

    Args:
        files: a folder (searched through all levels for `AUDIO_SUFFIXES`; what starts with a dot is left out), a
            file (whatever it is called), a glob (`**` for all levels), or a sequence of these.
        excluded: absolute paths to leave out.

    Raises:
        FilesTypeError: `files`, or something in it, is no path.
        FilesNotFoundError: something does not exist, or no audio file is found.
    """
    entries = [files] if isinstance(files, (str, os.PathLike)) else files
    if not isinstance(entries, Iterable) or isinstance(entries, (bytes, dict)):
        raise FilesTypeError(_wrong_type(files))
    found = Sources(path for entry in entries for path in _expand(entry))
    sources = Sources(path for path in found if path not in excluded) if excluded else found
    warn_if_nothing_is_excluded(excluded, len(found) - len(sources))
    if not len(sources):
        reason = f"all files are among the {len(excluded)} of exclude=" if excluded else "there is nothing in it"
        raise FilesNotFoundError(f"files={files!r}: {reason}; name a folder, a file, a glob, or several of these")
    return sources


def _expand(entry: object) -> Iterator[str]:
    """The absolute paths of the files that one entry names."""
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
    """What was found, or an error where that is nothing."""
    empty = True
    for name in found:
        empty = False
        yield name
    if empty:
        raise FilesNotFoundError(f"files={path!r}: {reason}")


def _walk_folder(folder: str) -> Iterator[str]:
    """The audio files under a folder. Links to folders are followed, each folder once."""
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
                "folders beside it"
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
        f"files={value!r}: {type(value).__name__} is not a type that names a file; "
        "give a str or a pathlib.Path of a folder, a file or a glob, or a sequence of these"
    )
