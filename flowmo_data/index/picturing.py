"""A picture of a corpus: how long its files are, at what bitrates, and in which formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.figures import COLORS, import_figure
from flowmo_data.index.audio_index import AudioIndex

_BINS = 40
_MOST = 4
"""bars for formats, as many for rates, and as many for numbers of channels"""
_ORDINARY = 0.98


def draw_summary(index: AudioIndex, summary: dict[str, Any], path: Path) -> None:
    """Draw an index into a file, whose suffix says its format.

    Args:
        index: the index.
        summary: what `summarize` gave for it.
        path: the file.

    Raises:
        MissingPackageError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    seconds, sizes = index.columns.seconds(), index.columns.sizes()
    good = seconds > 0
    figure = import_figure()(figsize=(11, 3.8), layout="constrained")
    lengths, bitrates, formats = figure.subplots(1, 3)
    longest = _ordinary(seconds[good])
    unit, name = (60.0, "minutes") if longest > 120 else (1.0, "seconds")
    lengths.hist(seconds[good] / unit, bins=_BINS, range=(0, longest / unit), color=COLORS[0])
    lengths.set(xlabel=name, ylabel="files", title="durations")
    rates = sizes[good] * 8 / 1_000 / seconds[good]
    bitrates.hist(rates, bins=_BINS, range=(0, _ordinary(rates)), color=COLORS[1])
    bitrates.set(xlabel="kbit/s, mean of a file", ylabel="files", title="bitrates")
    kinds = [
        *((name, sums, COLORS[3]) for name, sums in summary["formats"].items()),
        *((f"{rate} Hz", sums, COLORS[4]) for rate, sums in summary["sample_rates"].items()),
        *((_channels(number), sums, COLORS[2]) for number, sums in summary["channels"].items()),
    ]
    most = [kind for color in (COLORS[3], COLORS[4], COLORS[2]) for kind in [k for k in kinds if k[2] == color][:_MOST]]
    names, sums, colors = zip(*most[::-1], strict=True) if most else ((), (), ())
    bars = formats.barh(names, [each["hours"] for each in sums], color=colors)
    formats.bar_label(bars, [f"{each['files']:,}" for each in sums], padding=3, fontsize=8)
    formats.set(xlabel="hours (beside the bars: files)", title="formats, rates, channels")
    formats.margins(x=0.18)
    for axes in (lengths, bitrates, formats):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(10)
    title = f"{summary['files']:,} files, {summary['hours']:,.1f} hours, {summary['frames_per_epoch']['pad']:,} frames"
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=150)


def _ordinary(values: npt.NDArray[np.float64]) -> float:
    """As far as a histogram goes: what is beyond would leave the others no room."""
    return float(np.quantile(values, _ORDINARY)) * 1.02 if len(values) else 1.0


def _channels(number: str) -> str:
    return {"1": "mono", "2": "stereo"}.get(number, f"{number} channels")
