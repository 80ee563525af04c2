"""Paths and URLs, by the same functions.

A URL is one of fsspec, which may be a chain:

simplecache::s3://bucket/music/a.mp3        zip://music/a.mp3::s3://bucket/corpus.zip
head              path                      head  path      tail

The member of a tar (`member_paths`) lies where its tar lies: relative to a folder, it is `tar://a.mp3::shards/x.tar`.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from flowmo_data.sources.member_paths import file_of, is_member, key_of, member_path, split_member

_PROTOCOL = r"[a-zA-Z][a-zA-Z0-9+.-]*"
_HEAD = re.compile(rf"(?:{_PROTOCOL}::)*{_PROTOCOL}://")
_TAIL = re.compile(rf"::(?={_PROTOCOL}(?:://|::)|/)")
_FILE = "file://"


class UrlParts(NamedTuple):
    """A URL, divided around the path of a file."""

    head: str
    """all before the path"""
    path: str
    """the path, with the bucket or the host in front"""
    tail: str
    """the places that contain the file system of the path; usually empty"""

    @property
    def protocols(self) -> list[str]:
        """The protocols of all links of the chain."""
        return re.findall(rf"(?:^|::)({_PROTOCOL})(?=::|://)", self.head + self.tail)


def is_url(path: str) -> bool:
    """Return whether a path is a URL of something other than a local file.

    >>> is_url("s3://bucket/a.mp3"), is_url("simplecache::s3://bucket/a.mp3"), is_url("a::b.mp3"), is_url("file:///a")
    (True, True, False, False)
    """
    return not path.startswith(("/", _FILE)) and _HEAD.match(path) is not None


def is_remote(path: str) -> bool:
    """Return whether the bytes of a path come from elsewhere than a local file.

    >>> is_remote("tar://a.mp3::/data/x.tar"), is_remote("tar://a.mp3::s3://bucket/x.tar"), is_remote("s3://bucket/a")
    (False, True, True)
    """
    return is_url(file_of(path))


def split_url(url: str) -> UrlParts:
    """Return the parts of a URL.

    >>> split_url("zip://a/b.mp3::s3://bucket/c.zip").protocols
    ['zip', 's3']
    """
    match = _HEAD.match(url)
    assert match is not None
    tail = _TAIL.search(url, match.end())
    stop = tail.start() if tail else len(url)
    return UrlParts(match[0], url[match.end() : stop], url[stop:])


def absolute(path: str | os.PathLike[str]) -> str:
    """Return an absolute path, without `file://`; a URL as it is, but without a slash at its end."""
    path = os.fspath(path)
    if is_member(path):
        name, tar = split_member(path)
        return member_path(name.rstrip("/"), absolute(tar))
    if not is_url(path):
        return os.path.abspath(unquote(path.removeprefix(_FILE)) if path.startswith(_FILE) else path)
    head, inner, tail = split_url(path)
    return head + inner.rstrip("/") + tail


def joined(folder: str, name: str) -> str:
    """Return the path of a file by its name below a folder.

    >>> joined("zip://music::s3://bucket/c.zip", "a/b.mp3")
    'zip://music/a/b.mp3::s3://bucket/c.zip'
    >>> joined("/data", "tar://a.mp3::shards/x.tar")
    'tar://a.mp3::/data/shards/x.tar'
    """
    if is_member(name):
        name, tar = split_member(name)
        return member_path(name, joined(folder, tar))
    if not is_url(folder):
        return os.path.join(folder, name)
    head, inner, tail = split_url(folder)
    return head + (inner.rstrip("/") + "/" + name if inner.rstrip("/") else name) + tail


def name_below(path: str, folder: str) -> str | None:
    """Return the name of a file below a folder; None if it is not below it.

    >>> name_below("s3://bucket/music/a/b.mp3", "s3://bucket/music")
    'a/b.mp3'
    """
    if is_member(path):
        name, tar = split_member(path)
        below = name_below(tar, folder)
        return None if below is None else member_path(name, below)
    before, _, after = joined(folder, "\0").partition("\0")
    if path.startswith(before) and path.endswith(after) and len(path) > len(before) + len(after):
        return path[len(before) : len(path) - len(after)]
    return None


def folder_of(path: str) -> str:
    """Return the folder of a file; of a member of a tar, that of its tar."""
    path = file_of(path)
    if not is_url(path):
        return os.path.dirname(path)
    head, inner, tail = split_url(path)
    return head + posixpath.dirname(inner) + tail


def with_suffix(path: str, suffix: str) -> str:
    """Return the path of a file with another suffix; a member's suffix begins at its first dot, as WebDataset has it.

    >>> with_suffix("zip://a.mp3::s3://bucket/c.zip", ".json")
    'zip://a.json::s3://bucket/c.zip'
    >>> with_suffix("tar://song.left.mp3::/data/x.tar", ".json")
    'tar://song.json::/data/x.tar'
    """
    if is_member(path):
        name, tar = split_member(path)
        return member_path(key_of(name) + suffix, tar)
    if not is_url(path):
        return os.path.splitext(path)[0] + suffix
    head, inner, tail = split_url(path)
    return head + posixpath.splitext(inner)[0] + suffix + tail


def common_folder(paths: Sequence[str]) -> str | None:
    """Return the folder that holds all files; None if there is none.

    >>> common_folder(["s3://bucket/a/b.mp3", "s3://bucket/a/c/d.mp3"])
    's3://bucket/a'
    """
    folders = sorted({folder_of(path) for path in paths})
    if not any(map(is_url, folders)):
        return os.path.commonpath(folders)
    if not all(map(is_url, folders)):
        return None
    parts = [split_url(folder) for folder in folders]
    if len({(each.head, each.tail) for each in parts}) > 1:
        return None
    inner = posixpath.commonpath(["/" + each.path for each in parts]).lstrip("/")
    return parts[0].head + inner + parts[0].tail if inner else None


def common_root(files: object, paths: Sequence[str]) -> str | None:
    """Return the folder that the paths of some files are relative to; None if there is none.

    Args:
        files: what the user names; if it is a folder, it is the root.
        paths: the absolute paths and URLs of the files.
    """
    if isinstance(files, (str, os.PathLike)) and os.path.isdir(files):
        return os.path.abspath(files)
    if isinstance(files, str) and is_url(files) and all(name_below(path, absolute(files)) for path in paths):
        return absolute(files)
    return common_folder(paths)


def relative(path: str, folder: str) -> str:
    """Return a path relative to a folder, for `resolved`; the path itself if the two are in different stores."""
    if is_member(path):
        name, tar = split_member(path)
        return member_path(name, relative(tar, folder))
    if not is_url(path) and not is_url(folder):
        return os.path.relpath(path, folder)
    if not is_url(path) or not is_url(folder):
        return path
    parts, start = split_url(path), split_url(folder)
    if (parts.head, parts.tail) != (start.head, start.tail) or parts.path.split("/")[0] != start.path.split("/")[0]:
        return path
    return posixpath.relpath("/" + parts.path, "/" + start.path)


def resolved(path: str, folder: str) -> str:
    """Return the path that `relative` made relative to a folder."""
    if is_member(path):
        name, tar = split_member(path)
        return member_path(name, resolved(tar, folder))
    if is_url(path) or (path.startswith("/") and is_url(folder)):
        return path
    if not is_url(folder):
        return os.path.normpath(os.path.join(folder, path))
    head, inner, tail = split_url(folder)
    return head + posixpath.normpath(posixpath.join("/" + inner, path)).lstrip("/") + tail
