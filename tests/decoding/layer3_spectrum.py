"""From quantised values to the spectrum of each channel: ISO/IEC 11172-3 clauses 2.4.3.4.7 to 2.4.3.4.9, in float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from layer3_main_data import ScaleFactors
from layer3_side_info import Granule, coded_bands
from layer3_tables import LINES, PRETAB, is_lsf

Spectrum = npt.NDArray[np.float64]


def requantize(values: npt.NDArray[np.int64], granule: Granule, factors: ScaleFactors, sample_rate: int) -> Spectrum:
    """Return xr[576] in the order of the bitstream (clause 2.4.3.4.7)."""
    spectrum = np.sign(values) * np.abs(values).astype(np.float64) ** (4 / 3)
    multiplier = 1.0 if granule.scalefac_scale else 0.5
    for band, factor in zip(coded_bands(granule, sample_rate), factors.values, strict=True):
        exponent = (granule.global_gain - 210) / 4
        if band.window is None:
            exponent -= multiplier * (factor + factors.preflag * PRETAB[band.sfb])
        else:
            exponent -= 2 * granule.subblock_gain[band.window] + multiplier * factor
        spectrum[band.start : band.stop] *= 2**exponent
    return spectrum


def intensity_ratios(position: int, sample_rate: int, intensity_scale: int) -> tuple[float, float]:
    """Return the factors of left and right for an intensity position.

    MPEG-1 (clause 2.4.3.4.9.3) divides by the tangent. LSF (13818-3 clause 2.4.3.2) lowers one of the two.
    """
    if is_lsf(sample_rate):
        step = 2**-0.5 if intensity_scale else 2**-0.25
        lowered = step ** ((position + 1) // 2)
        return (lowered, 1.0) if position % 2 else (1.0, lowered)
    if position == 6:  # the ratio is infinite
        return 1.0, 0.0
    ratio = math.tan(position * math.pi / 12)
    return ratio / (1 + ratio), 1 / (1 + ratio)


def intensity_positions(right: Spectrum, granule: Granule, factors: ScaleFactors, sample_rate: int) -> list[int | None]:
    """Return for each band its intensity position, or None where it is not in intensity stereo.

    Bands above the last that is not all zero in the right channel are; in short blocks each window counts for itself.
    In mixed blocks, long bands are in intensity stereo only if no short one has anything. The uppermost band has no
    position of its own and takes that of the band below, or the middle where that one has something in the right
    channel. The standard is silent on this; the vector `test46` requires it.
    """
    bands = coded_bands(granule, sample_rate)
    last: dict[int | None, int] = {None: -1, 0: -1, 1: -1, 2: -1}
    for index, band in enumerate(bands):
        if right[band.start : band.stop].any():
            last[band.window] = index
    any_short = max(last[0], last[1], last[2]) >= 0
    positions: list[int | None] = []
    for index, band in enumerate(bands):
        bound = len(bands) if band.window is None and any_short else last[band.window]
        position, below = factors.values[index], index - (1 if band.window is None else 3)
        if index <= bound or factors.illegal[index]:
            positions.append(None)
        elif index < factors.num_coded:
            positions.append(position)
        elif below <= bound:
            positions.append(0 if is_lsf(sample_rate) else 3)
        else:
            positions.append(positions[below])
    return positions


def to_left_and_right(
    left: Spectrum,
    right: Spectrum,
    *,
    granule: Granule,
    factors: ScaleFactors,
    sample_rate: int,
    mode_extension: int,
) -> tuple[Spectrum, Spectrum]:
    """Undo joint stereo (clause 2.4.3.4.9).

    Args:
        left: xr of channel 0 in the order of the bitstream: left, middle, or the sum where intensity stereo is used.
        right: xr of channel 1: right, side, or zero.
        granule: channel 1's side information.
        factors: channel 1's scale factors.
        sample_rate: Hz.
        mode_extension: 1 for intensity stereo, 2 for MS stereo, 3 for both.
    """
    left, right = left.copy(), right.copy()
    bands = coded_bands(granule, sample_rate)
    positions: list[int | None] = [None] * len(bands)
    if mode_extension & 1:
        positions = intensity_positions(right, granule, factors, sample_rate)
    for band, position in zip(bands, positions, strict=True):
        lines = slice(band.start, band.stop)
        if position is not None:
            to_left, to_right = intensity_ratios(position, sample_rate, granule.scalefac_compress & 1)
            left[lines], right[lines] = left[lines] * to_left, left[lines] * to_right
        elif mode_extension & 2:
            middle, side = left[lines], right[lines]
            left[lines], right[lines] = (middle + side) / math.sqrt(2), (middle - side) / math.sqrt(2)
    return left, right


def reorder(spectrum: Spectrum, granule: Granule, sample_rate: int) -> Spectrum:
    """Sort the lines of short blocks by frequency, then window (clause 2.4.3.4.8)."""
    if granule.layout == 0:
        return spectrum
    ordered = np.zeros(LINES)
    for band in coded_bands(granule, sample_rate):
        width = band.stop - band.start
        if band.window is None:
            ordered[band.start : band.stop] = spectrum[band.start : band.stop]
        else:
            first = band.start - band.window * width  # of the whole band
            ordered[first + band.window : first + 3 * width : 3] = spectrum[band.start : band.stop]
    return ordered
