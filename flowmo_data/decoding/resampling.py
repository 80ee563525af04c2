"""Samples at another rate, window by window: a window is bit-equal to the same slice of the whole.

Memory is bounded for any two rates. An output sample takes as many products as the filter has taps, some 140 of them,
or that times the factor by which the rate goes down.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from flowmo_data.decoding.convolving import CompiledKernels, Kernels, NumpyKernels
from flowmo_data.decoding.polyphase import Cubics, Ratio, Rows, make_cubics, make_rows
from flowmo_data.decoding.window import Stretch, Window, stretches
from flowmo_data.runtime import library
from flowmo_data.tracks import ResampledPart

_PIECE = 1 << 18
"""samples that are read at a time if the taps are cubics; a multiple of the C library's cell of 4,096"""
_MOST_READ = 1 << 20
"""samples that are read at a time at most, 8 MB in stereo"""


class Resampler:
    """Resampling from one rate to another.

    Args:
        old_rate: Hz of what goes in.
        new_rate: Hz of what comes out.
        kernels: what convolves; None takes the fastest that is there.
    """

    def __init__(self, old_rate: int, new_rate: int, *, kernels: Kernels | None = None) -> None:
        self.ratio = Ratio.of(old_rate, new_rate)
        self._kernels = kernels or best_kernels()

    def num_samples(self, num_samples: int) -> int:
        """Return how many samples come out if so many go in."""
        return -(-num_samples * self.ratio.new // self.ratio.old)

    def input_range(self, start: int, stop: int) -> tuple[int, int]:
        """Return the half-open range of input samples that output samples `[start, stop)` depend on.

        It may begin below 0 and end after the last: there is silence.
        """
        return self.ratio.first_tap(start), self.ratio.first_tap(stop - 1) + self.ratio.num_taps

    def output_range(self, start: int, stop: int) -> tuple[int, int]:
        """Return a half-open range of output samples that has all that depend on input samples `[start, stop)`."""
        old, new, taps = self.ratio.old, self.ratio.new, self.ratio.num_taps
        return (start - taps) * new // old, -(-(stop + taps) * new // old)

    def resample(
        self,
        read: Callable[[int, int], npt.NDArray[np.float32]],
        num_samples: int,
        start: int,
        stop: int,
        out: npt.NDArray[np.float32],
    ) -> None:
        """Write output samples `[start, stop)`.

        Args:
            read: takes a half-open range of input samples and returns these, `(samples, channels)`; they may be
                overwritten by its next call. Ranges come in order, and may overlap.
            num_samples: the number of input samples; before and after them is silence.
            start: the first output sample.
            stop: the end of the output samples.
            out: `(channels, stop - start)`, contiguous along time.
        """
        old, new = self.ratio.old, self.ratio.new
        at_a_time = max(_MOST_READ * new // old, 1) if self.ratio.is_exact else _MOST_READ
        for left in range(start, stop, at_a_time):
            right = min(left + at_a_time, stop)
            begin, end = self.input_range(left, right)
            begin, end = max(begin, 0), min(end, num_samples)
            part = out[:, left - start : right - start]
            if begin >= end:
                part[:] = 0
            elif self.ratio.is_exact:
                rows = _rows(self.ratio, self._kernels.phases_per_group)
                self._kernels.by_rows(rows, read(begin, end), begin, left, right, part)
            else:
                self._by_cubics(read, begin, end, left, right, part)

    def _by_cubics(
        self,
        read: Callable[[int, int], npt.NDArray[np.float32]],
        begin: int,
        end: int,
        start: int,
        stop: int,
        out: npt.NDArray[np.float32],
    ) -> None:
        cubics = _cubics(self.ratio)
        sums = np.zeros(out.shape)
        for piece in range(begin // _PIECE * _PIECE, end, _PIECE):
            first, last = max(piece, begin), min(piece + _PIECE, end)
            samples = np.ascontiguousarray(read(first, last).T)
            left, right = self.output_range(first, last)
            left, right = max(left, start), min(right, stop)
            part = sums[:, left - start : right - start]
            self._kernels.by_cubics(cubics, self.ratio, samples, first, left, right, part)
        out[:] = sums


@lru_cache(maxsize=1)
def best_kernels() -> Kernels:
    """Return the C library's kernels, or NumPy's if there is no C library."""
    return CompiledKernels() if library.is_available() else NumpyKernels()


@lru_cache(maxsize=8)
def _rows(ratio: Ratio, phases_per_group: int) -> Rows:
    return make_rows(ratio, phases_per_group=phases_per_group)


@lru_cache(maxsize=8)
def _cubics(ratio: Ratio) -> Cubics:
    return make_cubics(ratio)


@lru_cache(maxsize=8)
def _resampler(old_rate: int, new_rate: int) -> Resampler:
    return Resampler(old_rate, new_rate)


def resample_into(
    part: ResampledPart,
    start: int,
    stop: int,
    out: npt.NDArray[np.float32],
    read: Callable[[int, int], Window],
) -> tuple[Stretch, ...]:
    """Write the samples `[start, stop)` of a resampled part into memory.

    Args:
        part: the part.
        start: first sample, at the new rate.
        stop: one past the last sample.
        out: `(channels, stop - start)`, contiguous along time.
        read: reads a window of the part at its own rate, with as many channels.

    Returns:
        The stretches of the window that are silent because they could not be decoded.
    """
    resampler = _resampler(part.part.sample_rate, part.sample_rate)
    lost: list[Stretch] = []

    def read_own(begin: int, end: int) -> npt.NDArray[np.float32]:
        window = read(begin, end)
        lost.extend((begin + left, begin + right) for left, right in window.lost)
        return window.samples

    resampler.resample(read_own, part.part.num_samples, start, stop, out)
    if not lost:
        return ()
    silent = np.zeros(stop - start, np.bool_)
    for left, right in lost:
        silent[max(resampler.num_samples(left) - start, 0) : max(resampler.num_samples(right) - start, 0)] = True
    return tuple(stretches(silent))
