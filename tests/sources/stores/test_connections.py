"""Ranges of bytes over kept connections, from a real server, and what is left to aiohttp."""

import socket
import threading

import fsspec
import pytest
from web_server import WebServer

from flowmo_data.sources.stores.connections import Answer, Connections, StatusError
from flowmo_data.sources.stores.range_requests import HttpRanges
from flowmo_data.sources.stores.storage_options import defaults

pytest.importorskip("aiohttp", reason="the extra remote is not installed")
DATA = bytes(range(256)) * 1_000


@pytest.fixture
def web():
    with WebServer().running() as server:
        server.files = {"a.bin": DATA, "moved/a.bin": DATA}
        yield server


@pytest.fixture
def connections():
    return Connections(5, 5)


def test_an_answer_has_the_state_of_the_object(web, connections):
    answer = connections.get(f"{web.root}/a.bin", 1_000, 1_010, {})
    assert answer == Answer(DATA[1_000:1_010], answer.etag, len(DATA), None)
    assert answer.etag.startswith('"')
    assert connections.get(f"{web.root}/a.bin", len(DATA) - 5, len(DATA) + 5, {}).data == DATA[-5:]


def test_a_connection_is_kept_and_used_again(web, connections):
    for start in range(0, 50_000, 1_000):
        assert connections.get(f"{web.root}/a.bin", start, start + 90_000, {}).data == DATA[start : start + 90_000]
    assert web.num_connections == 1
    with pytest.raises(FileNotFoundError, match="none.bin$"):
        connections.get(f"{web.root}/none.bin?secret=1", 0, 10, {})
    web.fail_times(1, 503)
    with pytest.raises(StatusError, match="503 Service Unavailable"):
        connections.get(f"{web.root}/a.bin", 0, 10, {})
    assert web.num_connections == 1


def test_a_connection_that_the_server_has_ended_is_made_anew(web, connections):
    for _ in range(3):
        web.fail_times(1, "cut off")
        with pytest.raises(ConnectionResetError, match=r"the connection ended after \d+ of 100 bytes"):
            Connections(5, 5).get(f"{web.root}/a.bin", 0, 100, {})
        connections.get(f"{web.root}/a.bin", 0, 100, {})
        ((_, kept),) = connections._idle["http", web.root.removeprefix("http://")]
        kept.sock.shutdown(socket.SHUT_RDWR)
    assert web.num_connections == 6


def test_an_answer_in_chunks(web, connections):
    web.fail_times(2, "chunked")
    for _ in range(2):
        assert connections.get(f"{web.root}/a.bin", 1_000, 1_010, {}).data == DATA[1_000:1_010]


def test_threads_use_connections_of_their_own(web, connections):
    found = []

    def get(at):
        found.append(connections.get(f"{web.root}/a.bin", at, at + 9, {}).data)

    threads = [threading.Thread(target=get, args=[at]) for at in range(0, 160, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(DATA[at : at + 9] for at in range(0, 160, 10))


def test_a_server_that_does_not_answer(connections):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError, match="timed out"):
        Connections(5, 0.1).get(f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin", 0, 10, {})


@pytest.mark.parametrize("fault", ["redirect", "no ranges"])
def test_unusual_answers_are_left_to_aiohttp(web, fault):
    web.fault = lambda request: None if request.path.startswith("moved") else fault
    ranges = HttpRanges(fsspec.filesystem("http", **defaults("http"), skip_instance_cache=True))
    for number in range(6):
        data = ranges.get(f"{web.root}/a.bin", 1_000, 1_010).data
        assert data == (DATA if fault == "no ranges" else DATA[1_000:1_010])
        if number == 3:
            web.requests.clear()
    asked = [request for request in web.requests if request.path == "a.bin"]
    assert len(asked) == 2  # after a few of them, only aiohttp asks


@pytest.mark.parametrize(
    ("options", "is_plain"),
    [
        ({}, True),
        ({"headers": {"X-Own": "1"}}, True),
        ({"client_kwargs": {"headers": {"X-Own": "1"}}}, False),  # in place of the limits of time
        ({"client_kwargs": {"trust_env": True}}, False),
        ({"proxy": "http://127.0.0.1:1"}, False),
    ],
    ids=repr,
)
def test_options_that_only_aiohttp_knows_are_left_to_it(options, is_plain):
    ranges = HttpRanges(fsspec.filesystem("http", **{**defaults("http"), **options}, skip_instance_cache=True))
    assert (ranges._connections is not None) is is_plain


def test_headers_of_the_user_are_sent(web):
    options = {**defaults("http"), "headers": {"X-Own": "1"}}
    ranges = HttpRanges(fsspec.filesystem("http", **options, skip_instance_cache=True))
    assert ranges.get(f"{web.root}/a.bin", 0, 10).data == DATA[:10]
    assert web.requests[-1].headers["X-Own"] == "1"


def test_https(tmp_path, monkeypatch):
    pytest.importorskip("cryptography", reason="it comes with moto, which is for tests")
    from certificates import make_certificate

    with WebServer(make_certificate(tmp_path / "trusted.pem")).running() as web:
        web.files = {"a.bin": DATA}
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
        connections = Connections(5, 5)
        for start in (0, 90_000):
            assert connections.get(f"{web.root}/a.bin", start, len(DATA), {}).data == DATA[start:]
        assert web.num_connections == 1
