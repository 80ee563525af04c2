"""The audio in tars, in place of the tars."""

from __future__ import annotations

import glob
from collections.abc import Callable, Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import partial

from flowmo_data.errors import AudioFileError, FilesError, FilesNotFoundError, counted
from flowmo_data.runtime.threads import ordered_map
from flowmo_data.sources.folders import AUDIO_SUFFIXES, compression_of, is_hidden, kind_of_name, summary
from flowmo_data.sources.member_paths import file_of, is_tar, member_path, split_member
from flowmo_data.sources.paths import is_url
from flowmo_data.sources.stores.storage_options import FETCH_THREADS
from flowmo_data.sources.stores.store import Store
from flowmo_data.sources.tars.opening import ListedTar, list_tar

_NESTED = "it is a tar in a tar; unpack the outer one"


def with_members(
    paths: Iterable[str],
    left_out: dict[str, str],
    store: Store,
    *,
    named: Collection[str] = (),
    listed: Collection[str] | None = None,
) -> Iterator[str]:
    """Yield paths, and in place of each tar its audio.

    Args:
        paths: absolute paths and URLs.
        left_out: receives what is left out of tars, by path, with the reason.
        store: access to URLs. It gets the places of members.
        named: the tars that the user has named; one of these that cannot be read is an error.
        listed: the only tars in stores that are to be listed; None for all of them.

    Raises:
        FilesError: such a tar cannot be read.
        FilesNotFoundError: such a tar has no audio.
    """
    remote = []
    for path in paths:
        if path.lower().endswith(AUDIO_SUFFIXES):
            yield path
        elif not is_tar(path):
            if reason := compression_of(path):
                left_out[path] = reason
            else:
                yield path
        elif is_url(path):
            if listed is None or path in listed:
                remote.append(path)
            else:
                yield path
        else:
            yield from _audio(path, partial(list_tar, path, store), left_out, named)
    if remote:
        answers = ordered_map(lambda tar: _listed(tar, store), remote, threads=FETCH_THREADS)
        for path, found in zip(remote, answers, strict=True):
            yield from _audio(path, found, left_out, named)


def _listed(tar: str, store: Store) -> Callable[[], ListedTar]:
    """List a tar; return a function that returns the result, or raises the error."""
    try:
        found = list_tar(tar, store)
    except AudioFileError as error:
        return partial(_raise, error)
    return lambda: found


def _raise(error: AudioFileError) -> ListedTar:
    raise error


def _audio(
    tar: str, listed: Callable[[], ListedTar], left_out: dict[str, str], named: Collection[str]
) -> Iterator[str]:
    try:
        found = listed()
    except AudioFileError as error:
        if tar in named:
            raise FilesError(f"files={tar!r}: {error.reason}") from error
        left_out[tar] = error.reason
        return
    note_problems(tar, found, left_out)
    is_empty = True
    for member in found.members:
        kind = "" if is_hidden(member.name) else kind_of_name(member.name)
        if kind == "audio":
            is_empty = False
            yield member_path(member.name, tar)
        elif kind:
            left_out[member_path(member.name, tar)] = _NESTED if kind == "tar" else kind
    if is_empty and tar in named:
        own = {path: reason for path, reason in left_out.items() if path == tar or file_of(path) == tar}
        but = f"; left out: {summary(own)}" if own else ""
        members = counted(len(found.members), "member")
        raise FilesNotFoundError(f"files={tar!r}: no audio is read from its {members}{but}")


def note_problems(tar: str, listed: ListedTar, left_out: dict[str, str]) -> None:
    """Add what is not read of a tar to `left_out`. Members that are not audio do not matter."""
    of_tar = [problem.reason for problem in listed.problems if not problem.name]
    if of_tar:
        left_out[tar] = "; ".join(of_tar)
    for problem in listed.problems:
        if problem.name and not is_hidden(problem.name) and kind_of_name(problem.name) == "audio":
            left_out[member_path(problem.name, tar)] = problem.reason


def members_named(path: str, left_out: dict[str, str], store: Store) -> Iterator[str]:
    """Yield the paths of the members that the user names: one of any name, the audio in a folder, or a glob.

    Raises:
        FilesError: the tar cannot be read.
        FilesNotFoundError: it has no such member.
    """
    name, tar = split_member(path)
    try:
        listed = list_tar(tar, store)
    except AudioFileError as error:
        raise FilesError(f"files={path!r}: {error.reason}") from error
    note_problems(tar, listed, left_out)
    names = [member.name for member in listed.members]
    if name in names:
        chosen = [name]
    else:
        below = name.rstrip("/") + "/" if name else ""
        chosen = [
            each
            for each in names
            if each.startswith(below) and kind_of_name(each) == "audio" and not is_hidden(each.removeprefix(below))
        ]
        if not chosen and glob.has_magic(name):
            chosen = [each for each in names if fnmatchcase(each, name)]
    if not chosen:
        raise FilesNotFoundError(f"files={path!r}: the tar has no such member, and no audio in such a folder")
    for each in chosen:
        yield member_path(each, tar)
