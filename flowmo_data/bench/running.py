"""Run setups in turn, several times, each run in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import flowmo_data
from flowmo_data.bench.setups import Measurement, Setup
from flowmo_data.errors import FlowmoDataError
from flowmo_data.runtime import library

_HOME = Path(flowmo_data.__file__).parents[1]
"""the folder of this package: a measuring process starts there, so that it does not take another, such as a source tree
in the user's current folder"""


class MeasuringError(FlowmoDataError):
    """A measuring process that ended without a measurement."""


class MeasuringProcess:
    """A process that measures a setup, and writes lines of JSON."""

    def __init__(self, setup: Setup, process: subprocess.Popen[str], said: IO[str]) -> None:
        self._setup, self._process, self._said = setup, process, said

    def line(self) -> Any:
        """Return the next line that the process writes.

        Raises:
            MeasuringError: the process has ended; the message is its last line of output.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._said.seek(0)
        last = (self._said.read().strip().splitlines() or [f"it ended with exit status {self._process.returncode}"])[-1]
        raise MeasuringError(f"measuring {self._setup.name} ({self._setup.decoder}) failed: {last}")

    def ask(self) -> Any:
        """Write an empty line to the process, and return the line that it answers with. Raises as `line`."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: `line` says why
            os.write(self._process.stdin.fileno(), b"\n")
        return self.line()


@contextmanager
def measuring_process(module: str, setup: Setup) -> Iterator[MeasuringProcess]:
    """Start `python -m flowmo_data.bench.MODULE SETUP_AS_JSON`, and end it with the block."""
    forced = {library.VARIANT_VARIABLE: setup.instruction_set} if setup.instruction_set else {}
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [sys.executable, "-m", f"flowmo_data.bench.{module}", setup.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=_HOME,
            env={**os.environ, **forced},
        ) as process,
    ):
        try:
            yield MeasuringProcess(setup, process, said)
        finally:
            process.terminate()


def run_setups(
    setups: Sequence[Setup], *, repeats: int, on_batch: Callable[[int, int], None]
) -> list[list[Measurement]]:
    """Measure setups.

    The repeats are interleaved, all setups once and then all again, so that a drift in the machine's speed affects all
    setups equally.

    Args:
        setups: the setups to measure.
        repeats: number of runs of each setup.
        on_batch: called after every batch, with the setup's index and the batch's number in its run, from 1 on.

    Returns:
        The measurements of each setup.

    Raises:
        MeasuringError: a process failed; the message is its last line of output.
    """
    measurements: list[list[Measurement]] = [[] for _ in setups]
    for _ in range(repeats):
        for index, setup in enumerate(setups):
            measurements[index].append(_run(setup, partial(on_batch, index)))
    return measurements


def _run(setup: Setup, on_batch: Callable[[int], None]) -> Measurement:
    with measuring_process("measuring", setup) as process:
        while True:
            message = process.line()
            if "measurement" in message:
                return Measurement.from_values(message["measurement"])
            on_batch(message["batch"])
