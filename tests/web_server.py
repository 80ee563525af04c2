"""A web server with ranges, etags and lists of folders, that misbehaves on demand."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    """A request that came."""

    method: str
    path: str
    byte_range: tuple[int, int] | None
    """half-open"""
    headers: Mapping[str, str]


class WebServer:
    """The server: its files, what it was asked for, and what it does wrong."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.fault: Callable[[Request], str | int | None] = lambda _: None
        """gives an HTTP status to answer with, or "cut off", "hang up", "slow", "no ranges", "chunked",
        "redirect"; None for a good answer"""
        self.delay = 0.0
        """seconds before every answer"""
        self.has_etags = True
        self.num_connections = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": self}))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.root = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[WebServer]:
        """Run until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def fail_times(self, times: int, fault: str | int, method: str = "GET") -> None:
        """Do something wrong the next few times."""
        left = [times]

        def decide(request: Request) -> str | int | None:
            if request.method != method or not left[0]:
                return None
            left[0] -= 1
            return fault

        self.fault = decide


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: WebServer

    def setup(self) -> None:
        super().setup()
        self.web.num_connections += 1

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        web, path = self.web, self.path.lstrip("/").partition("?")[0]
        ends = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        byte_range = (int(ends[1]), int(ends[2]) + 1) if ends else None
        request = Request(self.command, path, byte_range, dict(self.headers))
        web.requests.append(request)
        time.sleep(web.delay)
        fault = web.fault(request)
        if isinstance(fault, int):
            self._send(fault, b"", with_body)
        elif path in web.files:
            data = web.files[path]
            etag = {"ETag": f'"{hashlib.md5(data).hexdigest()}"'} if web.has_etags else {}
            if fault == "redirect":
                self._send(302, b"", with_body, {"Location": f"/moved/{path}"})
            elif fault == "chunked" and byte_range:
                self._send_chunked(data, *byte_range)
            elif fault == "hang up":
                self.close_connection = True
                self.connection.close()
            elif fault == "slow":
                time.sleep(1)
                self.close_connection = True
            elif byte_range and fault != "no ranges" and byte_range[0] >= len(data):
                self._send(416, b"", with_body, {"Content-Range": f"bytes */{len(data)}"})
            elif byte_range and fault != "no ranges":
                start, stop = byte_range[0], min(byte_range[1], len(data))
                place = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
                self._send(206, data[start:stop], with_body, {**etag, **place}, cut_off=fault == "cut off")
            else:
                self._send(200, data, with_body, etag, cut_off=fault == "cut off")
        elif any(name.startswith(path.rstrip("/") + "/" if path else "") for name in web.files):
            self._list(path, with_body)
        else:
            self._send(404, b"", with_body)

    def _list(self, path: str, with_body: bool) -> None:
        folder = path.rstrip("/") + "/" if path else ""
        if path and not path.endswith("/"):
            self._send(301, b"", with_body, {"Location": f"/{folder}"})
            return
        rest = {name.removeprefix(folder) for name in self.web.files if name.startswith(folder)}
        names = sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in rest})
        links = "".join(f'<li><a href="{name}">{name}</a></li>' for name in names)
        self._send(200, f"<html>{links}</html>".encode(), with_body, {"Content-Type": "text/html"})

    def _send_chunked(self, data: bytes, start: int, stop: int) -> None:
        body = data[start:stop]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(data)}")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    def _send(
        self, status: int, body: bytes, with_body: bool, headers: dict[str, str] | None = None, *, cut_off: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body[: len(body) // 2] if cut_off else body)
        self.close_connection = self.close_connection or cut_off
