"""The file systems of fsspec: object stores, web servers, archives. The only place that talks to them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from flowmo_data.errors import FilesError, MissingPackageError
from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources.paths import UrlParts, split_url
from flowmo_data.sources.source import Stamp
from flowmo_data.sources.stores.object_states import digest_of, nanoseconds, stamp_of
from flowmo_data.sources.stores.range_requests import NO_SUCH_RANGE, HttpRanges, Ranges, S3Ranges
from flowmo_data.sources.stores.reasons import file_error, files_errors, os_errors
from flowmo_data.sources.stores.retrying import CutOffError, http_status, is_missing, retried
from flowmo_data.sources.stores.storage_options import check_storage_options, defaults, options_of

_SMALL_BYTES = 1 << 16


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
        self._ranges: dict[int, Ranges] = {}  # by file system; a file system is never forgotten
        self.tar_tables: dict[str, Any] = {}  # what `tars` knows about tars that were listed, by URL

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self.options, "tar_tables": self.tar_tables}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["options"])  # type: ignore[misc]
        self.tar_tables = state["tar_tables"]

    def prepare(self, url: str) -> None:
        """Import the packages that a URL needs, before workers are forked: each of them would import them by itself.

        Raises:
            FilesError: the protocol is not known.
            MissingPackageError: a package is not installed.
        """
        registry = import_extra("fsspec.registry", user=f"{split_url(url).head} in a path")
        try:
            for protocol in split_url(url).protocols:
                registry.get_filesystem_class(protocol)
        except (ImportError, ValueError):
            self._at(url)  # which says more

    def stamp(self, url: str, *, patient: bool = True) -> Stamp:
        """Return the state of an object; if not `patient`, the store is asked once only.

        Raises:
            AudioFileError: there is no such object, or the store does not answer.
        """
        try:
            return retried(partial(self._state, url)) if patient else self._state(url)
        except Exception as error:
            raise file_error(url, error) from error

    def read(self, url: str, start: int, stop: int) -> tuple[bytes, int | None]:
        """Return the bytes `[start, stop)` of an object, and the digest of its state if the same answer gives it.

        Raises:
            AudioFileError: they cannot be read.
        """
        try:
            return retried(partial(self._read, url, start, stop))
        except Exception as error:
            raise file_error(url, error) from error

    def read_all(self, url: str) -> bytes:
        """Return the bytes of an object.

        Raises:
            OSError: it cannot be read.
        """
        with os_errors():
            return retried(partial(self._first_bytes, url), is_first=True)

    def read_small(self, url: str) -> bytes:
        """Return the bytes of an object that is probably small, in one request.

        Raises:
            AudioFileError: it cannot be read.
        """
        try:
            return retried(partial(self._read_small, url))
        except Exception as error:
            raise file_error(url, error) from error

    def write(self, url: str, data: bytes) -> None:
        """Write an object. Stores show all of it or nothing.

        Raises:
            OSError: it cannot be written.
        """
        with os_errors():
            system, path = self._at(url)
            retried(partial(system.pipe_file, path, data))

    def exists(self, url: str) -> bool:
        """Return whether there is such an object or folder.

        Raises:
            FilesError: the store does not answer.
        """
        with files_errors(url):
            system, path = self._at(url)
            return bool(retried(partial(system.exists, path)))

    def is_folder(self, url: str) -> bool | None:
        """Return whether a URL names a folder; False for an object, None if it names neither.

        Raises:
            FilesError: the store does not answer.
        """
        with files_errors(url):
            try:
                info = retried(partial(self._first_info, url), is_first=True)
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
        with files_errors(folder):
            system, path = self._at(folder)
            if parts.protocols[-1].startswith("http"):
                path = path.rstrip("/") + "/"
            found = retried(partial(system.find, path))
            system.invalidate_cache()  # so that a later look at an object is not a look at this list
        yield from self._entries(found, parts, path.strip("/"))

    def matching(self, glob: str) -> Iterator[Entry]:
        """Yield the objects that a glob matches, and those below folders that it matches. Raises as `below`."""
        parts = split_url(glob)
        with files_errors(glob):
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

    def _first_info(self, url: str) -> Any:
        system, path = self._reached(url)
        return system.info(path)

    def _first_bytes(self, url: str) -> bytes:
        system, path = self._reached(url)
        data: bytes = system.cat_file(path)
        return data

    def _reached(self, url: str) -> tuple[Any, str]:
        """Return the same as `_at`; raise if the store cannot be reached. The libraries take a minute to find out."""
        system, path = self._at(url)
        ranges = self._ranges_of(url, system)
        if ranges is not None:
            ranges.reach(path)
        return system, path

    def _state(self, url: str) -> Stamp:
        """Return the state of an object, from the answer to a request for its first byte if that holds it."""
        system, path = self._at(url)
        ranges = self._ranges_of(url, system)
        if ranges is not None:
            try:
                _, etag, size, modified = ranges.get(path, 0, 1)
            except Exception as error:
                if http_status(error) != NO_SUCH_RANGE:  # an empty object
                    raise
            else:
                if etag is not None and size is not None:
                    return Stamp(size, nanoseconds(modified), digest_of(etag))
        return stamp_of(url, system.info(path))

    def _read_small(self, url: str) -> bytes:
        system, path = self._at(url)
        ranges = self._ranges_of(url, system)
        if ranges is not None:
            try:
                data, _, size, _ = ranges.get(path, 0, _SMALL_BYTES)
            except Exception as error:
                if http_status(error) != NO_SUCH_RANGE:
                    raise
            else:
                if size == len(data):
                    return data
        found: bytes = system.cat_file(path)
        return found

    def _read(self, url: str, start: int, stop: int) -> tuple[bytes, int | None]:
        system, path = self._at(url)
        ranges = self._ranges_of(url, system)
        if ranges is not None:
            data, etag, *_ = ranges.get(path, start, stop)
        else:
            data, etag = system.cat_file(path, start=start, end=stop), None
        if len(data) > stop - start:  # a web server that knows no ranges gives the whole
            data = data[start:stop]
        if len(data) < stop - start:
            raise CutOffError(f"only {len(data)} of {stop - start} bytes from byte {start} on came")
        return data, None if etag is None else digest_of(etag)

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

    def _ranges_of(self, url: str, system: Any) -> Ranges | None:
        """Return the ranges of a file system that tell the state of an object; None if it has none."""
        protocol = url.partition("://")[0]
        if protocol not in ("s3", "s3a", "http", "https"):
            return None
        found = self._ranges.get(id(system))
        if found is None:
            new = HttpRanges(system) if protocol.startswith("http") else S3Ranges(system, defaults("http"))
            found = self._ranges.setdefault(id(system), new)
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
