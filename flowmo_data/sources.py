"""What the user named, as an ordered list of files; and the one place where bytes are read."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Union, overload

import numpy as np

from flowmo_data.errors import AudioFileError, FilesError, FilesNotFoundError, FilesTypeError
from flowmo_data.resources import file_error
from flowmo_data.words import shown

AUDIO_SUFFIXES = (
    ".mp3", ".mp2", ".mp1", ".mpga", ".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf",
)  # fmt: skip
"""What is taken from a folder. A file that is named itself is taken whatever it is called."""

logger = logging.getLogger(__name__)

_SECOND_NS = 1_000_000_000

Files = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
"""A folder, a file, a glob, or a sequence of these."""

Exclude = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
"""The path of a list of files, or a sequence of paths of files."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another."""

    size: int
    """bytes"""
    mtime_ns: int
    """time of the last change, nanoseconds since 1970"""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, closed. It is opened for every read, so that nothing is held between reads and nothing crosses a fork."""

    path: str
    """absolute"""
    stamp: Stamp
    """the file's state when it was first looked at; a read finds the same or raises"""
    indexed: bool = False
    """whether that was when it was indexed, and not just now"""

    @classmethod
    def at(cls, path: str) -> Source:
        """The file at `path` as it is now.

        Raises:
            AudioFileError: it cannot be looked at.
        """
        try:
            status = os.stat(path)
        except OSError as error:
            raise file_error(path, error) from error
        return cls(path, Stamp(status.st_size, status.st_mtime_ns))

    def read(self, start: int, stop: int) -> bytes:
        """The bytes `[start, stop)`; fewer where the file ends before `stop`.

        Raises:
            AudioFileError: the file cannot be read, or is not what it was when it was first looked at.
            ResourceError: no file could be opened.
        """
        descriptor = self.open()
        try:
            data = _read_all(descriptor, start, min(stop, self.stamp.size))
            status = os.fstat(descriptor)  # after: a change while it was read shows too
        except OSError as error:
            raise file_error(self.path, error) from error
        finally:
            os.close(descriptor)
        self.check(Stamp(status.st_size, status.st_mtime_ns))
        if len(data) < min(stop, self.stamp.size) - start:
            raise AudioFileError.of(self.path, f"cannot be read past byte {start + len(data)}")
        return data

    def open(self) -> int:
        """A descriptor of the file, for the caller to close.

        Raises:
            AudioFileError: it cannot be opened.
            ResourceError: no file could be opened.
        """
        try:
            return os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise file_error(self.path, error) from error

    def _is_same(self, stamp: Stamp) -> bool:
        if stamp == self.stamp or not self.indexed:
            return stamp == self.stamp
        times = stamp.mtime_ns, self.stamp.mtime_ns
        whole_seconds = any(time % _SECOND_NS == 0 for time in times)  # tar keeps no more of it
        return stamp.size == self.stamp.size and whole_seconds and len({time // _SECOND_NS for time in times}) == 1

    def check(self, stamp: Stamp) -> None:
        """Raise `AudioFileError` if the file's state is not what it was when it was first looked at."""
        if not self._is_same(stamp):
            now = f"{stamp.size} bytes" if stamp.size != self.stamp.size else "the same size"
            when, advice = "while it was in use", "leave files alone while they are streamed"
            if self.indexed:
                when, advice = "since it was indexed", "run flowmo-data index again"
            raise AudioFileError.of(self.path, f"changed {when} ({self.stamp.size} bytes before, {now} now); {advice}")


def _read_all(descriptor: int, start: int, stop: int) -> bytes:
    """The bytes `[start, stop)`: `pread` may give fewer than are there, and does past 2 GB."""
    data = os.pread(descriptor, max(stop - start, 0), start)
    while start + len(data) < stop and (more := os.pread(descriptor, stop - start - len(data), start + len(data))):
        data += more
    return data


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


def excluded_paths(exclude: Exclude | None) -> frozenset[str]:
    """The absolute paths that `exclude` names.

    Args:
        exclude: a sequence of paths, or the path of a text file of which every line is one, relative to its folder.

    Raises:
        FilesTypeError: it is neither.
        FilesNotFoundError: there is no such text file.
    """
    if exclude is None:
        return frozenset()
    if not isinstance(exclude, (str, os.PathLike)):
        paths = list(exclude) if isinstance(exclude, Iterable) else [None]  # a list: an iterator gives them once
        if not all(isinstance(each, (str, os.PathLike)) for each in paths):
            raise FilesTypeError(f"exclude={exclude!r}: give the path of a list of files, or a sequence of paths")
        return frozenset(os.path.abspath(each) for each in paths)
    try:
        with open(exclude, "rb") as opened:
            lines = opened.read().split(b"\n")
    except OSError as error:
        raise FilesNotFoundError(
            f"exclude={os.fspath(exclude)!r}: this list of files cannot be read ({error.strerror}); give the path of "
            "a text file with one path in each line, or a sequence of paths"
        ) from error
    if any(b"\0" in line for line in lines):
        raise FilesTypeError(
            f"exclude={os.fspath(exclude)!r}: this is no list of files; to leave out one file, give exclude=[path]"
        )
    folder = os.path.dirname(os.path.abspath(exclude))
    return frozenset(os.path.normpath(os.path.join(folder, os.fsdecode(line))) for line in lines if line)


def warn_if_nothing_is_excluded(excluded: Collection[str], num_left_out: int) -> None:
    """Say so where `exclude` names files and none of them was there to be left out."""
    if excluded and not num_left_out:
        logger.warning(
            "exclude= leaves out nothing: none of its %d paths, such as %s, is one of the files. Paths are compared as "
            "they are written, without following links; folders and globs are not expanded",
            len(excluded),
            shown(min(excluded)),
        )


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
