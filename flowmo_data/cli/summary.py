"""A corpus in numbers and in a picture: hours, formats, rates, lengths, bitrates, and bad files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.epochs.plan import frames_per_epoch
from flowmo_data.runtime.figures import COLORS, import_figure
from flowmo_data.tracks.index import AudioIndex
from flowmo_data.tracks.index.segments import SegmentColumns

_QUANTILES = {"min": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "max": 1.0}
_BINS = 40
_MOST = 4
"""maximum number of bars for formats, for rates, and for numbers of channels"""
_ORDINARY = 0.98


def summarize(index: AudioIndex, *, sr: int, samples_per_frame: int) -> dict[str, Any]:
    """Return the sums over an index, for JSON.

    Args:
        index: the index.
        sr: rate of the frames, Hz; files at other rates count as resampled.
        samples_per_frame: length of a frame.

    Returns:
        Names of aligned files and the number of their sets, if files are aligned. Number, hours and bytes of the
        readable files; files and hours by format, sample rate (Hz) and channels; the type of each column of metadata;
        segments and their hours, if there are any; quantiles of the mean bitrate (kbit/s) and the duration (s) of a
        file; frames per epoch by framing; damaged and bad files, each with its problem.
    """
    columns = index.files
    bad = columns.left_out()
    damaged = (index.columns if isinstance(index.columns, SegmentColumns) else columns).damaged_files()
    seconds, sizes = columns.seconds(), columns.sizes()
    good = seconds > 0
    bitrates = sizes[good] * 8 / 1_000 / seconds[good]
    lengths = index.columns.lengths(sr, on_other_rate="resample")
    return {
        "root": index.root,
        "names": list(index.names),
        "sets": int((lengths > 0).sum()),
        "files": int(good.sum()),
        "hours": float(seconds.sum() / 3_600),
        "bytes": int(sizes[good].sum()),
        "formats": _by(index.table["format"].to_pylist(), seconds),
        "sample_rates": _by(index.table["sample_rate"].to_pylist(), seconds),
        "channels": _by(index.table["channels"].to_pylist(), seconds),
        "metadata": index.metadata_types(),
        **_segments(index),
        "kilobits_per_second": _quantiles(bitrates),
        "seconds": _quantiles(seconds[good]),
        "sr": sr,
        "samples_per_frame": samples_per_frame,
        "frames_per_epoch": {
            framing: frames_per_epoch(lengths, samples_per_frame, framing, shuffle=True) for framing in ("pad", "drop")
        },
        "damaged_files": {columns.path(file): damage for file, damage in damaged.items()} | index.misaligned(),
        "bad_files": {columns.path(file): reason for file, reason in bad.items()},
    }


def _segments(index: AudioIndex) -> dict[str, Any]:
    if not index.has_segments:
        return {}
    seconds = index.columns.seconds()
    return {"segments": len(seconds), "segment_hours": float(seconds.sum() / 3_600)}


def _by(values: Iterable[Any], seconds: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Return files and hours by value, most hours first."""
    sums: dict[str, dict[str, float]] = {}
    for value, length in zip(values, seconds.tolist(), strict=True):
        if value is not None:
            sums.setdefault(str(value), {"files": 0, "hours": 0.0})
            sums[str(value)]["files"] += 1
            sums[str(value)]["hours"] += length / 3_600
    return dict(sorted(sums.items(), key=lambda item: -item[1]["hours"]))


def _quantiles(values: npt.NDArray[np.float64]) -> dict[str, float]:
    if not len(values):
        return {}
    return {name: float(np.quantile(values, place)) for name, place in _QUANTILES.items()}


def draw_summary(index: AudioIndex, summary: dict[str, Any], path: Path) -> None:
    """Draw an index to a file; its suffix determines the format.

    Args:
        index: the index.
        summary: the result of `summarize` for it.
        path: the file.

    Raises:
        MissingPackageError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    seconds, sizes = index.files.seconds(), index.files.sizes()
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
    formats.set(xlabel="hours (labels: files)", title="formats, rates, channels")
    formats.margins(x=0.18)
    for axes in (lengths, bitrates, formats):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(10)
    title = f"{summary['files']:,} files, {summary['hours']:,.1f} hours, {summary['frames_per_epoch']['pad']:,} frames"
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=150)


def _ordinary(values: npt.NDArray[np.float64]) -> float:
    """Return the upper limit of a histogram: larger values would leave no room for the others."""
    return float(np.quantile(values, _ORDINARY)) * 1.02 if len(values) else 1.0


def _channels(number: str) -> str:
    return {"1": "mono", "2": "stereo"}.get(number, f"{number} channels")
