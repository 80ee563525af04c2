"""Decoders side by side: each alone, on the same packets, in turns of a batch.

Each decoder has a process of its own (`python -m flowmo_data.bench.decoders SETUP_AS_JSON`), because the decoder in C
chooses its instruction set when it is opened. The process holds its packets in memory. For every line that it reads, it
decodes a batch and writes the seconds. So the decoders take turns within a second, on a core that is theirs alone, and
a drift in the machine's speed affects all of them equally.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from rich import box
from rich.table import Table

from flowmo_data.bench.limit import batches_in_memory, frames_in_memory
from flowmo_data.bench.running import measuring_process
from flowmo_data.bench.setups import Setup
from flowmo_data.decoding import DECODERS
from flowmo_data.errors import FilesError
from flowmo_data.runtime import library


@dataclass(frozen=True)
class DecoderTimes:
    """A decoder, and how long it takes for a frame of `samples_per_frame` samples."""

    setup: Setup
    seconds: Sequence[float]
    """seconds for a frame, in each repeat"""

    @property
    def frame_seconds(self) -> float:
        """Seconds for a frame, median over the repeats."""
        return statistics.median(self.seconds)

    @property
    def batches_per_second(self) -> float:
        """Batches per second, from the median."""
        return 1 / (self.frame_seconds * self.setup.batch_size)


def decoder_setups(**options: Any) -> list[Setup]:
    """Return a setup for each decoder that is installed; for "native", two for each instruction set.

    Args:
        **options: the other fields of `Setup`.
    """
    common = {**options, "loader": "decoder"}
    own = [
        Setup(**{**common, "decoder": "native", "instruction_set": name, "channels": channels})
        for name in library.variants()
        for channels in (2, 1)
    ]
    others = [name for name in DECODERS if name != "native" and find_spec(name)]
    return own + [Setup(**{**common, "decoder": name}) for name in others]


def compare_decoders(setups: Sequence[Setup], *, repeats: int, on_turn: Callable[[], None]) -> list[DecoderTimes]:
    """Measure decoders in turns of a batch.

    Args:
        setups: the decoders. In each repeat, each decodes `batches` batches; `warmup` batches come first.
        repeats: number of repeats.
        on_turn: called after each turn of all decoders.

    Raises:
        MeasuringError: a process failed; the message is its last line of output.
    """
    warmup, batches = setups[0].warmup, setups[0].batches
    with ExitStack() as stack:
        processes = [stack.enter_context(measuring_process("decoders", setup)) for setup in setups]
        for process in processes:
            process.line()  # its packets are in memory

        def take_turns() -> list[float]:
            seconds = [process.ask() for process in processes]
            on_turn()
            return seconds

        for _ in range(warmup):
            take_turns()
        turns = [[take_turns() for _ in range(batches)] for _ in range(repeats)]
    means = [[sum(each) / batches for each in zip(*repeat, strict=True)] for repeat in turns]
    return [DecoderTimes(setup, times) for setup, times in zip(setups, zip(*means, strict=True), strict=True)]


def reference(times: Sequence[DecoderTimes]) -> DecoderTimes:
    """Return what the others are compared with: minimp3py, or soundfile if that is not installed."""
    return next(each for each in times if each.setup.decoder != "native")


def decoders_table(times: Sequence[DecoderTimes]) -> Table:
    """Return a table with a row for each decoder: its time for a frame, and its speed relative to the reference."""
    compared = reference(times)
    caption = f"Each alone on one core, on the same packets, in turns. ms: for a frame of {_samples(compared)} samples."
    if len(compared.seconds) > 1:
        caption += " Medians, and the smallest and the largest of several repeats."
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for column in ("decoder", "instruction\nset"):
        table.add_column(column, no_wrap=True)
    for column in ("channels", "ms", "min-max", "batches\n/s", f"×\n{compared.setup.decoder}"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in times:
        table.add_row(
            each.setup.decoder,
            each.setup.instruction_set,
            str(each.setup.channels),
            f"{each.frame_seconds * 1e3:.2f}",
            f"{min(each.seconds) * 1e3:.2f}-{max(each.seconds) * 1e3:.2f}" if len(each.seconds) > 1 else "",
            f"{each.batches_per_second:.1f}",
            f"{compared.frame_seconds / each.frame_seconds:.2f}",
        )
    return table


def _samples(times: DecoderTimes) -> str:
    return f"{times.setup.samples_per_frame:,}"


def decoders_as_json(times: Sequence[DecoderTimes]) -> list[dict[str, Any]]:
    """Return everything that was measured; "ratio" is the speed relative to the reference."""
    compared = reference(times)
    return [
        {
            "setup": each.setup.for_report(),
            "frame_ms": each.frame_seconds * 1e3,
            "batches_per_second": each.batches_per_second,
            "ratio": compared.frame_seconds / each.frame_seconds,
            "ratio_to": compared.setup.decoder,
            "runs_ms": [seconds * 1e3 for seconds in each.seconds],
        }
        for each in times
    ]


def nothing_to_compare(files: Sequence[str]) -> FilesError:
    """Return the error for files without MP3."""
    return FilesError(f"{', '.join(files)}: there is no MP3 at 44,100 Hz in it; decoders are compared on such files")


def _serve(setup: Setup) -> None:
    """Decode a batch for every line of input, and write the seconds for a frame."""
    frames = frames_in_memory(setup, only_layer_3=True)
    if not frames:
        raise nothing_to_compare(setup.files)
    batches = batches_in_memory(frames, setup.batch_size)
    _write_line("ready")
    for _ in sys.stdin:
        batch = next(batches)
        started = perf_counter()
        for frame in batch:
            frame.decode()
        seconds = perf_counter() - started
        _write_line(seconds * setup.samples_per_frame / sum(frame.num_samples for frame in batch))


def _write_line(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve(Setup.from_json(sys.argv[1]))
