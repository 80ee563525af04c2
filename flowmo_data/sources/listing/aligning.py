"""Sets of files that belong together, such as a mixture and its stems: matched by their names.

    mixture=mix/           vocals=vocals/         name of the set
    mix/a/one.mp3          vocals/a/one.wav       a/one
    mix/two.flac           vocals/two.flac        two
    mix/three.mp3                                 three: incomplete, so it is reported

A file's name is its path below the folder, without the suffix.
"""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import overload

from flowmo_data.errors import FilesNotFoundError, FilesTypeError, shown
from flowmo_data.sources.listing.entries import Files, all_entries_of
from flowmo_data.sources.listing.excluding import warn_if_nothing_is_excluded
from flowmo_data.sources.listing.found import Sources, files_of_entry, is_excluded, named_by, warn_of_left_out
from flowmo_data.sources.listing.hugging_face import paths_in_column
from flowmo_data.sources.member_paths import file_of, is_member, split_member
from flowmo_data.sources.paths import absolute, is_url, split_url
from flowmo_data.sources.stores.store import Store
from flowmo_data.sources.tars.listing import with_members

_EXAMPLES = 3

AlignedFiles = Mapping[str, Files]
"""Files by name, to be aligned with each other: `{"mixture": "mix/", "vocals": "vocals/"}`."""


