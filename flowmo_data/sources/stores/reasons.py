"""The reasons for which a store gives nothing, in words, and the errors with them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from flowmo_data.errors import AudioFileError, FilesError, FlowmoDataError
from flowmo_data.runtime.resources import SHORT_OF, out_of
from flowmo_data.sources.stores.retrying import causes, http_status, is_missing, is_untrusted

_MOST_CHARACTERS = 300
_NO_ACCESS = (401, 403)
_OF_ERRNO = {
    errno.ECONNREFUSED: "the connection is refused: is the server running, and is its port right?",
    errno.ENETUNREACH: "the network of its server cannot be reached",
    errno.EHOSTUNREACH: "its server cannot be reached",
}


def in_words(error: BaseException) -> str:
    """Return the reason of a failure. Of an error and those that led to it, the first that is known here decides.

    >>> in_words(ConnectionRefusedError(111, "Connection refused"))
    'the connection is refused: is the server running, and is its port right?'
    """
    chain = list(causes(error))
    for each in chain:
        known = _known(each)
        if known:
            return known
    if isinstance(error, FileNotFoundError) and len(chain) > 1:  # fsspec's HTTP says so whatever failed
        return in_words(chain[1])
    text = _cut(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."


def _known(error: BaseException) -> str:
    status = http_status(error)
    if status is not None:
        text = (
            str(getattr(error, "message", "")) if hasattr(error, "request_info") else str(error)
        )  # aiohttp's has a URL
        answer = f"HTTP status {status}, {text}"
        return f"access is refused: {answer}" if status in _NO_ACCESS else answer
    if isinstance(error, socket.gaierror):
        return f"the host of its URL is not known ({error.strerror}); is its name right?"
    if is_untrusted(error):
        return f"no secure connection can be made ({getattr(error, 'verify_message', '') or error.args[-1]})"
    if isinstance(error, TimeoutError):
        return "its server does not answer in time"
    return _OF_ERRNO.get(error.errno or 0, "") if isinstance(error, OSError) else ""


def file_error(url: str, error: Exception) -> FlowmoDataError:
    """Return the error for a failure at one object."""
    if isinstance(error, FlowmoDataError):
        return error
    if isinstance(error, OSError) and error.errno in SHORT_OF:
        return out_of(url, error)
    if is_missing(error):
        return AudioFileError.of(url, "there is no such object")
    return AudioFileError.of(url, f"its store does not give it ({in_words(error)})")


@contextmanager
def files_errors(url: str) -> Iterator[None]:
    """Turn the failures of a listing into a `FilesError`."""
    try:
        yield
    except FlowmoDataError:
        raise
    except Exception as error:
        raise FilesError(
            f"files={url!r}: its store cannot be listed ({in_words(error)}); check the URL, and the access that "
            "storage_options= or the environment gives"
        ) from error


@contextmanager
def os_errors() -> Iterator[None]:
    """Turn the failures of a store into an `OSError` with the reason. A missing object stays what it is."""
    try:
        yield
    except FlowmoDataError:
        raise
    except Exception as error:
        if is_missing(error) or (isinstance(error, OSError) and error.errno in SHORT_OF):
            raise
        raise OSError(in_words(error)) from error
