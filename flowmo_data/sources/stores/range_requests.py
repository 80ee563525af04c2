"""Ranges of bytes of objects, each with the object's state from the same answer.

fsspec gives the bytes alone, so a second request would have to ask whether the object is still the same. From S3, a
range comes by a signed URL: an answer then costs a fraction of the processor time that it costs through botocore.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any, Protocol
from urllib.request import getproxies

from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources.stores.connections import Answer, Connections
from flowmo_data.sources.stores.retrying import http_status, is_missing, is_transient
from flowmo_data.sources.stores.signing import Signer

NO_SUCH_RANGE = 416
"""the HTTP status if a range begins past the end of an object, as any range of an empty one does"""
_MOST_REFUSALS = 3
"""refusals of signed URLs after which there are no more; one may come of keys that have expired"""


class Ranges(Protocol):
    """A source of ranges of bytes."""

    def get(self, path: str, start: int, stop: int) -> Answer:
        """Return the bytes `[start, stop)` of an object; all bytes from a web server that knows no ranges.

        Args:
            path: the path of the object in its file system.
            start: first byte.
            stop: one past the last byte.

        Raises:
            FileNotFoundError: there is no such object.
            Exception: errors of the libraries below.
        """

    def reach(self, path: str) -> None:
        """Raise `OSError` if it is known that no connection to the store of an object can be made."""


class HttpRanges:
    """Ranges of bytes behind URLs of HTTP: `Ranges`. What is not plain goes through aiohttp.

    Args:
        system: an `fsspec` file system for HTTP.
    """

    def __init__(self, system: Any) -> None:
        self._system = system
        self._connections, self._headers = _plain_connections(system)

    def get(self, path: str, start: int, stop: int) -> Answer:
        """See `Ranges.get`. `path` is a URL."""
        url = self._system.encode_url(path)
        if self._connections is not None and url.raw_user is None:
            answer = self._connections.get(str(url.with_fragment(None)), start, stop, self._headers)
            if answer is not None:
                return answer
        return self._by_aiohttp(url, start, stop)

    def reach(self, path: str) -> None:
        """See `Ranges.reach`."""
        url = self._system.encode_url(path)
        if self._connections is not None and url.raw_user is None:
            self._connections.reach(str(url))

    def _by_aiohttp(self, url: Any, start: int, stop: int) -> Answer:
        async def get() -> Answer:
            session = await self._system.set_session()
            options = dict(self._system.kwargs)
            headers = {**options.pop("headers", {}), "Range": f"bytes={start}-{stop - 1}"}
            async with session.get(url, headers=headers, **options) as answer:
                if answer.status in (404, 410):
                    raise FileNotFoundError(str(url))
                answer.raise_for_status()
                return Answer(await answer.read(), answer.headers.get("ETag"))

        found: Answer = import_extra("fsspec.asyn", user="a URL").sync(self._system.loop, get)
        return found


def _plain_connections(system: Any) -> tuple[Connections | None, dict[str, str]]:
    """Return connections with the options of a file system, and its headers; None if it has other options."""
    implementation = import_extra("fsspec.implementations.http", user="a URL")
    timeout = system.client_kwargs.get("timeout")
    headers = {**system.client_kwargs.get("headers", {}), **system.kwargs.get("headers", {})}
    is_plain = (
        set(system.client_kwargs) <= {"timeout", "headers"}
        and set(system.kwargs) <= {"headers"}
        and system.get_client is implementation.get_client
        and getattr(timeout, "total", 0) is None
        and None not in (timeout.sock_connect, timeout.sock_read)
    )
    return (Connections(timeout.sock_connect, timeout.sock_read) if is_plain else None), headers


class S3Ranges:
    """Ranges of bytes of objects in S3, by signed URLs; by botocore if the store refuses these: `Ranges`.

    Args:
        system: an s3fs file system.
        http_options: options of the file system for HTTP.
    """

    def __init__(self, system: Any, http_options: dict[str, Any]) -> None:
        self._system = system
        implementation = import_extra("fsspec.implementations.http", user="s3://").HTTPFileSystem
        self._http = HttpRanges(implementation(encoded=True, skip_instance_cache=True, **http_options))
        self._signer = Signer(system)
        self._refusals = 0 if _is_direct(system) else _MOST_REFUSALS

    def get(self, path: str, start: int, stop: int) -> Answer:
        """See `Ranges.get`."""
        if self._refusals >= _MOST_REFUSALS:
            return self._by_botocore(path, start, stop)
        try:
            return self._http.get(self._signer.sign(path), start, stop)
        except Exception as error:
            if is_missing(error) or is_transient(error) or http_status(error) == NO_SUCH_RANGE:
                raise
            is_first = self._signer.forget(path)
        answer = self._by_botocore(path, start, stop)
        self._refusals += is_first  # what is signed is refused, and this is not
        return answer

    def reach(self, path: str) -> None:
        """See `Ranges.reach`. botocore checks certificates."""
        if self._refusals < _MOST_REFUSALS:
            self._system.connect()
            sync = import_extra("fsspec.asyn", user="s3://").sync
            client = sync(self._system.loop, self._system.get_s3, self._system.split_path(path)[0])
            with suppress(ssl.SSLError):
                self._http.reach(client.meta.endpoint_url)

    def _by_botocore(self, path: str, start: int, stop: int) -> Answer:
        sync = import_extra("fsspec.asyn", user="s3://").sync
        bucket, key, version = self._system.split_path(path)
        named = {"Bucket": bucket, "Key": key, "Range": f"bytes={start}-{stop - 1}", **self._system.req_kw}
        if version:
            named["VersionId"] = version
        answer = self._system.call_s3("get_object", **named)
        try:
            return Answer(sync(self._system.loop, answer["Body"].read), answer.get("ETag"))
        finally:
            answer["Body"].close()


def _is_direct(system: Any) -> bool:
    """Return whether a signed URL is all that a store needs: no proxy, certificate or header."""
    own = {*system.config_kwargs, *system.client_kwargs} & {"proxies", "verify", "client_cert"}
    return not own and not system.requester_pays and not getproxies().keys() & {"http", "https", "all"}
