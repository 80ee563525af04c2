"""A closed file, local or in a store, and its state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from flowmo_data.errors import AudioFileError


@dataclass(frozen=True, slots=True)
class Stamp:
    """The state of a file, to notice a change."""

    size: int
    """bytes"""
    mtime_ns: int
    """time of the last change, nanoseconds since 1970; 0 if a store does not give it"""
    digest: int
    """a local file: hash of its first, middle and last 4 KiB. It decides where only the time differs: file systems
    round times (to 100 ns, 10 ms or 2 s), some copies do not keep them, and `touch` changes no byte. An object in a
    store: hash of its etag, or else of its time"""


class Source(Protocol):
    """A closed file. It is opened for every read, so nothing open is held between reads or crosses a fork."""

    @property
    def path(self) -> str:
        """Absolute path, or URL."""

    @property
    def stamp(self) -> Stamp:
        """The file's state at first sight; a read finds the same state or raises."""

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`; fewer if the file ends before `stop`.

        Raises:
            AudioFileError: the file cannot be read, or has changed since it was first seen.
            ResourceError: no file can be opened.
        """

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Get bytes ahead of their use, if that saves time, and keep them for `read`. A failure is raised by `read`."""

    def open(self) -> int | OpenedSource:
        """Return a descriptor of a local file, or any other file with `pread`; the caller closes it.

        Raises:
            AudioFileError: the file cannot be opened.
            ResourceError: no file can be opened.
        """

    def check_unchanged(self) -> None:
        """Raise `AudioFileError` if the file is gone or has changed, and reads of it have not checked that."""


class OpenedSource:
    """A file that is not a local file of its own, opened.

    libsndfile asks for its bytes from C, where an exception would be printed and lost. So bytes that cannot be read are
    the end of the file, and whoever reads asks for `failure` afterwards.
    """

    def __init__(self, read: Callable[[int, int], bytes], close: Callable[[], None] = lambda: None) -> None:
        self._read, self.close = read, close
        self.failure: AudioFileError | None = None

    def pread(self, count: int, offset: int, /) -> bytes:
        """Return the next bytes from an offset on, at most `count`; none at the end or after a failure."""
        if self.failure is not None:
            return b""
        try:
            return self._read(offset, offset + count)
        except AudioFileError as error:
            self.failure = error
            return b""


def changed(path: str, before: Stamp, now: Stamp, *, indexed: bool) -> AudioFileError:
    """Return the error for a file that is not in the state of first sight."""
    is_now = "the same size" if now.size == before.size else f"{now.size} bytes"
    when, advice = "while it was in use", "do not change files while they are streamed"
    if indexed:
        when, advice = "since it was indexed", "run flowmo-data index again"
    return AudioFileError.of(path, f"changed {when} ({before.size} bytes before, {is_now} now); {advice}")
