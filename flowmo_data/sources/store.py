"""The file systems of fsspec: object stores, web servers, archives. The only place that talks to them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from flowmo_data.errors import AudioFileError, FilesError, FlowmoDataError, MissingPackageError
from flowmo_data.runtime.extras import import_extra
from flowmo_data.runtime.resources import SHORT_OF, out_of
from flowmo_data.sources.paths import UrlParts, split_url
from flowmo_data.sources.range_requests import S3Ranges, get_range
from flowmo_data.sources.retrying import CutOffError, is_missing, retried
from flowmo_data.sources.source import Stamp
from flowmo_data.sources.storage_options import check_storage_options, defaults, options_of
from flowmo_data.sources.tar_tables import TarTable

_IDENTITIES = (
    "ETag", "etag", "md5Hash", "md5", "content_md5", "Content-MD5", "Digest", "sha256", "checksum", "blob_id", "oid",
    "sha", "generation", "CRC",
)  # fmt: skip
"""keys under which file systems give a hash of an object's bytes, or a number of its version"""
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "modified", "created", "date_time")
"""keys of the time of its last change"""


class Entry(NamedTuple):
    """An object below a folder."""

    url: str
    name: str
    """its name below the folder"""


class Store:
    """The file systems of some URLs, opened with the same options.

    A file system holds connections and a thread, which do not survive a fork. So each process opens its own.

    Args:
        options: options of the file systems, as for `fsspec.open`. If there are several protocols, or in a chain, the
            options of each under its name: `{"s3": {"anon": True}}`.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = check_storage_options(options)
        self._opened: dict[tuple[int, str, str, str], Any] = {}  # by process, and by the parts of the URL
        self._ranges: dict[int, S3Ranges] = {}  # by file system; a file system is never forgotten
        self.tar_tables: dict[str, TarTable] = {}  # of the tars that were listed, by URL

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self.options, "tar_tables": self.tar_tables}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["options"])  # type: ignore[misc]
        self.tar_tables = state["tar_tables"]

    def stamp(self, url: str, *, patient: bool = True) -> Stamp:
        """Return the state of an object; if not `patient`, the store is asked once only.

        Raises:
            AudioFileError: there is no such object, or the store does not answer.
        """
        try:
            return _stamp(url, retried(partial(self._info, url)) if patient else self._info(url))
        except Exception as error:
            raise _file_error(url, error) from error

    def read(self, url: str, start: int, stop: int) -> tuple[bytes, int | None]:
        """Return the bytes `[start, stop)` of an object, and the digest of its state if the same answer gives it.

        Raises:
            AudioFileError: they cannot be read.
        """
        try:
            return retried(partial(self._read, url, start, stop))
        except Exception as error:
            raise _file_error(url, error) from error

    def read_all(self, url: str) -> bytes:
        """Return the bytes of an object.

        Raises:
            OSError: it cannot be read.
        """
        with _os_errors():
            system, path = self._at(url)
            data: bytes = retried(partial(system.cat_file, path))
        return data

    def write(self, url: str, data: bytes) -> None:
        """Write an object. Stores show all of it or nothing.

        Raises:
            OSError: it cannot be written.
        """
        with _os_errors():
            system, path = self._at(url)
            retried(partial(system.pipe_file, path, data))

    def exists(self, url: str) -> bool:
        """Return whether there is such an object or folder."""
        system, path = self._at(url)
        return bool(retried(partial(system.exists, path)))

    def is_folder(self, url: str) -> bool | None:
        """Return whether a URL names a folder; False for an object, None if it names neither.

        Raises:
            FilesError: the store does not answer.
        """
        with _files_errors(url):
            try:
                info = retried(partial(self._info, url))
            except FileNotFoundError as error:
                if is_missing(error):
                    return None
                raise
            if "http" in split_url(url).protocols[-1]:
                return str(info.get("url", url)).endswith("/")
            return bool(info["type"] == "directory")

    def below(self, folder: str) -> Iterator[Entry]:
        """Yield the objects below a folder, at all levels.

        Raises:
            FilesError: the store does not answer.
        """
        parts = split_url(folder)
        with _files_errors(folder):
            system, path = self._at(folder)
            if parts.protocols[-1].startswith("http"):
                path = path.rstrip("/") + "/"
            found = retried(partial(system.find, path))
            system.invalidate_cache()  # so that a later look at an object is not a look at this list
        yield from self._entries(found, parts, path.strip("/"))

    def matching(self, glob: str) -> Iterator[Entry]:
        """Yield the objects that a glob matches, and those below folders that it matches. Raises as `below`."""
        parts = split_url(glob)
        with _files_errors(glob):
            system, path = self._at(glob)
            found = retried(partial(system.glob, path, detail=True))
            system.invalidate_cache()
        inner = parts.path[: min(parts.path.index(each) for each in "*?[" if each in parts.path)].rpartition("/")[0]
        root = parts._replace(path=inner)
        base = self._at("".join(root))[1].strip("/")
        for info, entry in zip(found.values(), self._entries(found, root, base), strict=True):
            if info["type"] == "directory":
                yield from self.below(entry.url)
            else:
                yield entry

    @staticmethod
    def _entries(found: Any, root: UrlParts, base: str) -> Iterator[Entry]:
        """Yield objects by the paths that a file system gives, which have no protocol, and may lack the host."""
        inner = root.path.strip("/")
        for each in found:
            name = each.strip("/").removeprefix(base).lstrip("/")
            yield Entry(root.head + (f"{inner}/{name}" if inner else name) + root.tail, name)

    def _info(self, url: str) -> Any:
        system, path = self._at(url)
        return system.info(path)

    def _read(self, url: str, start: int, stop: int) -> tuple[bytes, int | None]:
        system, path = self._at(url)
        protocol = url.partition("://")[0]
        if protocol in ("s3", "s3a"):
            data, etag = self._s3_ranges(system).get(path, start, stop)
        elif protocol in ("http", "https"):
            data, etag = get_range(system, path, start, stop)
        else:
            data, etag = system.cat_file(path, start=start, end=stop), None
        if len(data) > stop - start:  # a web server that knows no ranges gives the whole
            data = data[start:stop]
        if len(data) < stop - start:
            raise CutOffError(f"only {len(data)} of {stop - start} bytes from byte {start} on came")
        return data, None if etag is None else _digest(etag)

    def _at(self, url: str) -> tuple[Any, str]:
        """Return the file system of a URL, and the URL's path in it.

        Raises:
            MissingPackageError: fsspec, or the package for the protocol, is not installed.
        """
        parts = split_url(url)
        key = (os.getpid(), parts.head, parts.path.partition("/")[0], parts.tail)
        system = self._opened.get(key)
        if system is None:
            system = self._opened.setdefault(key, self._open(url, parts))
        path = system._strip_protocol(parts.head.rpartition("::")[2] + parts.path)
        return system, path

    def _s3_ranges(self, system: Any) -> S3Ranges:
        found = self._ranges.get(id(system))
        if found is None:
            found = self._ranges.setdefault(id(system), S3Ranges(system, defaults("http")))
        return found

    def _open(self, url: str, parts: UrlParts) -> Any:
        core = import_extra("fsspec.core", user=f"{parts.head} in a path")
        try:
            return core.url_to_fs(url, **options_of(parts, self.options), skip_instance_cache=True)[0]
        except ImportError as error:
            raise MissingPackageError(
                f"{parts.head} in a path needs another package ({error}): pip install 'flowmo_data[remote]' for s3:// "
                "and http(s)://, pip install gcsfs for gs://, pip install huggingface_hub for hf://"
            ) from error
        except ValueError as error:
            raise FilesError(f"{url}: {error}; is the protocol spelled as fsspec knows it?") from error


def _stamp(url: str, info: Mapping[str, Any]) -> Stamp:
    if info.get("type") == "directory":
        raise AudioFileError.of(url, "it is a folder, not a file with audio")
    size = info.get("size")
    if size is None:
        raise AudioFileError.of(url, "its store does not give its size; copy it to a local disk")
    time = next((info[key] for key in _TIMES if info.get(key)), None)
    identity = next((str(info[key]) for key in _IDENTITIES if info.get(key)), str(time))
    nanoseconds = int(time.timestamp()) * 1_000_000_000 if isinstance(time, datetime) else 0
    return Stamp(int(size), nanoseconds, _digest(identity))


def _digest(identity: str) -> int:
    """Return a hash of an object's etag, or of its time: 64 bits, signed, for a column of an index."""
    return int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "big", signed=True)


def _file_error(url: str, error: Exception) -> FlowmoDataError:
    """Return the error for a failure at one object."""
    if isinstance(error, FlowmoDataError):
        return error
    if isinstance(error, OSError) and error.errno in SHORT_OF:
        return out_of(url, error)
    if is_missing(error):
        return AudioFileError.of(url, "there is no such object")
    return AudioFileError.of(url, f"its store does not give it ({_in_words(error)})")


@contextmanager
def _files_errors(url: str) -> Iterator[None]:
    """Turn the failures of a listing into a `FilesError`."""
    try:
        yield
    except FlowmoDataError:
        raise
    except Exception as error:
        raise FilesError(
            f"files={url!r}: its store cannot be listed ({_in_words(error)}); check the URL, and the access that "
            "storage_options= or the environment gives"
        ) from error


@contextmanager
def _os_errors() -> Iterator[None]:
    """Turn the failures of a store that are no `OSError` into one."""
    try:
        yield
    except (FlowmoDataError, OSError):
        raise
    except Exception as error:
        raise OSError(_in_words(error)) from error


def _in_words(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:  # fsspec's HTTP says so whatever failed
        return _in_words(error.__cause__)
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
