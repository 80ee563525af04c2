"""The command `flowmo-data`. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""exit status of a command that Ctrl-C ends, as in shells: 128 and the number of the signal"""


def main() -> None:
    """Run the command line, or name the package that it needs. `--version` needs none."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for a terminal that knows only ASCII
    if sys.argv[1:] == ["--version"]:
        with _interrupts_that_end_at_once():
            from flowmo_data.cli.version import version_text
        sys.stdout.write(version_text() + "\n")
        return
    try:
        with _interrupts_that_end_at_once():
            from flowmo_data.cli.group import flowmo_data_command
    except ModuleNotFoundError as error:
        sys.exit(f"flowmo-data needs the package {error.name}: pip install 'flowmo_data[cli]'")
    flowmo_data_command()


@contextmanager
def _interrupts_that_end_at_once() -> Iterator[None]:
    """End the process at once if an interrupt comes while modules are imported.

    There is nothing to clean up then, and an exception inside an import may be taken for a failure of that import.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, in the background of a shell
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
