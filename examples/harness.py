"""Shared code of the examples: arguments, the demo corpus, a progress bar with the loss, and the exit.

It needs the extra cli: `pip install 'flowmo_data[cli]'`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, track

from flowmo_data import FlowmoDataError
from flowmo_data.bench.demo import NUM_FILES, default_folder, make_demo

_AVERAGED = 5
"""steps at either end for the reported mean loss"""


def parser(description: str, *, max_steps: int, num_workers: int | None = 2) -> argparse.ArgumentParser:
    """Return a parser for the arguments of all examples. `num_workers=None` leaves out --num-workers."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("files", nargs="?", help="a folder of audio, a file, a glob or an index [a demo corpus]")
    for name, least, default, text in (
        ("--max-steps", 1, max_steps, "batches to take"),
        ("--batch-size", 1, 8, "frames in a batch"),
        ("--samples-per-frame", 1, 196_608, "length of a frame; 196,608 is 4.46 s"),
        ("--num-workers", 0, num_workers, "processes that decode; 0 decodes in the main process"),
    ):
        if default is not None:
            made.add_argument(name, type=at_least(least), default=default, metavar="N", help=f"{text} [%(default)s]")
    return made


def at_least(least: int) -> Callable[[str], int]:
    """Return an argparse type for whole numbers >= `least`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= {least}")
        return int(text)

    return number


def files_or_demo(files: str | None) -> str:
    """Return the given files, or if there are none, the folder of the demo corpus, which is made on first use."""
    if files is not None:
        return files
    folder = default_folder()
    for _ in track(make_demo(folder), "making the demo corpus", total=NUM_FILES, transient=True):
        pass
    print(f"demo corpus: {folder}")
    return str(folder)


def pick_device() -> torch.device:
    """Return the device to train on: the GPU if there is one."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class LossBar(Progress):
    """A progress bar over steps that shows and records the loss.

    Args:
        max_steps: the step at which the bar ends.
        done: steps before this run.
        visible: False on the ranks that only record the loss.
    """

    def __init__(self, max_steps: int, *, done: int = 0, visible: bool = True) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        super().__init__(*columns, disable=not visible)
        self.losses: list[float] = []
        self._task = self.add_task("first batch", total=max_steps, completed=done)

    def step(self, loss: float) -> None:
        """Record one more step with this loss."""
        self.losses.append(loss)
        self.update(self._task, advance=1, description=f"loss {loss:.3f}")


def summary(losses: Sequence[float]) -> str:
    """Return a line with the loss at the first and the last steps, as noise to signal and as signal to noise in dB."""
    if not losses:
        return "no steps were left to do"
    count = min(_AVERAGED, -(-len(losses) // 2))
    first, last = sum(losses[:count]) / count, sum(losses[-count:]) / count
    return (
        f"loss {first:.3f} -> {last:.3f}, signal to noise {decibels(first):.1f} -> {decibels(last):.1f} dB "
        f"(means over {count} of {len(losses)} steps)"
    )


def decibels(noise_to_signal: float) -> float:
    """Return the signal-to-noise ratio in dB."""
    return -10 * math.log10(max(noise_to_signal, 1e-12))


def run(main: Callable[[], None]) -> None:
    """Run an example. An error is printed as one line, with exit status 1. Ctrl-C ends it without a traceback."""
    try:
        main()
    except (FlowmoDataError, OSError) as error:
        sys.exit(str(error).strip().rpartition("\n")[-1])  # the rest, if any, is the traceback of a worker
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
