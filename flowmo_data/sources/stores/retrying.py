"""Repeat what a store says may succeed later."""

from __future__ import annotations

import errno
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

DELAYS = (0.1, 0.3, 0.9, 2.7, 8.1)
"""seconds before each repetition; each wait is between half of this and all of it, so that workers do not repeat
together"""
_FIRST_SECONDS = 0.3
"""time after which a store that is asked for the first time, and to which no connection can be made, is given up: its
address is probably wrong"""
_STATUSES = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which a repetition may succeed"""
_ERRNOS = (
    errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE,
    errno.ENETUNREACH, errno.EHOSTUNREACH,
)  # fmt: skip
_NAMES = {
    "ClientConnectionError", "ClientPayloadError", "ServerDisconnectedError", "ClientOSError",  # aiohttp
    "ConnectionError", "HTTPClientError", "IncompleteReadError", "ResponseStreamingError",  # botocore
    "IncompleteRead", "ChunkedEncodingError", "Timeout", "TimeoutError", "TransportError", "RemoteProtocolError",
}  # fmt: skip
"""classes of errors, or of their bases, of libraries that need not be installed"""
_UNREACHABLE_NAMES = {
    "ClientConnectorError", "ConnectionTimeoutError",  # aiohttp
    "EndpointConnectionError", "ConnectTimeoutError",  # botocore
    "ConnectError", "ConnectTimeout", "NewConnectionError", "NameResolutionError",  # others
}  # fmt: skip


class CutOffError(Exception):
    """An answer with fewer bytes than were asked for."""


def retried(call: Callable[[], T], *, is_first: bool = False) -> T:
    """Return the result of a call. If the store cannot answer now, call again, after longer and longer waits.

    Args:
        call: the call.
        is_first: whether this may be the first call to the store: if no connection to it can be made, give up sooner.

    Raises:
        Exception: the last failure.
    """
    begun = time.monotonic()
    for delay in DELAYS:
        try:
            return call()
        except Exception as error:
            if not is_transient(error):
                raise
            if is_first and time.monotonic() - begun > _FIRST_SECONDS and is_unreachable(error):
                raise
            time.sleep(delay * random.SystemRandom().uniform(0.5, 1))  # the global state is the user's
    return call()


def is_transient(error: BaseException) -> bool:
    """Return whether a call that failed may succeed later. The first error that shows it decides: its causes follow."""
    for each in causes(error):
        if is_untrusted(each):
            return False
        if isinstance(each, (TimeoutError, ConnectionError, CutOffError, socket.gaierror)) or (
            isinstance(each, OSError) and each.errno in _ERRNOS
        ):
            return True
        if not _NAMES.isdisjoint(base.__name__ for base in type(each).__mro__):
            return True
        status = http_status(each)
        if status is not None:
            return status in _STATUSES
    return False


def is_unreachable(error: BaseException) -> bool:
    """Return whether a call failed because no connection could be made."""
    return any(
        isinstance(each, (ConnectionRefusedError, socket.gaierror))
        or (isinstance(each, OSError) and each.errno in (errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH))
        or not _UNREACHABLE_NAMES.isdisjoint(base.__name__ for base in type(each).__mro__)
        for each in causes(error)
    )


def is_untrusted(error: BaseException) -> bool:
    """Return whether an error is about a certificate, or about TLS with a server that does not speak it."""
    return isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))


def is_missing(error: BaseException) -> bool:
    """Return whether an error says that there is no such object, and not that the store cannot say."""
    if not isinstance(error, FileNotFoundError):
        return False
    for each in causes(error):
        status = http_status(each)
        if status is not None:
            return status in (404, 410)
        if not isinstance(each, FileNotFoundError) and (is_transient(each) or isinstance(each, ssl.SSLError)):
            return False
    return True


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those that led to it: libraries translate errors."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
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
