"""Tars and their members: listed once, and found by name from then on.

The tables of tars in stores belong to a `Store`, which takes them to other processes. Those of local tars belong to the
process: forked workers inherit them, and others list a tar when they need it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from flowmo_data.errors import AudioFileError
from flowmo_data.sources.local_file import LocalFile
from flowmo_data.sources.member_paths import is_member, split_member
from flowmo_data.sources.paths import is_url
from flowmo_data.sources.source import Source, Stamp
from flowmo_data.sources.stores.remote_file import RemoteFile
from flowmo_data.sources.stores.store import Store
from flowmo_data.sources.tars.headers import Member, NotATarError, Problem, members_of
from flowmo_data.sources.tars.member import LocalMember, MemberStore, errors_about
from flowmo_data.sources.tars.tables import TarTable, tar_table

_LOCAL_TABLES: dict[str, TarTable] = {}


class ListedTar(NamedTuple):
    """The members of a tar, and what is not read of it."""

    members: list[Member]
    problems: list[Problem]


def file_at(path: str, store: Store) -> LocalFile | RemoteFile:
    """Return the file at an absolute path, or the object at a URL, in its current state.

    Raises:
        AudioFileError: its state cannot be read.
    """
    return RemoteFile.at(path, store) if is_url(path) else LocalFile.at(path)


def list_tar(tar: str, store: Store) -> ListedTar:
    """Return the members of a tar, and keep their places.

    Args:
        tar: its absolute path, or its URL.
        store: access to a URL.

    Raises:
        AudioFileError: it cannot be read, or is not a tar.
    """
    problems: list[Problem] = []
    try:
        source = file_at(tar, store)
        members = list(members_of(source.read, source.stamp.size, problems.append))
    except NotATarError as error:
        raise AudioFileError.of(tar, str(error)) from error
    _tables(tar, store)[tar] = tar_table(source.stamp, members)
    return ListedTar(members, problems)


def table_of(tar: str, store: Store) -> TarTable:
    """Return the places of a tar's members. A local tar that has changed is listed again. Raises as `list_tar`."""
    tables = _tables(tar, store)
    table = tables.get(tar)
    if table is None or not (is_url(tar) or _is_as_listed(tar, table)):
        list_tar(tar, store)
        table = tables[tar]
    return table


def _tables(tar: str, store: Store) -> dict[str, TarTable]:
    return store.tar_tables if is_url(tar) else _LOCAL_TABLES


def _is_as_listed(tar: str, table: TarTable) -> bool:
    try:
        status = os.stat(tar)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (table.stamp.size, table.stamp.mtime_ns)


def member_at(path: str, store: Store) -> Source:
    """Return the member of a tar in its current state.

    Raises:
        AudioFileError: its tar cannot be read, or has no such member.
    """
    stamp, offset = place_of(path, store)
    tar = split_member(path)[1]
    if is_url(tar):
        return RemoteFile(path, stamp, MemberStore(store, tar, offset, stamp.size))
    return LocalMember.at(path, tar, offset, stamp.size)


def place_of(path: str, store: Store) -> tuple[Stamp, int]:
    """Return the size of a member with the state of its tar, and its first byte in the tar.

    Raises:
        AudioFileError: its tar cannot be read, or has no such member.
    """
    name, tar = split_member(path)
    with errors_about(path):
        table = table_of(tar, store)
    place = table.find(name)
    if place is None:
        raise AudioFileError.of(path, "the tar has no such member")
    return replace(table.stamp, size=place[1]), place[0]


def store_for(paths: Iterable[str], store: Store) -> Store:
    """Return a store for some paths only, to send it to another process: it knows the places of these members alone."""
    own = Store(store.options)
    names: dict[str, list[str]] = {}
    for path in filter(is_member, paths):
        name, tar = split_member(path)
        names.setdefault(tar, []).append(name)
    own.tar_tables = {tar: store.tar_tables[tar].only(each) for tar, each in names.items() if tar in store.tar_tables}
    return own
