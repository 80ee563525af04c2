"""What the examples have around them: arguments, the demo corpus, a bar that shows the loss, and how they end.

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
"""steps at either end, of which the mean loss is told"""


def parser(description: str, *, max_steps: int, num_workers: int | None = 2) -> argparse.ArgumentParser:
    """The arguments of all examples, with an example's defaults; `num_workers=None` leaves that one out."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("files", nargs="?", help="a folder of audio, a file, a glob or an index; none: a demo corpus")
    for name, least, default, text in (
        ("--max-steps", 1, max_steps, "batches to take"),
        ("--batch-size", 1, 8, "frames in a batch"),
        ("--samples-per-frame", 1, 196_608, "length of a frame; 196,608 is 4.46 s"),
        ("--num-workers", 0, num_workers, "processes that decode; 0: this one"),
    ):
        if default is not None:
            made.add_argument(name, type=at_least(least), default=default, metavar="N", help=f"{text} [%(default)s]")
    return made


def at_least(least: int) -> Callable[[str], int]:
    """What argparse takes a whole number from `least` on with."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return int(text)

    return number


def files_or_demo(files: str | None) -> str:
    """The files given; where there are none, the folder of the demo corpus, which is made on first use."""
    if files is not None:
        return files
    folder = default_folder()
    for _ in track(make_demo(folder), "making the demo corpus", total=NUM_FILES, transient=True):
        pass
    print(f"demo corpus: {folder}")
    return str(folder)


def pick_device() -> torch.device:
    """Where to train: the GPU if there is one."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class LossBar(Progress):
    """A progress bar over steps that shows the loss, and keeps it.

    Args:
        max_steps: where the bar ends.
        done: steps before this run.
        visible: False on the ranks that only keep the loss.
    """

    def __init__(self, max_steps: int, *, done: int = 0, visible: bool = True) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        super().__init__(*columns, disable=not visible)
        self.losses: list[float] = []
        self._task = self.add_task("first batch", total=max_steps, completed=done)

    def step(self, loss: float) -> None:
        """One more step, with this loss."""
        self.losses.append(loss)
        self.update(self._task, advance=1, description=f"loss {loss:.3f}")


def summary(losses: Sequence[float]) -> str:
    """The loss at the first and the last steps, as noise to signal and in dB of signal to noise."""
    if not losses:
        return "no step was left to do"
    count = min(_AVERAGED, -(-len(losses) // 2))
    first, last = sum(losses[:count]) / count, sum(losses[-count:]) / count
    return (
        f"loss {first:.3f} -> {last:.3f}, signal to noise {decibels(first):.1f} -> {decibels(last):.1f} dB "
        f"(means over {count} of {len(losses)} steps)"
    )


def decibels(noise_to_signal: float) -> float:
    """The signal-to-noise ratio in dB."""
    return -10 * math.log10(max(noise_to_signal, 1e-12))


def run(main: Callable[[], None]) -> None:
    """Run an example: what it cannot do is a line and exit status 1, and Ctrl-C ends it without a traceback."""
    try:
        main()
    except (FlowmoDataError, OSError) as error:
        sys.exit(str(error).strip().rpartition("\n")[-1])  # the rest, if any, is the traceback of a worker
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
