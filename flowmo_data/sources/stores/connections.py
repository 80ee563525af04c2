"""Ranges of bytes by HTTP, over connections that are kept open. Any number of threads use them.

The connections are those of the standard library. An answer costs less than half of the processor time that it costs
through aiohttp, and no other thread has to wake up for it. There are no redirects, proxies or cookies here.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import weakref
from collections import Counter, deque
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

_MOST_UNUSUAL = 3
"""answers of a server that this module does not know, after which it is not asked any more"""
_MOST_IDLE = 128
"""open connections to keep that are not in use"""
_IDLE_SECONDS = 15.0
"""age at which such a connection is not used again: servers, and networks between, may have closed it"""
_REFUSAL_BYTES = 1 << 16
"""bytes of an answer with an error that are read, to use its connection again"""
_PLACE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Answer(NamedTuple):
    """A range of bytes of an object, and the state of the object."""

    data: bytes
    etag: str | None = None
    """None if the server gives none"""
    size: int | None = None
    """bytes of the whole object; None if the server does not give them"""
    modified: str | None = None
    """time of the last change, as the server writes it"""


class StatusError(Exception):
    """An answer whose status is an error."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status


class ConnectTimeoutError(TimeoutError):
    """A server that has not accepted a connection in time."""


class Connections:
    """Connections to any servers, for one process.

    Args:
        connect_seconds: time that a server has to accept a connection.
        answer_seconds: time that it has to send the next bytes.
    """

    def __init__(self, connect_seconds: float, answer_seconds: float) -> None:
        self._connect_seconds, self._answer_seconds = connect_seconds, answer_seconds
        self._idle: dict[tuple[str, str], deque[tuple[float, http.client.HTTPConnection]]] = {}
        self._unusual: Counter[tuple[str, str]] = Counter()
        weakref.finalize(self, _close, self._idle)

    def get(self, url: str, start: int, stop: int, headers: Mapping[str, str]) -> Answer | None:
        """Return the bytes `[start, stop)` behind a URL; fewer if the object ends before `stop`.

        Args:
            url: a URL of http or https, with all characters encoded that need it.
            start: first byte.
            stop: one past the last byte.
            headers: more headers of the request.

        Returns:
            None if the server answers in a way that this module does not know, with a redirect for instance.

        Raises:
            FileNotFoundError: there is nothing at the URL.
            StatusError: the server refuses.
            OSError: there is no connection, or it broke.
        """
        parts = urlsplit(url)
        server = parts.scheme, parts.netloc
        if self._unusual[server] >= _MOST_UNUSUAL:
            return None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        own = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "flowmo_data"}
        request = target, {**own, **headers, "Range": f"bytes={start}-{stop - 1}"}
        connection, is_new = self._connection(parts)
        try:
            try:
                response = _ask(connection, *request)
            except (ConnectionError, ssl.SSLError):
                if is_new:
                    raise
                connection.close()
                connection = self._connected(parts)  # the other one was kept too long
                response = _ask(connection, *request)
            found = _answer(url, response, start, stop)
        except (FileNotFoundError, StatusError):
            self._give_back(server, connection, may_be_kept=response.isclosed())
            raise
        except BaseException:
            connection.close()
            raise
        self._give_back(server, connection, may_be_kept=response.isclosed())
        if found is None:
            self._unusual[server] += 1
        return found

    def reach(self, url: str) -> None:
        """Raise `OSError` if no connection to the server of a URL can be made."""
        parts = urlsplit(url)
        self._give_back((parts.scheme, parts.netloc), self._connection(parts)[0], may_be_kept=True)

    def _give_back(self, server: tuple[str, str], connection: http.client.HTTPConnection, *, may_be_kept: bool) -> None:
        idle = self._idle_of(server)
        if may_be_kept and connection.sock is not None and len(idle) < _MOST_IDLE:
            idle.append((time.monotonic(), connection))
        else:
            connection.close()

    def _idle_of(self, server: tuple[str, str]) -> deque[tuple[float, http.client.HTTPConnection]]:
        found = self._idle.get(server)
        return self._idle.setdefault(server, deque()) if found is None else found

    def _connection(self, parts: SplitResult) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connection, and whether it is new."""
        idle = self._idle_of((parts.scheme, parts.netloc))
        while True:
            try:
                since, connection = idle.pop()
            except IndexError:
                return self._connected(parts), True
            if time.monotonic() - since < _IDLE_SECONDS:
                return connection, False
            connection.close()

    def _connected(self, parts: SplitResult) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.netloc, timeout=self._connect_seconds, context=self._tls)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=self._connect_seconds)
        try:
            connection.connect()
        except TimeoutError as error:
            raise ConnectTimeoutError(f"{parts.netloc}: {error}") from error
        connection.sock.settimeout(self._answer_seconds)
        return connection

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def _close(idle: dict[tuple[str, str], deque[tuple[float, http.client.HTTPConnection]]]) -> None:
    for each in idle.values():
        for _, connection in each:
            connection.close()


def _ask(connection: http.client.HTTPConnection, target: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """Send a request; return the head of the answer."""
    try:
        connection.request("GET", target, headers=headers)
        return connection.getresponse()
    except http.client.HTTPException as error:
        raise ConnectionResetError(f"the answer is not HTTP ({type(error).__name__}: {error})") from error


def _answer(url: str, response: http.client.HTTPResponse, start: int, stop: int) -> Answer | None:
    """Return the answer of a server if it is a range of bytes, or None if it is something else. Raises as `get`."""
    status = response.status
    if status >= http.client.BAD_REQUEST:
        response.read(_REFUSAL_BYTES)
        if status in (http.client.NOT_FOUND, http.client.GONE):
            raise FileNotFoundError(url.partition("?")[0])
        raise StatusError(status, response.reason)
    length = response.length
    if response.getheader("Content-Encoding") or (length is not None and length > stop - start):
        return None
    etag, modified = response.getheader("ETag"), response.getheader("Last-Modified")
    if status == http.client.OK and start == 0 and length is not None:  # the whole object is in the range
        return Answer(_body(response), etag, length, modified)
    place = _PLACE.fullmatch(response.getheader("Content-Range", ""))
    if status != http.client.PARTIAL_CONTENT or place is None or int(place[1]) != start or int(place[2]) >= stop:
        return None
    return Answer(_body(response), etag, int(place[3]), modified)


def _body(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read()
    except http.client.IncompleteRead as error:
        there = len(error.partial)
        raise ConnectionResetError(
            f"the connection ended after {there} of {there + (error.expected or 0)} bytes"
        ) from error
