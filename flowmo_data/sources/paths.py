"""Paths and URLs, by the same functions.

A URL is one of fsspec, which may be a chain:

simplecache::s3://bucket/music/a.mp3        zip://music/a.mp3::s3://bucket/corpus.zip
head              path                      head  path      tail
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

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
    if not is_url(path):
        return os.path.abspath(unquote(path.removeprefix(_FILE)) if path.startswith(_FILE) else path)
    head, inner, tail = split_url(path)
    return head + inner.rstrip("/") + tail


def joined(folder: str, name: str) -> str:
    """Return the path of a file by its name below a folder.

    >>> joined("zip://music::s3://bucket/c.zip", "a/b.mp3")
    'zip://music/a/b.mp3::s3://bucket/c.zip'
    """
    if not is_url(folder):
        return os.path.join(folder, name)
    head, inner, tail = split_url(folder)
    return head + (inner.rstrip("/") + "/" + name if inner.rstrip("/") else name) + tail


def name_below(path: str, folder: str) -> str | None:
    """Return the name of a file below a folder; None if it is not below it.

    >>> name_below("s3://bucket/music/a/b.mp3", "s3://bucket/music")
    'a/b.mp3'
    """
    before, _, after = joined(folder, "\0").partition("\0")
    if path.startswith(before) and path.endswith(after) and len(path) > len(before) + len(after):
        return path[len(before) : len(path) - len(after)]
    return None


def folder_of(path: str) -> str:
    """Return the folder of a file."""
    if not is_url(path):
        return os.path.dirname(path)
    head, inner, tail = split_url(path)
    return head + posixpath.dirname(inner) + tail


def with_suffix(path: str, suffix: str) -> str:
    """Return the path of a file with another suffix.

    >>> with_suffix("zip://a.mp3::s3://bucket/c.zip", ".json")
    'zip://a.json::s3://bucket/c.zip'
    """
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


def relative(path: str, folder: str) -> str:
    """Return a path relative to a folder, for `resolved`; the path itself if the two are in different stores."""
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
    if is_url(path) or (path.startswith("/") and is_url(folder)):
        return path
    if not is_url(folder):
        return os.path.normpath(os.path.join(folder, path))
    head, inner, tail = split_url(folder)
    return head + posixpath.normpath(posixpath.join("/" + inner, path)).lstrip("/") + tail
