"""Ranges of bytes by HTTP/1.1, over connections that are kept open. Any number of threads use them.

An answer costs a third of the processor time that it costs through aiohttp, and no other thread has to wake up for it.
This module knows what ranges need, and no more: no redirects, proxies, cookies or compression.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
import weakref
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

_MOST_UNUSUAL = 3
"""answers of a server that this module does not know, after which it is not asked any more"""
_MOST_IDLE = 128
"""open connections to keep that nobody uses now"""
_IDLE_SECONDS = 15.0
"""age at which such a connection is not used again: servers, and networks between, end it without a word"""
_HEAD_BYTES = 1 << 14
"""bytes that an answer may have before its body"""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ?([^\r\n]*)")
_HEADER = re.compile(rb"\r\n([!-9;-~]+):[ \t]*([^\r\n]*)")
_PLACE = re.compile(r"bytes (\d+)-\d+/(\d+)")
Headers = dict[bytes, str]
"""headers of an answer, by names in lower case"""


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
    """An answer with a status that tells of a failure."""

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
        self._idle: dict[tuple[str, str], deque[tuple[float, socket.socket]]] = {}
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
        request = _request(parts, start, stop, headers)
        connection, is_new = self._connection(parts)
        try:
            try:
                connection.sendall(request)
                answer = _received(connection, stop - start)
            except (ConnectionError, ssl.SSLError):
                if is_new:
                    raise
                connection.close()
                connection = self._connected(parts)  # the other one was kept too long
                connection.sendall(request)
                answer = _received(connection, stop - start)
        except BaseException:
            connection.close()
            raise
        head, body, may_be_kept = answer
        self._give_back(server, connection, may_be_kept=may_be_kept)
        found = _checked(url, head, body, start, stop)
        if found is None:
            self._unusual[server] += 1
        return found

    def reach(self, url: str) -> None:
        """Raise `OSError` if no connection to the server of a URL can be made."""
        parts = urlsplit(url)
        self._give_back((parts.scheme, parts.netloc), self._connection(parts)[0], may_be_kept=True)

    def _give_back(self, server: tuple[str, str], connection: socket.socket, *, may_be_kept: bool) -> None:
        idle = self._idle_of(server)
        if may_be_kept and len(idle) < _MOST_IDLE:
            idle.append((time.monotonic(), connection))
        else:
            connection.close()

    def _idle_of(self, server: tuple[str, str]) -> deque[tuple[float, socket.socket]]:
        found = self._idle.get(server)
        return self._idle.setdefault(server, deque()) if found is None else found

    def _connection(self, parts: SplitResult) -> tuple[socket.socket, bool]:
        """Return a connection, and whether it is new."""
        idle = self._idle_of((parts.scheme, parts.netloc))
        with suppress(IndexError):
            while True:
                since, connection = idle.pop()
                if time.monotonic() - since < _IDLE_SECONDS:
                    return connection, False
                connection.close()
        return self._connected(parts), True

    def _connected(self, parts: SplitResult) -> socket.socket:
        assert parts.hostname is not None
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            connection = socket.create_connection((parts.hostname, port), self._connect_seconds)
        except TimeoutError as error:
            raise ConnectTimeoutError(f"{parts.netloc}: {error}") from error
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if parts.scheme == "https":
                connection = self._tls.wrap_socket(connection, server_hostname=parts.hostname)
            connection.settimeout(self._answer_seconds)
        except BaseException:
            connection.close()
            raise
        return connection

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


def _close(idle: dict[tuple[str, str], deque[tuple[float, socket.socket]]]) -> None:
    for each in idle.values():
        for _, connection in each:
            connection.close()


def _request(parts: SplitResult, start: int, stop: int, headers: Mapping[str, str]) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = {"Host": parts.netloc, "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "flowmo_data"}
    lines = {**own, **headers, "Range": f"bytes={start}-{stop - 1}"}
    return "\r\n".join([f"GET {target} HTTP/1.1", *map(": ".join, lines.items()), "", ""]).encode("latin-1")


class _Head(NamedTuple):
    status: int
    reason: str
    headers: Headers


def _received(connection: socket.socket, num_bytes: int) -> tuple[_Head, bytes | None, bool]:
    """Return the head of an answer, its body, and whether the connection may be used again.

    The body is None if its length is not given beforehand, or is not one that was asked for.
    """
    buffer = bytearray(_HEAD_BYTES + num_bytes)
    view, filled, stop = memoryview(buffer), 0, -1
    while stop < 0:
        came = connection.recv_into(view[filled:])
        if not came or filled == len(buffer):
            raise ConnectionResetError("the connection ended before the answer")
        filled += came
        stop = buffer.find(b"\r\n\r\n", 0, filled)
    head = _head(bytes(view[:stop]))
    begin, length = stop + 4, head.headers.get(b"content-length", "")
    if b"transfer-encoding" in head.headers or b"content-encoding" in head.headers or not length.isdigit():
        return head, None, False
    end = begin + int(length)
    if end > len(buffer):
        return head, None, False
    while filled < end:
        came = connection.recv_into(view[filled:end])
        if not came:
            raise ConnectionResetError(f"the connection ended after {filled - begin} of {length} bytes")
        filled += came
    is_kept = filled == end and head.headers.get(b"connection", "keep-alive").lower() == "keep-alive"
    return head, bytes(view[begin:end]), is_kept


def _head(text: bytes) -> _Head:
    status = _STATUS.match(text)
    if status is None:
        raise ConnectionResetError(f"the answer is not HTTP ({text[:40]!r})")
    headers = {name.lower(): value.decode("latin-1") for name, value in _HEADER.findall(text, status.end())}
    if text.startswith(b"HTTP/1.0"):
        headers.setdefault(b"connection", "close")
    return _Head(int(status[1]), status[2].decode("latin-1"), headers)


def _checked(url: str, head: _Head, body: bytes | None, start: int, stop: int) -> Answer | None:
    """Return the answer of a server if it is a range of bytes, or None if it is something else. Raises as `get`."""
    if head.status in (404, 410):
        raise FileNotFoundError(url.partition("?")[0])
    if head.status >= 400:
        raise StatusError(head.status, head.reason)
    if body is None:
        return None
    etag, modified = head.headers.get(b"etag"), head.headers.get(b"last-modified")
    if head.status == 200 and start == 0 and len(body) <= stop:  # the whole object is in the range
        return Answer(body, etag, len(body), modified)
    place = _PLACE.fullmatch(head.headers.get(b"content-range", ""))
    if head.status != 206 or place is None or int(place[1]) != start or len(body) > stop - start:
        return None
    return Answer(body, etag, int(place[2]), modified)
