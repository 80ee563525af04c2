"""The user's files as an ordered list."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import overload

import numpy as np

from flowmo_data.errors import FilesError, FilesNotFoundError, FilesTypeError
from flowmo_data.sources.folders import (
    AUDIO_SUFFIXES,
    compression_of,
    is_hidden,
    kind_of_name,
    summary,
    walk_folder,
)
from flowmo_data.sources.listing.entries import Files, all_entries_of, described, wrong_type
from flowmo_data.sources.listing.excluding import warn_if_nothing_is_excluded
from flowmo_data.sources.listing.manifests import ListedPath
from flowmo_data.sources.member_paths import file_of, is_member, is_tar, order_key
from flowmo_data.sources.paths import absolute, is_remote, is_url, split_url
from flowmo_data.sources.stores.store import Entry, Store
from flowmo_data.sources.tars.listing import members_named, with_members

logger = logging.getLogger(__name__)

_NO_FILE = f"no file in it ends in {', '.join(AUDIO_SUFFIXES)}"


class Sources(Sequence[str]):
    """An ordered list of any number of paths or URLs, in two buffers, and the access to URLs.

    A million `str` objects would cost 100 MB in every worker. Each access changes an object's reference count, and so
    copies the memory page that a forked worker shares with its parent.

    >>> paths = Sources(["/a/two.mp3", "/a/one.mp3", "/a/two.mp3"])
    >>> list(paths)
    ['/a/one.mp3', '/a/two.mp3']
    """

    def __init__(self, paths: Iterable[str], store: Store | None = None, *, as_given: bool = False) -> None:
        """Hold paths, sorted and without duplicates; `as_given` keeps their order and duplicates."""
        self.store = store
        encoded = [os.fsencode(path) for path in paths]
        if not as_given:
            encoded = sorted(set(encoded))
            if any(path.startswith(b"tar://") for path in encoded):
                encoded.sort(key=lambda path: order_key(os.fsdecode(path)))
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
    def has_urls(self) -> bool:
        """Whether any of them is in a store."""
        return any(is_remote(self[index]) for index in range(len(self))) if b"://" in self._bytes else False

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that are different for other lists of paths."""
        digest = blake2b(self._bytes, digest_size=8)
        digest.update(self._ends.tobytes())
        return digest.hexdigest()


def find_sources(
    files: Files, *, excluded: Collection[str] = (), store: Store | None = None, whole_tars: bool = False
) -> Sources:
    """Return all files that `files` names, sorted by path, without duplicates. Log in one line what is left out.

    Args:
        files: a folder (searched at all levels for `AUDIO_SUFFIXES` and tars, without names that start with a dot), a
            file (with any name), a tar (searched in the same way), a glob (`**` for all levels), or a sequence of
            these. Braces are expanded, as in `shards/{0000..0127}.tar`.
        excluded: absolute paths to leave out. That of a tar leaves out all of its members.
        store: access to URLs; None for access without options.
        whole_tars: do not list the tars in stores, but return their own URLs, apart from those of excluded members.

    Raises:
        FilesTypeError: `files`, or an entry in it, is not a path.
        FilesNotFoundError: an entry does not exist, or no audio file is found.
    """
    left_out: dict[str, str] = {}
    store = store or Store()
    listed = {file_of(path) for path in excluded if is_member(path)} if whole_tars else None
    found = Sources(found_files(files, left_out, store, listed), store)
    sources = Sources((path for path in found if not is_excluded(path, excluded)), store) if excluded else found
    warn_if_nothing_is_excluded(excluded, len(found) - len(sources))
    warn_of_left_out(left_out, excluded)
    if not len(sources):
        reason = f"all files are among the {len(excluded)} paths in exclude=" if excluded else "it is empty"
        raise FilesNotFoundError(
            f"files={described(files)}: {reason}; name a folder, a file, a glob, or several of these"
        )
    return sources


def warn_of_left_out(left_out: Mapping[str, str], excluded: Collection[str]) -> None:
    """Log in one line what is left out of folders and tars, without what the user has excluded."""
    left_out = {path: reason for path, reason in left_out.items() if not is_excluded(path, excluded)}
    if left_out:
        logger.warning("left out: %s; flowmo-data check lists them", summary(left_out))


def is_excluded(path: str, excluded: Collection[str]) -> bool:
    """Return whether a path, or the tar of a member, is among those to leave out."""
    return path in excluded or (is_member(path) and file_of(path) in excluded)


