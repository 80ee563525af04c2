"""Child processes that check one seed after another, and may die or hang: nothing of the others is lost by it."""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_STARTING_SECONDS = 120

Say = Callable[[dict[str, Any]], None]


@contextmanager
def only_messages() -> Iterator[Say]:
    """Gives a function that writes a line of JSON to standard output, to which nothing else is written any more."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)  # mpg123 tells of damage there
    yield lambda message: print(json.dumps(message), file=out)


def memory_folder() -> str | None:
    """A folder in memory, for files that live a millisecond; None if there is none."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def check_seeds(seeds: range, check: Callable[[int], dict[str, Any]], say: Say) -> None:
    """Check seeds; say before each that it begins, and after it what became of it."""
    for seed in seeds:
        say({"seed": seed, "stage": "flowmo_data"})
        began = time.perf_counter()
        outcome = check(seed)
        outcome["elapsed"] = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        say({"seed": seed, "outcome": outcome, "peak_kilobytes": peak})


def outcomes(
    command: Callable[[int, int], Sequence[str]], first: int, stop: int, limit_seconds: float
) -> Iterator[tuple[int, dict[str, Any]]]:
    """What became of the seeds `[first, stop)`, in their order; for one that ended the child, how.

    Args:
        command: gives the command of a child that checks a range of seeds.
        first: the first seed.
        stop: one past the last seed.
        limit_seconds: after this time without a word, the child hangs.
    """
    while first < stop:
        process = subprocess.Popen(command(first, stop), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        reader = threading.Thread(target=_pass_on, args=(process, lines), daemon=True)
        reader.start()
        stage, hung, limit = "before the first", False, float(_STARTING_SECONDS)
        while True:
            try:
                line = lines.get(timeout=limit)
            except queue.Empty:
                hung = True
                process.kill()
                break
            if not line:
                break
            message = json.loads(line)
            if "outcome" in message:
                yield first, {**message["outcome"], "peak_kilobytes": message["peak_kilobytes"]}
                first = message["seed"] + 1
            else:
                stage, limit = message["stage"], limit_seconds
        status = process.wait()
        if first < stop:
            if stage == "before the first":
                raise RuntimeError(f"a child ended before its first seed, with status {status}")
            how = "hang" if hung else signal.Signals(-status).name if status < 0 else f"status {status}"
            yield first, {"died": how, "stage": stage}
            first += 1


def _pass_on(process: subprocess.Popen[str], lines: queue.SimpleQueue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")
