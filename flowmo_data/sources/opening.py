"""The source at a path or a URL."""

from __future__ import annotations

from flowmo_data.sources.local_file import LocalFile
from flowmo_data.sources.member_paths import is_member, split_member
from flowmo_data.sources.paths import is_url
from flowmo_data.sources.source import Source, Stamp
from flowmo_data.sources.stores.remote_file import RemoteFile
from flowmo_data.sources.stores.store import Store
from flowmo_data.sources.tars.member import LocalMember, MemberStore
from flowmo_data.sources.tars.opening import file_at, member_at

LARGEST_HELD_BYTES = 64 << 20
"""size of the largest object that is held in memory to be read once, from end to end"""
_PLAIN = Store()
"""the store of URLs for which there are no options"""


def source_at(path: str, store: Store | None = None) -> Source:
    """Return the file at an absolute path, the object at a URL, or the member of a tar, in its current state.

    Args:
        path: the path or the URL.
        store: access to URLs; None for access without options.

    Raises:
        AudioFileError: its state cannot be read.
    """
    return member_at(path, store or _PLAIN) if is_member(path) else file_at(path, store or _PLAIN)


def offset_of(source: Source) -> int:
    """Return the first byte of the member of a tar in its tar; 0 for any other file."""
    if isinstance(source, LocalMember):
        return source.offset
    return source.store.offset if isinstance(source, RemoteFile) and isinstance(source.store, MemberStore) else 0


def held_whole(source: Source) -> Source:
    """Return a source whose bytes have been fetched in one request, if it is remote and not too large to be held."""
    if isinstance(source, RemoteFile) and source.stamp.size <= LARGEST_HELD_BYTES:
        source.fetch([(0, source.stamp.size)])
    return source


def read_small(path: str, store: Store | None = None) -> bytes:
    """Return the bytes of a file that is probably small; a remote one takes one request. Args as for `source_at`.

    Raises:
        AudioFileError: it cannot be read.
    """
    if is_url(path):
        return (store or _PLAIN).read_small(path)
    source = LocalFile.at(path)
    return source.read(0, source.stamp.size)


def indexed_source(path: str, stamp: Stamp, store: Store | None = None, offset: int = 0) -> Source:
    """Return the file at `path` as an index describes it, without access to it. Args as for `source_at`.

    `offset` is the first byte of a member in its tar.
    """
    if offset:
        tar = split_member(path)[1]
        if not is_url(tar):
            return LocalMember(path, tar, offset, stamp, indexed=True)
        return RemoteFile(path, stamp, MemberStore(store or _PLAIN, tar, offset, stamp.size), indexed=True)
    if is_url(path):
        return RemoteFile(path, stamp, store or _PLAIN, indexed=True)
    return LocalFile(path, stamp, indexed=True)
