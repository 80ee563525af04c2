"""What is missing from a container: by the bytes between its packets, their time stamps, and the stated duration."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flowmo_data.errors import counted
from flowmo_data.tracks.containers.kinds import BARE
from flowmo_data.tracks.containers.packets import Listed
from flowmo_data.tracks.parts import Loss

_WITH_DURATION = ("mov", "matroska", "asf", "ape", "tta", "wv")
"""formats that state their duration; in others, FFmpeg guesses it"""
_GAP_SECONDS = 0.01
"""time by which rounding may put packets apart"""
_END_SECONDS = 0.1
"""time by which a header may state another duration"""

Missing = tuple[str, list[Loss]]
"""a problem in words, and the audio that is lost by it"""


def missing_at_end(num_there: int, num_missing: int, seconds: npt.NDArray[np.float64]) -> list[Missing]:
    """Return the packets that the tables of an MP4 file have, and its bytes do not.

    Args:
        num_there: packets that are there.
        num_missing: packets that are not.
        seconds: duration of each that is there.
    """
    end = float(seconds.sum())
    words = f"its header states {num_there + num_missing} packets, but only {num_there} are there"
    return [(words, [Loss(end, num_missing * end / num_there, num_missing)])]


def missing_packets(
    listed: Listed,
    seconds: npt.NDArray[np.float64],
    demuxer: str,
    time_unit: float,
    stated_seconds: float,
    size: int,
) -> list[Missing]:
    """Return what is missing between the packets of a stream, and behind them.

    Args:
        listed: the packets.
        seconds: duration of each, as decoded.
        demuxer: FFmpeg's name of the container.
        time_unit: seconds in a unit of time stamps.
        stated_seconds: duration that the header states; 0 if it states none.
        size: bytes that FFmpeg got.
    """
    found = list[Missing]()
    ends = np.cumsum(seconds)
    end = float(ends[-1])
    if demuxer in BARE and listed.places.min() >= 0:
        found += _between_bytes(listed, ends, size)
        if demuxer in ("ac3", "eac3"):
            found += _in_packets(listed, seconds, ends)
    elif demuxer in ("matroska", "asf") and listed.are_in_order:
        found += _between_times(listed, seconds, ends, demuxer, time_unit)
        end = float(listed.times[-1]) * time_unit + float(seconds[-1])
    if demuxer in _WITH_DURATION and stated_seconds > end + _END_SECONDS:
        words = f"its header states {stated_seconds:.2f} s, but only {end:.2f} s are there"
        found.append((words, [Loss(float(ends[-1]), stated_seconds - end)]))
    return found


def _between_bytes(listed: Listed, ends: npt.NDArray[np.float64], size: int) -> list[Missing]:
    """Return the bytes that are no packets, in a format that is nothing but packets."""
    found = list[Missing]()
    per_byte = float(ends[-1]) / int(listed.sizes.sum())
    stops = listed.places + listed.sizes
    gaps = listed.places - np.concatenate([[0], stops[:-1]])
    starts = np.concatenate([[0.0], ends[:-1]])
    inside = [Loss(float(starts[at]), float(gaps[at]) * per_byte) for at in np.flatnonzero(gaps > 0)]
    if inside:
        found.append((f"{int(gaps[gaps > 0].sum())} bytes inside are not audio packets", inside))
    rest = size - int(stops[-1])
    if rest > 0:
        words = f"{rest} bytes at its end are not a whole audio packet"
        found.append((words, [Loss(float(ends[-1]), rest * per_byte)]))
    return found


def _in_packets(listed: Listed, seconds: npt.NDArray[np.float64], ends: npt.NDArray[np.float64]) -> list[Missing]:
    """Return the frames of AC-3 inside other packets: FFmpeg joins one with a damaged sync word to the one before."""
    usual = float(np.median(listed.sizes))
    joined = (listed.sizes / usual + 0.1).astype(np.int64) - 1
    places = np.flatnonzero(joined > 0)
    if not len(places):
        return []
    lost = [Loss(float(ends[at]), float(joined[at] * seconds[at]), int(joined[at])) for at in places]
    return [(f"{counted(int(joined[places].sum()), 'packet')} inside cannot be found, as sync words are damaged", lost)]


def _between_times(
    listed: Listed, seconds: npt.NDArray[np.float64], ends: npt.NDArray[np.float64], demuxer: str, time_unit: float
) -> list[Missing]:
    """Return the packets that time stamps leave out."""
    distances = np.diff(listed.times) * time_unit
    if not len(distances):
        return []
    usual = seconds[:-1]
    if demuxer == "asf":  # a packet of WMA may decode to samples of the one before it
        usual = np.full(len(distances), np.percentile(distances, 95))
    missing = distances - usual
    places = np.flatnonzero(missing > usual + _GAP_SECONDS)
    if not len(places):
        return []
    words = f"packets inside are damaged or missing: its time stamps leave out {float(missing[places].sum()):.2f} s"
    return [(words, [Loss(float(ends[at]), float(missing[at])) for at in places])]
