import asyncio
import errno
from http.client import IncompleteRead

import pytest

from flowmo_data.sources.stores import retrying
from flowmo_data.sources.stores.retrying import CutOffError, is_missing, is_transient, retried


class AiohttpError(Exception):
    def __init__(self, status):
        self.status = status


class BotocoreError(Exception):
    def __init__(self, status):
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


def caused_by(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AiohttpError(503), True),
        (AiohttpError(429), True),
        (AiohttpError(403), False),
        (BotocoreError(503), True),
        (BotocoreError(404), False),
        (caused_by(FileNotFoundError(), AiohttpError(503)), True),  # fsspec's HTTP says so after a HEAD
        (caused_by(FileNotFoundError(), AiohttpError(404)), False),
        (OSError(errno.EBUSY, "SlowDown"), True),
        (TimeoutError(), True),
        (asyncio.TimeoutError(), True),
        (ConnectionResetError(), True),
        (IncompleteRead(b""), True),
        (CutOffError(), True),
        (PermissionError(), False),
        (ValueError(), False),
    ],
    ids=repr,
)
def test_what_may_succeed_later(error, expected):
    assert is_transient(error) is expected


def test_what_is_missing():
    assert is_missing(FileNotFoundError())
    assert not is_missing(caused_by(FileNotFoundError(), AiohttpError(503)))
    assert not is_missing(caused_by(FileNotFoundError(), AiohttpError(403)))
    assert not is_missing(PermissionError())


def test_waits_get_longer(monkeypatch):
    waits = []
    monkeypatch.setattr(retrying.time, "sleep", waits.append)

    def call():
        if len(waits) < len(retrying.DELAYS):
            raise TimeoutError
        return "answer"

    assert retried(call) == "answer"
    assert all(delay / 2 <= wait <= delay for wait, delay in zip(waits, retrying.DELAYS, strict=True))


def test_what_stays_broken_is_raised_in_the_end(monkeypatch):
    monkeypatch.setattr(retrying, "DELAYS", (0, 0))
    calls = []

    def call():
        calls.append(1)
        raise TimeoutError("as before")

    with pytest.raises(TimeoutError, match="as before"):
        retried(call)
    assert len(calls) == 3


def test_what_will_not_change_is_raised_at_once():
    with pytest.raises(PermissionError, match="no"):
        retried(lambda: (_ for _ in ()).throw(PermissionError("no")))
