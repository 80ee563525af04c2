"""Manifests: text files that list the files of a corpus, one in each line or row.

.txt                 a path in each line
.m3u, .m3u8          the same, with comments: lines that begin with #
.csv, .tsv           a table with a column that names files
.jsonl and the like  an object in each line, with a key that names a file
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from flowmo_data.errors import FilesError, FilesNotFoundError, shown
from flowmo_data.sources.paths import absolute, folder_of, is_url, resolved
from flowmo_data.sources.stores.store import Store

FILE_COLUMNS = ("file_name", "path", "audio_filepath")
"""names of the column with the file in tables and manifests; the first of them that one has"""
_PLAYLISTS = (".m3u", ".m3u8")
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
MANIFEST_SUFFIXES = (".txt", *_PLAYLISTS, *_DELIMITERS, *_JSON_LINES)
"""suffixes of files that are manifests, and not audio"""


@dataclass(frozen=True, slots=True)
class ListedPath(os.PathLike[str]):
    """An entry of a manifest."""

    path: str
    """absolute path, or URL, of a file, a folder or a glob"""
    place: str
    """manifest and line, for messages"""

    def __fspath__(self) -> str:
        return self.path


def is_manifest(path: str) -> bool:
    """Return whether a path is that of a manifest, by its name."""
    return path.lower().endswith(MANIFEST_SUFFIXES)


def listed_paths(path: str, store: Store) -> Iterator[ListedPath]:
    """Yield the entries of a manifest, in order. Relative paths are relative to the folder of the manifest.

    Args:
        path: the manifest: an absolute path or a URL.
        store: access to a URL.

    Raises:
        FilesNotFoundError: there is no such file, or it has no entries.
        FilesError: it cannot be read, or a row names no file. The message has the number of the line.
    """
    folder, suffix, is_empty = folder_of(path), os.path.splitext(path)[1].lower(), True
    try:
        with _opened(path, store) as file:
            for number, name in _names(file, suffix):
                place = f"{shown(path)}, line {number}"
                if not name:
                    raise FilesError(f"{place}: it names no file; give a path, or delete the line")
                if is_manifest(name):
                    raise FilesError(f"{place}: {shown(name)} is a manifest, and a manifest cannot list another")
                is_empty = False
                yield ListedPath(named_beside(name, folder), place)
    except FileNotFoundError as error:
        if isinstance(error, FilesError):
            raise
        raise FilesNotFoundError(f"files={path!r}: there is no such manifest") from None
    except OSError as error:
        raise FilesError(f"files={path!r}: this manifest cannot be read ({error.strerror or error})") from error
    except ManifestLineError as error:
        raise FilesError(f"{shown(path)}, {error}") from error
    if is_empty:
        raise FilesNotFoundError(f"files={path!r}: this manifest lists no files; write a path in each line")


class ManifestLineError(ValueError):
    """A line that cannot be read; the message has its number."""


def named_beside(name: str, folder: str) -> str:
    """Return the absolute path of a file that a table or a manifest in `folder` names, or its URL.

    >>> named_beside("a/b.mp3", "s3://bucket/lists"), named_beside("../b.mp3", "/data/lists")
    ('s3://bucket/lists/a/b.mp3', '/data/b.mp3')
    """
    if name.startswith("file://"):
        return absolute(name)
    if "://" in name or is_url(folder):
        return resolved(name, folder)
    return os.path.normpath(os.path.join(folder, name))


def _opened(path: str, store: Store) -> IO[bytes]:
    return io.BytesIO(store.read_all(path)) if is_url(path) else open(path, "rb")


def _names(file: IO[bytes], suffix: str) -> Iterator[tuple[int, str]]:
    """Yield the name of each file, with the number of its line."""
    if suffix in _DELIMITERS:
        yield from _in_table(file, _DELIMITERS[suffix])
    elif suffix in _JSON_LINES:
        yield from _in_json_lines(file)
    else:
        yield from _in_text(file, is_playlist=suffix in _PLAYLISTS)


def _in_text(file: Iterable[bytes], *, is_playlist: bool) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file, 1):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        line = line.rstrip(b"\r\n")
        if not line.strip() or (is_playlist and line.startswith(b"#")):
            continue
        if len(line) > 2 and line.startswith(b'"') and line.endswith(b'"'):
            line = line[1:-1]
        if b"\0" in line:
            raise ManifestLineError(
                f"line {number}: it is not text in UTF-8; a file with this suffix is read as a list of files"
            )
        yield number, _decoded(line, is_playlist=is_playlist)


def _decoded(line: bytes, *, is_playlist: bool) -> str:
    """Return a line as a path. Old playlists are in Latin-1; other paths may be any bytes."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1") if is_playlist else os.fsdecode(line)


def _in_table(file: IO[bytes], delimiter: str) -> Iterator[tuple[int, str]]:
    with io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        rows = csv.reader(text, delimiter=delimiter)
        try:
            header = next(rows, [])
            place = header.index(_file_column(header, 1))
            for row in rows:
                if row:
                    yield rows.line_num, row[place] if place < len(row) else ""
        except csv.Error as error:
            raise ManifestLineError(f"line {rows.line_num}: it cannot be read as a table ({error})") from error


def _in_json_lines(file: IO[bytes]) -> Iterator[tuple[int, str]]:
    with io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape") as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                example = '{"path": "a.mp3"}'
                raise ManifestLineError(
                    f"line {number}: it is not JSON ({error}); write one object, {example}"
                ) from error
            if not isinstance(value, dict):
                found = type(value).__name__
                raise ManifestLineError(f"line {number}: it is a {found} and not an object; write one object a line")
            name = value[_file_column(value, number)]
            if name is not None and not isinstance(name, str):
                raise ManifestLineError(f"line {number}: {name!r} is not a path")
            yield number, name or ""


def _file_column(columns: Iterable[str], number: int) -> str:
    """Return the column or key that names files.

    Raises:
        ManifestLineError: there is none.
    """
    found = next((name for name in FILE_COLUMNS if name in columns), None)
    if found is None:
        raise ManifestLineError(
            f"line {number}: no column {', '.join(map(repr, FILE_COLUMNS[:-1]))} or {FILE_COLUMNS[-1]!r} names a file; "
            f"the columns are {', '.join(map(repr, columns)) or 'none at all'}"
        )
    return found
