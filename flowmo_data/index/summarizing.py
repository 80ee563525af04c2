"""What is in a corpus, in numbers: hours, files, formats, rates, lengths, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.index.audio_index import AudioIndex
from flowmo_data.planning import frames_per_epoch

_QUANTILES = {"min": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "max": 1.0}


def summarize(index: AudioIndex, *, sr: int, samples_per_frame: int) -> dict[str, Any]:
    """The sums over an index, for JSON.

    Args:
        index: the index.
        sr: rate of the frames, Hz; files at others count as resampled.
        samples_per_frame: length of a frame.

    Returns:
        Files, hours and bytes of what can be read; files and hours by format, sample rate (Hz) and channels; quantiles
        of the mean bitrate (kbit/s) and the duration (s) of a file; frames of an epoch by framing; damaged and bad
        files, each with what is wrong.
    """
    columns = index.columns
    bad, damaged = columns.bad_files(), columns.damaged_files()
    seconds, sizes = columns.seconds(), columns.sizes()
    good = seconds > 0
    bitrates = sizes[good] * 8 / 1_000 / seconds[good]
    lengths = columns.lengths(sr, on_other_rate="resample")
    return {
        "root": index.root,
        "files": int(good.sum()),
        "hours": float(seconds.sum() / 3_600),
        "bytes": int(sizes[good].sum()),
        "formats": _by(index.table["format"].to_pylist(), seconds),
        "sample_rates": _by(index.table["sample_rate"].to_pylist(), seconds),
        "channels": _by(index.table["channels"].to_pylist(), seconds),
        "kilobits_per_second": _quantiles(bitrates),
        "seconds": _quantiles(seconds[good]),
        "sr": sr,
        "samples_per_frame": samples_per_frame,
        "frames_per_epoch": {
            framing: frames_per_epoch(lengths, samples_per_frame, framing, shuffle=True) for framing in ("pad", "drop")
        },
        "damaged_files": {columns.path(file): damage for file, damage in damaged.items()},
        "bad_files": {columns.path(file): reason for file, reason in bad.items()},
    }


def _by(values: Iterable[Any], seconds: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Files and hours by value, most hours first."""
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
