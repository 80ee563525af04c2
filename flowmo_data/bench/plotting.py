"""The picture of the measurements: speed over workers, the limit, the baselines, and the first batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowmo_data.bench.reporting import Result
from flowmo_data.runtime.figures import COLORS, import_figure
from flowmo_data.runtime.processes import num_cores


def draw(results: Sequence[Result], limit: Result | None, path: Path) -> None:
    """Draw the results to a file; its suffix determines the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    figure = import_figure()(figsize=(11, 5.2), layout="constrained")
    speed, first = figure.subplots(1, 2, width_ratios=(3, 2))
    drawn = [result for result in results if result.setup.loader != "decoder"]
    names = list(dict.fromkeys(_line(result) for result in drawn))
    for name, color in zip(names, COLORS * 3, strict=False):
        _draw_speed(speed, [result for result in drawn if _line(result) == name], name, color)
    workers = sorted({result.setup.num_workers for result in drawn})
    if limit is not None:
        heights = [limit.batches_per_second * min(max(number, 1), num_cores()) for number in workers]
        speed.plot(workers, heights, color="0.45", linestyle="--", linewidth=1.2, label="decoder alone, per worker")
    speed.set(xlabel="DataLoader workers", ylabel="batches per second, steady state", xticks=workers)
    speed.set_ylim(bottom=0)
    figure.legend(*speed.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    speed.grid(axis="y", alpha=0.25)
    labels = [result.setup.name for result in drawn][::-1]
    seconds = [result.median(lambda run: run.first_batch_seconds) for result in drawn][::-1]
    colors = [COLORS[names.index(_line(result)) % len(COLORS)] for result in drawn][::-1]
    bars = first.barh(labels, seconds, color=colors)
    first.bar_label(bars, fmt="%.2f s", padding=3, fontsize=8)
    first.set_xlabel("first batch, seconds from making the loader")
    if max(seconds) > 10 * min(seconds):
        first.set_xscale("log")
        first.set_xlim(min(seconds) / 2, max(seconds) * 3)
    else:  # ticks of a log axis would overlap
        first.set_xlim(0, max(seconds) * 1.2)
    first.tick_params(axis="y", labelsize=8)
    for axes in (speed, first):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _line(result: Result) -> str:
    threads = result.setup.decode_threads
    return f"{result.setup.loader}, {threads} threads" if threads else result.setup.loader


def _draw_speed(axes: Any, results: Sequence[Result], name: str, color: str) -> None:
    results = sorted(results, key=lambda result: result.setup.num_workers)
    heights = [result.batches_per_second for result in results]
    spread = [
        [height - min(run.batches_per_second for run in r.runs) for r, height in zip(results, heights, strict=True)],
        [max(run.batches_per_second for run in r.runs) - height for r, height in zip(results, heights, strict=True)],
    ]
    is_baseline = not name.startswith("flowmo_data")
    axes.errorbar(
        [result.setup.num_workers for result in results], heights, yerr=spread, color=color, label=name, capsize=3,
        marker="D" if is_baseline else "o", linestyle="none" if is_baseline else "-",
    )  # fmt: skip
