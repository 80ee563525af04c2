"""Repeat what a store says may succeed later."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

DELAYS = (0.1, 0.3, 0.9, 2.7, 8.1)
"""seconds before each repetition; each wait is between half of this and all of it, so that workers do not repeat
together"""
_STATUSES = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which a repetition may succeed"""
_ERRNOS = (
    errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE,
    errno.ENETUNREACH, errno.EHOSTUNREACH,
)  # fmt: skip
_NAMES = {
    "ClientConnectionError", "ClientPayloadError", "ServerDisconnectedError", "ClientOSError",  # aiohttp
    "ConnectionError", "HTTPClientError", "IncompleteReadError", "ResponseStreamingError",  # botocore
    "IncompleteRead", "ChunkedEncodingError", "Timeout", "TransportError", "RemoteProtocolError",  # others
}  # fmt: skip
"""classes of errors, or of their bases, of libraries that need not be installed"""


class CutOffError(Exception):
    """An answer with fewer bytes than were asked for."""


def retried(call: Callable[[], T]) -> T:
    """Return the result of a call. If the store cannot answer now, call again, after longer and longer waits.

    Raises:
        Exception: the last failure.
    """
    chance = random.Random()
    for delay in DELAYS:
        try:
            return call()
        except Exception as error:
            if not is_transient(error):
                raise
            time.sleep(delay * chance.uniform(0.5, 1))
    return call()


def is_transient(error: BaseException) -> bool:
    """Return whether a call that failed may succeed later. The first error that shows it decides: its causes follow."""
    for each in _causes(error):
        if isinstance(each, (TimeoutError, ConnectionError, CutOffError)) or (
            isinstance(each, OSError) and each.errno in _ERRNOS
        ):
            return True
        if not _NAMES.isdisjoint(base.__name__ for base in type(each).__mro__):
            return True
        status = http_status(each)
        if status is not None:
            return status in _STATUSES
    return False


def is_missing(error: BaseException) -> bool:
    """Return whether an error says that there is no such object, and not that the store cannot say."""
    statuses = [status for each in _causes(error) if (status := http_status(each)) is not None]
    return isinstance(error, FileNotFoundError) and set(statuses) <= {404, 410}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those that led to it: libraries translate errors."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status that an error holds, as aiohttp, requests and botocore keep it; None if there is none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = (
            getattr(response, "status_code", None) or getattr(error, "status", None) or getattr(error, "code", None)
        )
    return status if isinstance(status, int) and status >= 400 else None
