"""The taps of the resampling filter: a sinc under a Kaiser window, sampled at every phase or as cubics.

An output sample `j` lies at input sample `j * old / new`, with both rates divided by their greatest common divisor. Its
phase is the fraction of that: how far it lies behind an input sample. With `cutoff` zero crossings of the sinc to an
input sample, input sample `i` is multiplied by the tap `cutoff * impulse((i - j * old / new) * cutoff)`. At most
`2 * half_width` taps are not zero, from input sample `j * old // new - half_width + 1` on. The method is that of
https://ccrma.stanford.edu/~jos/resample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FILTER = {
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}
"""The filter, as torchaudio.transforms.Resample takes it: resampy's "kaiser_best", by torchaudio's tutorial. From 48 to
44.1 kHz, torchaudio's default is 2.6 dB down at 20 kHz and mirrors 23 kHz to 21.1 kHz at -9 dB; this one 0.1 dB, and
-147 dB"""
_CROSSINGS = 64
"""zero crossings on either side"""
_ROLLOFF = 0.9475937167399596
"""the cutoff over half of the lower rate"""
_BETA = 14.769656459379492
"""the window's shape"""
_MOST_TAPS = 2_048
"""taps of a phase that are taken from a table with every phase: 15 times as many samples in as out"""
_MOST_EXACT = 1 << 19
"""taps in such a table, 2 MB: 3,800 phases if the rate goes up"""
_SEGMENTS_PER_CROSSING = 64
"""Cubics from one zero crossing of the sinc to the next.

At four Chebyshev nodes in a segment of the length h, a cubic is off by at most h^4 / 3,072 times the largest fourth
derivative. For the sinc that is pi^4 / 5 in the middle, and pi^3 / t where it is t crossings away: over all taps of a
phase, spaced a crossing, less than 250 in sum. So no sample that comes of samples in [-1, 1] is off by more than
250 / 3,072 / 64^4 = 5e-9, a tenth of what rounding taps to float32 costs."""
_VECTOR = 16
"""taps; cubics have a multiple of as many, so that a processor's vectors leave none over"""
_FEW_PHASES = 64
"""phases; fewer are repeated, to come in whole groups"""
_LONGEST_ROW = 8
"""segments are made this many samples long, and no less, before they are longer than one"""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two sample rates, divided by their greatest common divisor."""

    old: int
    new: int

    @classmethod
    def of(cls, old_rate: int, new_rate: int) -> Ratio:
        """Return the ratio of two rates in Hz."""
        divisor = math.gcd(old_rate, new_rate)
        return cls(old_rate // divisor, new_rate // divisor)

    @property
    def cutoff(self) -> float:
        """Zero crossings of the sinc to an input sample."""
        return _ROLLOFF * min(self.old, self.new) / self.old

    @property
    def half_width(self) -> int:
        """Half the number of taps that are not zero."""
        return math.ceil(_CROSSINGS / self.cutoff)

    @property
    def num_taps(self) -> int:
        """Taps of a phase, with zeros behind."""
        return -(-2 * self.half_width // _VECTOR) * _VECTOR

    @property
    def is_exact(self) -> bool:
        """Whether a table with the taps of every phase is small."""
        taps = 2 * self.half_width
        return taps <= _MOST_TAPS and taps * self.new <= _MOST_EXACT

    def first_tap(self, index: int) -> int:
        """Return the input sample that the first tap of an output sample meets."""
        return index * self.old // self.new - self.half_width + 1


@dataclass(frozen=True, slots=True)
class Rows:
    """The taps of every phase, for phases in groups of consecutive ones that read the same samples."""

    ratio: Ratio
    """in whole groups of phases where there are few: a multiple of the reduced one"""
    taps: npt.NDArray[np.float32]
    """`(groups, length, phases of a group)`. Row 0 has the first tap of the group's first phase. Zeros where the taps
    of another phase begin later or end sooner, and for phases past the last"""


@dataclass(frozen=True, slots=True)
class Cubics:
    """The taps as piecewise cubics, lowest power first, of x in [0, 1) from the start of a segment to its end."""

    coefficients: npt.NDArray[np.float32]
    """`(segments of a sample, 4, taps)`: all taps of a phase have the same x. Or `(4, segments)`: a tap lies
    `(tap + 1 - phase) / samples_per_segment` segments behind the start of the first"""
    segments_per_sample: int
    """or 0"""
    samples_per_segment: int
    """or 0"""

    def taps(self, numbers: npt.NDArray[np.int64], phase: float) -> npt.NDArray[np.float64]:
        """Return the taps of some numbers for a phase in [0, 1)."""
        if self.segments_per_sample:
            x, segment = math.modf(phase * self.segments_per_sample)
            c = self.coefficients[int(segment)][:, numbers]
            return _cubic(c, np.float64(x))
        segments, places = np.divmod(numbers, self.samples_per_segment)
        return _cubic(self.coefficients[:, segments], (places + 1 - phase) / self.samples_per_segment)


def make_rows(ratio: Ratio, *, phases_per_group: int) -> Rows:
    """Return the taps of every phase."""
    if ratio.new < _FEW_PHASES:  # much of the last group would be zeros
        ratio = Ratio(ratio.old * phases_per_group, ratio.new * phases_per_group)
    old, new, num_taps = ratio.old, ratio.new, 2 * ratio.half_width
    starts = np.arange(new) * old // new
    firsts = starts[::phases_per_group]
    shifts = starts - np.repeat(firsts, phases_per_group)[:new]
    rows = np.zeros((len(firsts), num_taps + int(shifts.max()), phases_per_group), np.float32)
    for phase in range(new):
        group, place = divmod(phase, phases_per_group)
        behind = phase * old % new / new
        rows[group, shifts[phase] : shifts[phase] + num_taps, place] = _taps(ratio, np.arange(num_taps) - behind)
    return Rows(ratio, rows)


def make_cubics(ratio: Ratio) -> Cubics:
    """Return the taps as cubics, in a table of at most about 1 MB."""
    num_taps = ratio.num_taps
    per_sample = _SEGMENTS_PER_CROSSING * ratio.cutoff
    nodes = (1 + np.cos((2 * np.arange(4) + 1) * np.pi / 8)) / 2
    solve = np.linalg.inv(np.vander(nodes, increasing=True))
    if per_sample * _LONGEST_ROW > 1:
        segments = math.ceil(per_sample)
        behind = (np.arange(segments)[:, None] + nodes) / segments  # (segments, nodes)
        values = _taps(ratio, np.arange(num_taps) - behind[:, :, None])  # (segments, nodes, taps)
        return Cubics((solve @ values).astype(np.float32), segments, 0)
    length = math.floor(1 / per_sample)
    ahead = (np.arange(-(-num_taps // length)) + nodes[:, None]) * length  # (nodes, segments)
    return Cubics((solve @ _taps(ratio, ahead - 1)).astype(np.float32), 0, length)


def _taps(ratio: Ratio, places: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Return the taps at `places`, tap numbers less the phase."""
    crossings = (places - (ratio.half_width - 1)) * ratio.cutoff
    beyond = np.abs(crossings) >= _CROSSINGS
    window = np.i0(_BETA * np.sqrt(np.maximum(1 - (crossings / _CROSSINGS) ** 2, 0))) / np.i0(_BETA)
    return np.where(beyond, 0, ratio.cutoff * np.sinc(crossings) * window)


def _cubic(c: npt.NDArray[np.float32], x: npt.NDArray[np.float64] | np.float64) -> npt.NDArray[np.float64]:
    value: npt.NDArray[np.float64] = ((c[3] * x + c[2]) * x + c[1]) * x + c[0]
    return value
