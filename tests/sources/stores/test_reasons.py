"""Stores that cannot be reached, or refuse: the reason comes out, and soon."""

import socket
import time

import pytest
from web_server import WebServer

from flowmo_data import AudioFileError, AudioIndex, FilesError, FilesNotFoundError
from flowmo_data.sources import Store, find_sources, source_at
from flowmo_data.sources.stores import retrying
from flowmo_data.sources.stores.reasons import in_words

REFUSED = "the connection is refused: is the server running, and is its port right"
UNKNOWN_HOST = "the host of its URL is not known .*is its name right"


@pytest.fixture(scope="module")
def nobody():
    """A port of this machine at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def quick():
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("name", ["music", "music/a.mp3", "music/*.mp3"])
def test_a_web_server_that_is_not_there(nobody, quick, name):
    with pytest.raises(FilesError, match=f"its store cannot be listed .{REFUSED}.*; check the URL") as caught:
        find_sources(f"http://127.0.0.1:{nobody}/{name}")
    assert not isinstance(caught.value, FilesNotFoundError)


def test_a_host_that_is_not_known(quick):
    with pytest.raises(FilesError, match=f"its store cannot be listed .{UNKNOWN_HOST}"):
        find_sources("http://no-such-host.invalid/music")


def test_an_s3_server_that_is_not_there(nobody, quick):
    pytest.importorskip("s3fs", reason="the extra remote is not installed")
    for endpoint, reason in ((f"127.0.0.1:{nobody}", REFUSED), ("no-such-host.invalid", UNKNOWN_HOST)):
        options = {"key": "a", "secret": "b", "client_kwargs": {"endpoint_url": f"http://{endpoint}"}}
        with pytest.raises(FilesError, match=f"s3://bucket/music.*its store cannot be listed .{reason}"):
            find_sources("s3://bucket/music", store=Store(options))


def test_an_index_on_a_web_server_that_is_not_there(nobody, quick):
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    with pytest.raises(FilesError, match=f"music.parquet.*{REFUSED}"):
        AudioIndex.load(f"http://127.0.0.1:{nobody}/music.parquet")


def test_a_certificate_that_is_not_trusted(tmp_path, quick):
    pytest.importorskip("cryptography", reason="it comes with moto, which is for tests")
    from certificates import make_certificate

    with WebServer(make_certificate(tmp_path / "trusted.pem")).running() as web:
        for act in (find_sources, source_at):
            with pytest.raises((FilesError, AudioFileError), match=r"no secure connection can be made \(self.signed"):
                act(f"{web.root}/a.mp3")


def test_a_server_without_tls(quick):
    with WebServer().running() as web, pytest.raises(FilesError, match="no secure connection can be made"):
        find_sources(web.root.replace("http:", "https:") + "/a.mp3")


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_access(quick, status):
    with WebServer().running() as web:
        web.files["a.mp3"] = b"x"
        web.fault = lambda _: status
        with pytest.raises(FilesError, match=f"its store cannot be listed .access is refused: HTTP status {status}"):
            find_sources(f"{web.root}/a.mp3")
        with pytest.raises(AudioFileError, match=f"does not give it .access is refused: HTTP status {status}"):
            source_at(f"{web.root}/a.mp3")


def test_a_server_that_goes_away_is_asked_again(monkeypatch):
    """Only the first question is given up soon: a server may be started anew during a training."""
    monkeypatch.setattr(retrying, "_FIRST_SECONDS", 0)
    monkeypatch.setattr(retrying, "DELAYS", (0, 0, 0))
    calls = []

    def call():
        calls.append(1)
        raise ConnectionRefusedError(111, "Connection refused")

    for is_first, expected in ((True, 1), (False, 4)):
        calls.clear()
        with pytest.raises(ConnectionRefusedError, match="Connection refused"):
            retrying.retried(call, is_first=is_first)
        assert len(calls) == expected


def test_other_reasons_are_those_of_the_libraries():
    assert in_words(ValueError("a " * 400)) == f"ValueError: {'a ' * 150}..."
    assert in_words(TimeoutError()) == "its server does not answer in time"
