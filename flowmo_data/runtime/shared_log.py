"""Lines that several processes append to and any of them can read, so that workers can report to the main process.

The DataLoader has no channel for this. So the main process opens a file without a name, in memory if the system has
such files, and passes it to its workers. Nothing has to be cleaned up, nothing waits for a reader, and the lines of a
worker remain after it is killed.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import weakref
from multiprocessing.context import get_spawning_popen
from multiprocessing.reduction import DupFd
from typing import Any

from flowmo_data.runtime.resources import HAS_MEMORY_FILES, open_memory_file

_CHUNK_BYTES = 1 << 20


class SharedLog:
    """Lines of text from all processes that descend from the creator of the log. A plain copy begins empty."""

    def __init__(self) -> None:
        self._open(_nameless_file())

    def _open(self, descriptor: int) -> None:
        self._held, self._num_read = [descriptor], 0
        weakref.finalize(self, _close, self._held).atexit = False  # iterations may end after exit handlers

    def append(self, line: str) -> None:
        """Add a line of ASCII after the lines of all processes."""
        if self._held:  # not when an iteration is collected together with its log, which comes first
            os.write(self._held[0], line.encode("ascii") + b"\n")  # O_APPEND: no other process writes in between

    def read_new(self) -> list[str]:
        """Return the lines that this process has not read yet, in the order in which they were added."""
        lines, self._num_read = self.read_from(self._num_read)
        return lines

    def read_from(self, place: int) -> tuple[list[str], int]:
        """Return the lines from byte `place` of the log on, and the end of the last of them."""
        data, chunk = b"", b"-" if self._held else b""
        while chunk:
            chunk = os.pread(self._held[0], _CHUNK_BYTES, place + len(data))
            data += chunk
        whole = data[: data.rfind(b"\n") + 1]  # the last line may be incomplete
        return whole.decode("ascii").splitlines(), place + len(whole)

    def __getstate__(self) -> dict[str, Any]:
        return {"descriptor": None if get_spawning_popen() is None else DupFd(self._held[0])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(_nameless_file() if state["descriptor"] is None else state["descriptor"].detach())


def _close(held: list[int]) -> None:
    os.close(held.pop())


def _nameless_file() -> int:
    if HAS_MEMORY_FILES:
        descriptor = open_memory_file()
    else:
        with tempfile.TemporaryFile() as opened:
            descriptor = os.dup(opened.fileno())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
    return descriptor
