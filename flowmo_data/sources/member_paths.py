"""Paths of the members of tars: `tar://music/a.mp3::/data/shard.tar`, as fsspec has them.

The tar is a local file or an object in a store. A relative path of a tar makes a relative path of the member.
"""

from __future__ import annotations

import os
import posixpath

TAR_SUFFIX = ".tar"
_HEAD, _BETWEEN = "tar://", "::"


def is_tar(path: str) -> bool:
    """Return whether a path is that of a tar, by its name.

    >>> is_tar("shards/0000.TAR"), is_tar("s3://bucket/a.tar.gz"), is_tar("tar://a.tar::b.zip")
    (True, False, False)
    >>> is_tar("https://example.com/a.tar?download=true")
    True
    """
    if path.startswith(("http://", "https://")):
        path = path.partition("?")[0]
    return path.lower().endswith(TAR_SUFFIX) and not is_member(path)


def is_member(path: str) -> bool:
    """Return whether a path is that of a member of a tar.

    >>> is_member("tar://a.mp3::x.tar"), is_member("s3://bucket/x.tar")
    (True, False)
    """
    return path.startswith(_HEAD) and _BETWEEN in path


def member_path(name: str, tar: str) -> str:
    """Return the path of a member.

    >>> member_path("a/b.mp3", "/data/x.tar")
    'tar://a/b.mp3::/data/x.tar'
    """
    return f"{_HEAD}{name}{_BETWEEN}{tar}"


def split_member(path: str) -> tuple[str, str]:
    """Return the name of a member, and the path of its tar.

    >>> split_member("tar://a/b.mp3::s3://bucket/x.tar")
    ('a/b.mp3', 's3://bucket/x.tar')
    """
    name, _, tar = path.removeprefix(_HEAD).partition(_BETWEEN)
    return name, tar


def file_of(path: str) -> str:
    """Return the path of the file that holds the bytes of a path: of a member, its tar."""
    return split_member(path)[1] if is_member(path) else path


def name_of(path: str) -> str:
    """Return the name of a member in its tar, or a path that is none as it is."""
    return split_member(path)[0] if is_member(path) else path


def plain_name(name: str) -> str:
    """Return the name of a member without dots and slashes in front: `./a.mp3` and `/a.mp3` are `a.mp3`."""
    return posixpath.normpath("/" + name).lstrip("/")


def can_be_named(name: str) -> bool:
    """Return whether a member has a path: its name must not look like the end of a name."""
    return _BETWEEN not in name


def key_of(name: str) -> str:
    """Return the name that a member shares with its sidecars: up to the first dot behind the folders.

    >>> key_of("a.b/song.left.mp3")
    'a.b/song'
    """
    folder, base = posixpath.split(name)
    return posixpath.join(folder, base.partition(".")[0])


def order_key(path: str) -> tuple[bytes, bytes]:
    """Return the key to sort paths by: the members of a tar lie together, at the place of their tar."""
    name, file = split_member(path) if is_member(path) else ("", path)
    return os.fsencode(file), os.fsencode(name)
