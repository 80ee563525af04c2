"""The picture of the measurements: a bar for each setup, the decode limit, and the first batch beside it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from flowmo_data.bench.reporting import Result
from flowmo_data.errors import counted
from flowmo_data.runtime.figures import COLORS, import_figure
from flowmo_data.runtime.processes import num_cores

_NAMES = {
    "flowmo_data": "flowmo_data, DataLoader(batch_size=)",
    "flowmo_data batches": "flowmo_data, dataset(batch_size=)",
    "flowmo_data map-style": "flowmo_data, AudioFrameDataset",
    "librosa": "librosa.load, shuffle buffer",
    "torchcodec": "torchcodec, random windows",
}
_OWN, _OTHER = COLORS[0], "#9a9a9a"
_HEADING_ROWS = 1.25
"""height of a loader's name above its bars, in bars"""
_INCHES_PER_ROW = 0.27
_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
"""behind text that a line may cross"""


def draw(results: Sequence[Result], limit: Result | None, path: Path) -> None:
    """Draw the results to a file; its suffix determines the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    drawn = [result for result in results if result.setup.loader != "decoder"]
    groups = [(name, list(members)) for name, members in groupby(drawn, _heading)]
    heights = _heights(groups)
    lowest = max(heights) + 1
    figure = import_figure()(figsize=(10, 1.3 + _INCHES_PER_ROW * lowest), layout="constrained")
    speed, first = figure.subplots(1, 2, width_ratios=(5, 2), sharey=True)
    _draw_speed(speed, drawn, heights)
    _draw_first_batch(first, drawn, heights)
    if limit is not None:
        _draw_limit(speed, limit, max(result.setup.cores_in_use(num_cores()) for result in drawn))
    speed.set_yticks(heights, [_label(result) for result in drawn], fontsize=8)
    speed.set_ylim(lowest, -0.4)
    tops = [heights[drawn.index(members[0])] for _, members in groups]
    for (name, _), top in zip(groups, tops, strict=True):
        speed.annotate(
            name, (0, top - _HEADING_ROWS * 0.72), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9,
            fontweight="bold", bbox=_ON_WHITE,
        )  # fmt: skip
    for axes in (speed, first):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.25)
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=150)


def _heading(result: Result) -> str:
    setup = result.setup
    if setup.loader == "whole-file":
        return f"whole files in a thread, {setup.decoder}"
    return _NAMES.get(setup.loader, setup.loader)


def _label(result: Result) -> str:
    setup = result.setup
    if setup.loader == "whole-file":
        return "1 process"
    threads = f", {counted(setup.decode_threads, 'thread')}" if setup.decode_threads else ""
    return counted(setup.num_workers, "worker") + threads


def _heights(groups: Sequence[tuple[str, Sequence[Result]]]) -> list[float]:
    """Return the place of each bar from the top, in bars, with space for a heading above each group."""
    heights, place = [], 0.0
    for _, members in groups:
        place += _HEADING_ROWS
        for _ in members:
            heights.append(place)
            place += 1
    return heights


def _colors(drawn: Sequence[Result]) -> list[str]:
    return [_OWN if result.setup.loader.startswith("flowmo_data") else _OTHER for result in drawn]


def _draw_speed(axes: Any, drawn: Sequence[Result], heights: Sequence[float]) -> None:
    speeds = [result.batches_per_second for result in drawn]
    runs = [[run.batches_per_second for run in result.runs] for result in drawn]
    spread = [
        [speed - min(each) for speed, each in zip(speeds, runs, strict=True)],
        [max(each) - speed for speed, each in zip(speeds, runs, strict=True)],
    ]
    several = max(map(len, runs)) > 1
    error = {"xerr": spread, "error_kw": {"elinewidth": 1, "capsize": 2.5}} if several else {}
    axes.barh(heights, speeds, height=0.8, color=_colors(drawn), **error)
    for height, speed, each in zip(heights, speeds, runs, strict=True):
        axes.annotate(
            f"{speed:.1f}",
            (max(each), height),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            bbox=_ON_WHITE,
        )
    axes.set_xlim(0, max(map(max, runs)) * 1.12)
    axes.set_xlabel("batches per second, steady state")


def _draw_first_batch(axes: Any, drawn: Sequence[Result], heights: Sequence[float]) -> None:
    seconds = [result.median(lambda run: run.first_batch_seconds) for result in drawn]
    bars = axes.barh(heights, seconds, height=0.8, color=_colors(drawn))
    axes.bar_label(bars, fmt="%.2f", padding=4, fontsize=8)
    axes.set_xlim(0, max(seconds) * 1.2)
    axes.set_xlabel("first batch, seconds")


def _draw_limit(axes: Any, limit: Result, most_cores: int) -> None:
    """Draw a line for the decoder alone on one core, and one for it on all cores that a setup uses."""
    _, right = axes.get_xlim()
    axes.set_xlim(0, max(right, limit.batches_per_second * most_cores * 1.06))
    for cores in sorted({1, most_cores}):
        speed = limit.batches_per_second * cores
        axes.axvline(speed, color=COLORS[1], linestyle="--", linewidth=1.2, zorder=0.5)
        axes.annotate(
            f"decoder alone,\n{counted(cores, 'core')}: {speed:.1f}", (speed, 1), xycoords=("data", "axes fraction"),
            xytext=(0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=8, color=COLORS[1],
        )  # fmt: skip