def find_left_out(files: Files, *, store: Store | None = None, whole_tars: bool = False) -> dict[str, str]:
    """Return what `find_sources` leaves out of folders and tars, though it may be audio: the reasons, by path."""
    left_out: dict[str, str] = {}
    for _ in found_files(files, left_out, store or Store(), () if whole_tars else None):
        pass
    return dict(sorted(left_out.items()))


def found_files(
    files: Files, left_out: dict[str, str], store: Store, listed: Collection[str] | None = None
) -> Iterator[str]:
    """Yield the absolute paths of all files that `files` names; `left_out` receives the rest, with reasons.

    `listed` are the only tars in stores that are to be listed; None for all of them.
    """
    named: set[str] = set()

    def paths() -> Iterator[str]:
        for entry in all_entries_of(files, store):
            named.update(named_by(entry))
            yield from files_of_entry(entry, left_out, store)

    yield from with_members(paths(), left_out, store, named=named, listed=listed)


def named_by(entry: object) -> set[str]:
    """Return the absolute path of a tar that the user has named, and not found in a folder."""
    return {absolute(entry)} if isinstance(entry, (str, os.PathLike)) and is_tar(str(os.fspath(entry))) else set()


def files_of_entry(entry: object, left_out: dict[str, str], store: Store) -> Iterator[str]:
    """Yield the absolute paths of the files and the tars that one entry names."""
    if isinstance(entry, ListedPath):
        yield from _listed_files(entry, left_out, store)
        return
    if not isinstance(entry, (str, os.PathLike)):
        raise FilesTypeError(wrong_type(entry))
    path = os.fspath(entry)
    if not isinstance(path, str):
        raise FilesTypeError(wrong_type(entry))
    if not path:
        raise FilesNotFoundError("files='': an empty path; name a folder, a file or a glob ('.' is the current folder)")
    place = absolute(path)
    reason = compression_of(path)
    if reason and (is_url(path) or os.path.isfile(place)):
        raise FilesError(f"files={path!r}: {reason}")
    if is_member(place):
        yield from members_named(place, left_out, store)
    elif is_url(path):
        yield from _expand_url(place, left_out, store)
    elif os.path.isfile(place):
        yield place
    elif os.path.isdir(place):
        yield from _or_raise(walk_folder(place, left_out), path, _NO_FILE, left_out)
    elif glob.has_magic(path):
        matches = map(os.path.abspath, glob.iglob(path, recursive=True))
        found = (
            name for match in matches for name in (walk_folder(match, left_out) if os.path.isdir(match) else [match])
        )
        yield from _or_raise(found, path, "no file matches it", left_out)
    else:
        _check_accessible(path, place)
        raise FilesNotFoundError(f"files={path!r}: there is no such file or folder (looked for {place})")


def _listed_files(entry: ListedPath, left_out: dict[str, str], store: Store) -> Iterator[str]:
    """Yield the files that an entry of a manifest names. A URL of audio is not looked up, as that takes time."""
    try:
        path = entry.path
        if is_url(path) and kind_of_name(path) in ("audio", "tar") and not _is_glob(path):
            yield path
        else:
            yield from files_of_entry(path, left_out, store)
    except FilesError as error:
        raise type(error)(f"{entry.place}: {error}") from error


def _is_glob(url: str) -> bool:
    return glob.has_magic(split_url(url).path)


def _expand_url(url: str, left_out: dict[str, str], store: Store) -> Iterator[str]:
    """Yield the URLs of the objects that a URL names: an object, a folder or a glob."""
    is_folder = store.is_folder(url)
    if is_folder is False:
        yield url
    elif is_folder:
        yield from _or_raise(_audio(store.below(url), left_out), url, _NO_FILE, left_out)
    elif glob.has_magic(split_url(url).path):
        matches = (entry for entry in store.matching(url) if not is_hidden(entry.name))
        yield from _or_raise((entry.url for entry in matches), url, "no object matches it", left_out)
    else:
        raise FilesNotFoundError(f"files={url!r}: there is no such object or folder")


def _audio(entries: Iterable[Entry], left_out: dict[str, str]) -> Iterator[str]:
    """Yield the URLs of the audio and the tars below a folder, as `walk_folder` yields paths."""
    for entry in entries:
        kind = "" if is_hidden(entry.name) else kind_of_name(entry.name)
        if kind in ("audio", "tar"):
            yield entry.url
        elif kind:
            left_out[entry.url] = kind


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
