"""Serve a folder by HTTP at little cost: `python docs/range_server.py FOLDER [--latency MS]`.

A web server with ranges, etags and lists of folders, in one thread: the kernel copies the bytes of files into sockets
(`sendfile`). It also lists objects as S3 does, with the folders in FOLDER as buckets; it checks no signatures. It
answers every request after an added latency, any number of requests at once. It is for measurements on the machine
itself, and knows no more of HTTP and S3 than these need. The first line of the output is the port.
"""

from __future__ import annotations

import heapq
import os
import re
import selectors
import socket
import sys
import time
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import click

_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)", re.IGNORECASE)


class Connection:
    """A connection with a client: the request that it sends, and the rest of the answer that it gets."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.request = b""
        self.answer = b""
        self.file = -1
        self.place = self.stop = 0

    def send(self) -> bool:
        """Send what the connection takes; return whether the answer is complete."""
        try:
            if self.answer:
                self.answer = self.answer[
                    self.socket.send(self.answer, socket.MSG_MORE if self.place < self.stop else 0) :
                ]
            while not self.answer and self.place < self.stop:
                sent = os.sendfile(self.socket.fileno(), self.file, self.place, self.stop - self.place)
                if not sent:
                    break
                self.place += sent
        except BlockingIOError:
            pass
        return not self.answer and self.place >= self.stop


class RangeServer:
    """The server of a folder."""

    def __init__(self, folder: Path, latency_seconds: float) -> None:
        self._folder, self._latency = folder, latency_seconds
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._due: list[tuple[float, int, Connection]] = []
        self._number = count()
        self._files: dict[str, tuple[int, int, str]] = {}  # descriptor, size, etag

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self._listening.getsockname()[1])

    def run(self) -> None:
        """Answer requests without end."""
        while True:
            wait = max(self._due[0][0] - time.monotonic(), 0) if self._due else None
            for key, _ in self._selector.select(wait):
                if key.fileobj is self._listening:
                    connected, _ = self._listening.accept()
                    connected.setblocking(False)
                    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(connected, selectors.EVENT_READ, Connection(connected))
                else:
                    self._go_on(key.data)
            while self._due and self._due[0][0] <= time.monotonic():
                connection = heapq.heappop(self._due)[2]
                self._prepare(connection)
                self._send(connection)

    def _go_on(self, connection: Connection) -> None:
        try:
            if connection.answer or connection.place < connection.stop:
                self._send(connection)
                return
            received = connection.socket.recv(1 << 16)
        except ConnectionError:
            received = b""
        if not received:
            self._selector.unregister(connection.socket)
            connection.socket.close()
            return
        connection.request += received
        if connection.request.endswith(b"\r\n\r\n"):
            heapq.heappush(self._due, (time.monotonic() + self._latency, next(self._number), connection))

    def _send(self, connection: Connection) -> None:
        try:
            events = selectors.EVENT_READ if connection.send() else selectors.EVENT_WRITE
        except ConnectionError:
            connection.answer, connection.stop = b"", 0
            return
        if self._selector.get_key(connection.socket).events != events:
            self._selector.modify(connection.socket, events, connection)

    def _prepare(self, connection: Connection) -> None:
        """Write the head of the answer, and note the bytes of the file that follow it."""
        request, connection.request = connection.request, b""
        method, target, _ = request.split(b" ", 2)
        path = unquote(target.decode().partition("?")[0]).strip("/")
        connection.place = connection.stop = 0
        query = target.decode().partition("?")[2]
        if "list-type=2" in query:
            body = self._listed(path, parse_qs(query))
            connection.answer = _head("200 OK", len(body), "Content-Type: application/xml") + body
            return
        if path not in self._files:
            place = self._folder / path
            if place.is_dir():
                if path and not target.endswith(b"/"):
                    connection.answer = _head("301 Moved Permanently", 0, f"Location: /{path}/")
                    return
                names = (each.name + "/" * each.is_dir() for each in sorted(place.iterdir()))
                body = "".join(f'<a href="/{path}/{name}">{name}</a>\n' for name in names).encode()
                connection.answer = _head("200 OK", len(body), "Content-Type: text/html") + body * (method == b"GET")
                return
            if not place.is_file():
                connection.answer = _head("404 Not Found", 0)
                return
            state = place.stat()
            etag = f"{state.st_size:x}-{state.st_mtime_ns:x}"
            self._files[path] = os.open(place, os.O_RDONLY), state.st_size, etag
        connection.file, size, etag = self._files[path]
        wanted = _RANGE.search(request)
        start, stop = 0, size
        if wanted:
            start, stop = int(wanted[1]), min(int(wanted[2]) + 1, size) if wanted[2] else size
        status = f"206 Partial Content\r\nContent-Range: bytes {start}-{stop - 1}/{size}" if wanted else "200 OK"
        connection.answer = _head(status, stop - start, f'ETag: "{etag}"', "Accept-Ranges: bytes")
        if method == b"GET":
            connection.place, connection.stop = start, stop

    def _listed(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        """Return the objects of a bucket that have a prefix, all in one answer."""
        root, prefix = self._folder / bucket, query.get("prefix", [""])[0]
        keys = sorted(each.relative_to(root).as_posix() for each in root.rglob("*") if each.is_file())
        rows = []
        for key in keys:
            if key.startswith(prefix):
                state = (root / key).stat()
                rows.append(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                    f'<ETag>"{state.st_size:x}-{state.st_mtime_ns:x}"</ETag><Size>{state.st_size}</Size></Contents>'
                )
        head = (
            f"<ListBucketResult><Name>{bucket}</Name><KeyCount>{len(rows)}</KeyCount><IsTruncated>false</IsTruncated>"
        )
        return f"{head}{''.join(rows)}</ListBucketResult>".encode()


def _head(status: str, length: int, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {length}", *lines, "", ""]).encode()


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--latency", default=0.0, show_default=True, help="Added latency, ms.")
def main(folder: Path, latency: float) -> None:
    """Run the server."""
    server = RangeServer(folder, latency / 1_000)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.run()


if __name__ == "__main__":
    main()
