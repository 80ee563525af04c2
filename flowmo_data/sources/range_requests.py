"""Ranges of bytes by HTTP, each with its object's etag from the same answer.

fsspec gives the bytes alone, so a second request would have to ask whether the object is still the same. From S3, a
range comes by a signed URL, which is signed once for each object: an answer then costs a quarter of the processor time
that it costs through botocore.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources.retrying import http_status, is_missing, is_transient

_SIGNED_SECONDS = 3_600
"""time for which a URL is signed; it is used for half of that"""
_MOST_SIGNED = 10_000
"""signed URLs to keep, some 1 kB each"""
_MOST_REFUSALS = 3
"""refusals of signed URLs after which there are no more; one may come of keys that have expired"""
Answer = tuple[bytes, "str | None"]
"""bytes, and an etag if there is one"""


def get_range(system: Any, url: str, start: int, stop: int) -> Answer:
    """Return the bytes `[start, stop)` behind an HTTP URL; all bytes from a server that knows no ranges.

    Args:
        system: an `fsspec` file system for HTTP.
        url: the URL.
        start: first byte.
        stop: one past the last byte.

    Raises:
        FileNotFoundError: there is nothing at the URL.
        Exception: aiohttp's errors.
    """

    async def get() -> Answer:
        session = await system.set_session()
        options = dict(system.kwargs)
        headers = {**options.pop("headers", {}), "Range": f"bytes={start}-{stop - 1}"}
        async with session.get(system.encode_url(url), headers=headers, **options) as answer:
            if answer.status in (404, 410):
                raise FileNotFoundError(url)
            answer.raise_for_status()
            return await answer.read(), answer.headers.get("ETag")

    found: Answer = import_extra("fsspec.asyn", user="a URL").sync(system.loop, get)
    return found


class S3Ranges:
    """Ranges of bytes of objects in S3, by signed URLs; by botocore if the store refuses these.

    Args:
        system: an s3fs file system.
        http_options: options of the file system for HTTP.
    """

    def __init__(self, system: Any, http_options: dict[str, Any]) -> None:
        self._system = system
        implementation = import_extra("fsspec.implementations.http", user="s3://").HTTPFileSystem
        self._http = implementation(encoded=True, skip_instance_cache=True, **http_options)
        self._signed: dict[str, tuple[float, str]] = {}
        self._refusals = 0

    def get(self, path: str, start: int, stop: int) -> Answer:
        """Return the bytes `[start, stop)` of an object. Raises as the file systems do."""
        if self._refusals < _MOST_REFUSALS:
            try:
                return get_range(self._http, self._sign(path), start, stop)
            except Exception as error:
                if is_missing(error) or is_transient(error) or http_status(error) == 416:
                    raise
                self._signed.pop(path, None)
        answer = self._by_botocore(path, start, stop)
        self._refusals += 1  # what is signed is refused, and this is not
        return answer

    def _sign(self, path: str) -> str:
        now = time.monotonic()
        until, url = self._signed.get(path, (0.0, ""))
        if now < until:
            return url
        url = str(self._system.sign(path, expiration=_SIGNED_SECONDS))
        if len(self._signed) >= _MOST_SIGNED:
            with suppress(RuntimeError):  # another thread does the same
                self._signed = dict(_latter_half(self._signed))
        self._signed[path] = now + _SIGNED_SECONDS / 2, url
        return url

    def _by_botocore(self, path: str, start: int, stop: int) -> Answer:
        sync = import_extra("fsspec.asyn", user="s3://").sync
        bucket, key, version = self._system.split_path(path)
        named = {"Bucket": bucket, "Key": key, "Range": f"bytes={start}-{stop - 1}"}
        if version:
            named["VersionId"] = version
        answer = self._system.call_s3("get_object", **named)
        try:
            return sync(self._system.loop, answer["Body"].read), answer.get("ETag")
        finally:
            answer["Body"].close()


def _latter_half(signed: dict[str, tuple[float, str]]) -> Iterator[tuple[str, tuple[float, str]]]:
    for place, each in enumerate(signed.items()):
        if 2 * place >= len(signed):
            yield each
