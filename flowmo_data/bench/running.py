"""Run setups in turn, several times, each run in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial

from flowmo_data.bench.setups import Measurement, Setup
from flowmo_data.errors import FlowmoDataError


class MeasuringError(FlowmoDataError):
    """A measuring process that ended without a measurement."""


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
    command = [sys.executable, "-m", "flowmo_data.bench.measuring", setup.to_json()]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                message = json.loads(line)
                if "measurement" in message:
                    return Measurement.from_values(message["measurement"])
                on_batch(message["batch"])
        finally:
            process.terminate()
        process.wait()
        said.seek(0)
        last = (said.read().strip().splitlines() or [f"it ended with exit status {process.returncode}"])[-1]
    raise MeasuringError(f"measuring {setup.loader} with {setup.num_workers} workers failed: {last}")