class AlignedSources(Sequence[tuple[str, ...]]):
    """An ordered list of sets of files, each with one path for each name.

    Args:
        names: the names.
        sets: the complete sets: absolute paths, in the order of the names.
        problems: reasons why other sets are left out, by the path of their first file.
        store: access to URLs.
    """

    def __init__(
        self,
        names: Sequence[str],
        sets: Sequence[Sequence[str]],
        problems: Mapping[str, str],
        store: Store | None = None,
    ) -> None:
        self.names, self.problems, self.store = tuple(names), problems, store
        self._paths = [Sources((each[place] for each in sets), as_given=True) for place in range(len(names))]

    def __len__(self) -> int:
        return len(self._paths[0])

    @overload
    def __getitem__(self, index: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, ...] | list[tuple[str, ...]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return tuple(paths[index] for paths in self._paths)

    @cached_property
    def has_urls(self) -> bool:
        """Whether any of them is a URL."""
        return any(paths.has_urls for paths in self._paths)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that are different for other names or paths."""
        words = [*self.names, *(paths.fingerprint for paths in self._paths)]
        return blake2b("\0".join(words).encode(), digest_size=8).hexdigest()


def find_aligned(files: AlignedFiles, *, excluded: Collection[str] = (), store: Store | None = None) -> AlignedSources:
    """Return the sets of files that belong together, sorted by name.

    Args:
        files: as for `find_sources`, by name.
        excluded: absolute paths to leave out. A set without its excluded file is left out too.
        store: access to URLs; None for access without options.

    Raises:
        FilesTypeError: a name is not a word, or what it stands for is not a path.
        FilesNotFoundError: an entry does not exist, or no set is complete.
    """
    _check_names(files)
    left_out: dict[str, str] = {}
    store = store or Store()
    found = {name: _by_key(entries, left_out, store) for name, entries in files.items()}
    warn_of_left_out(left_out, excluded)
    sets, problems, num_excluded = [], {}, 0
    for key in sorted(set().union(*found.values()), key=os.fsencode):
        all_paths = {name: paths.get(key, []) for name, paths in found.items()}
        paths = {name: [path for path in each if not is_excluded(path, excluded)] for name, each in all_paths.items()}
        num_excluded += sum(map(len, all_paths.values())) - sum(map(len, paths.values()))
        if any(all_paths[name] and not each for name, each in paths.items()):
            continue
        problem = _problem(key, paths)
        if problem:
            problems[next(each[0] for each in paths.values() if each)] = problem
        else:
            sets.append([each[0] for each in paths.values()])
    warn_if_nothing_is_excluded(excluded, num_excluded)
    if not sets:
        but = ", as they are among the paths in exclude=" if excluded else ""
        but = f" ({summary_of_problems(problems, 0)})" if problems else but
        raise FilesNotFoundError(
            f"files={dict(files)!r}: no set of files is complete{but}; the files of a set have the same path below "
            "their folders, apart from the suffix"
        )
    return AlignedSources(list(files), sets, problems, store)


def _check_names(files: AlignedFiles) -> None:
    paths_in_column(files)  # it raises if they are the splits of a dataset
    if not files:
        raise FilesTypeError("files={}: it is empty; give files by name: {'mixture': 'mix/', 'vocals': 'vocals/'}")
    for name, entries in files.items():
        if not isinstance(name, str) or not name:
            raise FilesTypeError(f"files={dict(files)!r}: {name!r} is not a name; use strings such as 'vocals'")
        is_index = isinstance(entries, (str, os.PathLike)) and str(entries).endswith(".parquet")
        if isinstance(entries, Mapping) or is_index:
            raise FilesTypeError(
                f"files={dict(files)!r}: {name!r} must be a folder, a file, a glob, or a sequence of these; make one "
                "index for all: flowmo-data index NAME=FOLDER NAME=FOLDER -o sets.parquet"
            )


def _by_key(files: Files, left_out: dict[str, str], store: Store) -> dict[str, list[str]]:
    """Return the absolute paths of files, by the name of the set that they belong to."""
    found: dict[str, set[str]] = {}
    for entry in all_entries_of(files, store):
        for path, key in _with_keys(entry, left_out, store):
            found.setdefault(key, set()).add(path)
    return {key: sorted(paths) for key, paths in found.items()}


def _with_keys(entry: object, left_out: dict[str, str], store: Store) -> Iterator[tuple[str, str]]:
    """Yield the files of an entry, each with the name of the set that it belongs to."""
    found: tuple[str, list[str]] | None = None
    files = files_of_entry(entry, left_out, store)
    for path in with_members(files, left_out, store, named=named_by(entry)):
        inner = _inner(path)
        if found is None:
            assert isinstance(entry, (str, os.PathLike))
            found = _base(os.fspath(entry), inner)
        base, fixed = found
        parts = inner.removeprefix(base).lstrip(os.sep).split(os.sep)
        places = range(len(parts) - len(fixed), -1, -1) if fixed else ()
        place = next((place for place in places if parts[place : place + len(fixed)] == fixed), len(parts))
        if place + len(fixed) == len(parts) and fixed:  # all files have one name, and their folders differ
            yield path, os.sep.join(parts[:place])
        else:
            yield path, os.path.splitext(os.sep.join([*parts[:place], *parts[place + len(fixed) :]]))[0]


def _inner(path: str) -> str:
    """Return the path of a file inside of its file system. A tar is like a folder."""
    file = file_of(path)
    inner = split_url(file).path if is_url(file) else file
    return (f"{inner}/{split_member(path)[0]}" if is_member(path) else inner).rstrip("/")


def _base(entry: str, found: str) -> tuple[str, list[str]]:
    """Return the folder that names are relative to, and the parts of a glob that come after all wildcards.

    Args:
        entry: a folder, a file, a tar, a member, or a glob of these, as the user names it.
        found: the path of a file that it names, inside of its file system.
    """
    place = absolute(entry)
    inner = _inner(place)
    if found == inner:
        return posixpath.dirname(inner), []
    if not inner or found.startswith(f"{inner}/"):
        return inner, []
    if is_member(place):
        name, tar = split_member(place)
        before, after = _around_wildcards(name)
        return posixpath.join(_inner(tar), before), after
    if is_url(place):
        return _around_wildcards(inner)
    before, after = _around_wildcards(entry)  # as it is written: the current folder may have such characters
    return os.path.abspath(before or (os.sep if os.path.isabs(entry) else ".")), after


def _around_wildcards(pattern: str) -> tuple[str, list[str]]:
    """Return the folder before the first wildcard of a glob, and the parts of it that come after the last one."""
    parts = pattern.split(os.sep)
    magic = [place for place, part in enumerate(parts) if glob.has_magic(part)]
    return os.sep.join(parts[: magic[0]]), parts[magic[-1] + 1 :]


def _problem(key: str, paths: Mapping[str, Sequence[str]]) -> str:
    """Return why the files of a name are not a set; an empty string if they are one."""
    for name, each in paths.items():
        if len(each) > 1:
            both = " and ".join(map(shown, each[:2]))
            return f"its set has more than one file for {name!r} ({both}); remove all but one, or list them in exclude="
    missing = [name for name, each in paths.items() if not each]
    if not missing:
        return ""
    return f"its set is incomplete: there is no file {key!r}, with any suffix, for {' and '.join(map(repr, missing))}"


def summary_of_problems(problems: Mapping[str, str], num_sets: int) -> str:
    """Return in one line why sets are left out.

    >>> summary_of_problems({"/mix/a.mp3": "its set is incomplete"}, 9)
    '1 of 10 sets of files is skipped: /mix/a.mp3: its set is incomplete'
    """
    examples = "; ".join(f"{shown(path)}: {shown(reason)}" for path, reason in list(problems.items())[:_EXAMPLES])
    more = f"; and {len(problems) - _EXAMPLES:,} more" if len(problems) > _EXAMPLES else ""
    is_or_are = "is" if len(problems) == 1 else "are"
    return f"{len(problems):,} of {num_sets + len(problems):,} sets of files {is_or_are} skipped: {examples}{more}"
