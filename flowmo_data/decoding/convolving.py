"""Sums of samples times the taps of the resampling filter: by this package's C library, or by NumPy."""

from __future__ import annotations

import ctypes
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flowmo_data.decoding.polyphase import Cubics, Ratio, Rows
from flowmo_data.runtime import library
from flowmo_data.runtime.scratch import scratch

_MOST_SEGMENTS = 16
"""SEGMENTS in resample/rows.c, of the instruction set that has most"""
_CELL = 4_096
"""samples; CELL in resample/cubics.c"""
_PIECE = 8_192
"""output samples that NumPy computes at a time at most, or one period"""
_PRODUCTS = 1 << 18
"""products that NumPy computes at a time. OpenBLAS takes threads for more, as many as there are cores; those of several
processes get in each other's way. On two busy cores, a product of matrices then took 100 ms and not 0.01"""


class Kernels(Protocol):
    """A way to convolve. An output sample's value depends on its index and the input, not on what else is asked for."""

    phases_per_group: int
    """for `polyphase.make_rows`"""

    def by_rows(
        self,
        rows: Rows,
        samples: npt.NDArray[np.float32],
        begin: int,
        start: int,
        stop: int,
        out: npt.NDArray[np.float32],
    ) -> None:
        """Write output samples `[start, stop)`.

        Args:
            rows: the taps.
            samples: `(num_samples, channels)`: input from sample `begin` on, with silence on either side.
            begin: index of the first of them.
            start: the first output sample.
            stop: the end of the output samples.
            out: `(channels, stop - start)`, contiguous along time.
        """

    def by_cubics(
        self,
        cubics: Cubics,
        ratio: Ratio,
        samples: npt.NDArray[np.float32],
        begin: int,
        start: int,
        stop: int,
        sums: npt.NDArray[np.float64],
    ) -> None:
        """Add to output samples `[start, stop)` what these samples give.

        Args:
            cubics: the taps.
            ratio: of the sample rates.
            samples: `(channels, num_samples)`, contiguous: input from sample `begin` on.
            begin: index of the first of them.
            start: the first output sample.
            stop: the end of the output samples.
            sums: `(channels, stop - start)`, contiguous along time.
        """


class CompiledKernels:
    """The functions in `resample`, which are written in C and optional.

    Args:
        variant: the instruction set; None for the one in use.

    Raises:
        MissingPackageError: the C library is not there.
    """

    phases_per_group = 4

    def __init__(self, variant: str | None = None) -> None:
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        variant = variant or library.variant()
        if variant == "avx512":  # its vectors of 512 bits took as long with rows, and a third longer with cubics
            variant = "avx2"
        self._by_rows = library.function(f"resample_by_rows_{variant}")
        self._by_rows.argtypes = (pointer, *[integer] * 4, pointer, *[integer] * 7, pointer, integer, pointer)
        self._by_cubics = library.function(f"resample_by_cubics_{variant}")
        self._by_cubics.argtypes = (pointer, *[integer] * 7, pointer, *[integer] * 5, pointer, integer, pointer)
        self._by_rows.restype = self._by_cubics.restype = None

    def by_rows(
        self,
        rows: Rows,
        samples: npt.NDArray[np.float32],
        begin: int,
        start: int,
        stop: int,
        out: npt.NDArray[np.float32],
    ) -> None:
        """See `Kernels.by_rows`."""
        ratio, length = rows.ratio, rows.taps.shape[1]
        self._by_rows(
            rows.taps.ctypes.data,
            length,
            ratio.old,
            ratio.new,
            ratio.half_width,
            samples.ctypes.data,
            *(stride // samples.itemsize for stride in samples.strides),
            begin,
            *samples.shape,
            start,
            stop,
            out.ctypes.data,
            out.strides[0] // out.itemsize,
            scratch(2 * (length + 3), _MOST_SEGMENTS, name="convolving").ctypes.data,
        )

    def by_cubics(
        self,
        cubics: Cubics,
        ratio: Ratio,
        samples: npt.NDArray[np.float32],
        begin: int,
        start: int,
        stop: int,
        sums: npt.NDArray[np.float64],
    ) -> None:
        """See `Kernels.by_cubics`."""
        self._by_cubics(
            cubics.coefficients.ctypes.data,
            ratio.num_taps,
            cubics.segments_per_sample,
            cubics.samples_per_segment,
            cubics.coefficients.shape[-1],
            ratio.old,
            ratio.new,
            ratio.half_width,
            samples.ctypes.data,
            begin,
            samples.shape[1],
            samples.shape[0],
            start,
            stop,
            sums.ctypes.data,
            sums.strides[0] // sums.itemsize,
            scratch(1, _CELL, name="convolving").ctypes.data,
        )


class NumpyKernels:
    """The same by NumPy, for an install without the C library."""

    phases_per_group = 16

    def by_rows(
        self,
        rows: Rows,
        samples: npt.NDArray[np.float32],
        begin: int,
        start: int,
        stop: int,
        out: npt.NDArray[np.float32],
    ) -> None:
        """See `Kernels.by_rows`.

        A matrix product may round differently for another number of rows, so that pieces lie at multiples of their
        length, whatever is wanted of them.
        """
        ratio, taps = rows.ratio, rows.taps.astype(np.float64)  # sums in single precision err by 1.3e-6
        groups, length, size = taps.shape
        periods = max(min(_PIECE // ratio.new, _PRODUCTS // (length * size)), 1)  # of a piece
        span = periods * ratio.new
        offsets = [group * size * ratio.old // ratio.new for group in range(groups)]
        there = np.zeros((periods - 1) * ratio.old + offsets[-1] + length)
        piece = np.empty((periods, groups * size))
        for first in range(start // span * span, stop, span):
            left, right = max(first, start), min(first + span, stop)
            for channel in range(samples.shape[1]):
                _fill(there, samples[:, channel], ratio.first_tap(first) - begin)
                for group, offset in enumerate(offsets):
                    windows = np.lib.stride_tricks.sliding_window_view(there[offset:], length)
                    windows = np.ascontiguousarray(windows[: (periods - 1) * ratio.old + 1 : ratio.old])
                    piece[:, group * size : (group + 1) * size] = windows @ taps[group]
                resampled = piece[:, : ratio.new].reshape(span)
                out[channel, left - start : right - start] = resampled[left - first : right - first]

    def by_cubics(
        self,
        cubics: Cubics,
        ratio: Ratio,
        samples: npt.NDArray[np.float32],
        begin: int,
        start: int,
        stop: int,
        sums: npt.NDArray[np.float64],
    ) -> None:
        """See `Kernels.by_cubics`."""
        if cubics.segments_per_sample:
            _by_short_cubics(cubics, ratio, samples, begin, start, stop, sums)
        else:
            _by_long_cubics(cubics, ratio, samples, begin, start, stop, sums)


def _by_short_cubics(
    cubics: Cubics,
    ratio: Ratio,
    samples: npt.NDArray[np.float32],
    begin: int,
    start: int,
    stop: int,
    sums: npt.NDArray[np.float64],
) -> None:
    """Do the work of `Kernels.by_cubics`, with all taps of an output sample at one place in their segments."""
    num_taps = ratio.num_taps
    padded = np.pad(samples, ((0, 0), (num_taps, num_taps)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, num_taps, axis=1)
    at_a_time = max(_PRODUCTS // num_taps, 1)
    for left in range(start, stop, at_a_time):
        right = min(left + at_a_time, stop)
        periods, phases = np.divmod(np.arange(left, right), ratio.new)
        places, behind = np.divmod(phases * ratio.old, ratio.new)
        firsts = periods * ratio.old + places - ratio.half_width + 1 - begin + num_taps
        x, segments = np.modf(behind / ratio.new * cubics.segments_per_sample)
        coefficients = cubics.coefficients[segments.astype(np.int64)]  # (outputs, 4, taps)
        met = windows[:, firsts.clip(0, windows.shape[1] - 1)]  # (channels, outputs, taps)
        # a product of the same size for each output, which so does not depend on the others
        c = np.matmul(met.swapaxes(0, 1), coefficients.swapaxes(1, 2)).transpose(2, 1, 0)
        sums[:, left - start : right - start] += ((c[3] * x + c[2]) * x + c[1]) * x + c[0]


def _by_long_cubics(
    cubics: Cubics,
    ratio: Ratio,
    samples: npt.NDArray[np.float32],
    begin: int,
    start: int,
    stop: int,
    sums: npt.NDArray[np.float64],
) -> None:
    """Do the work of `Kernels.by_cubics`, with several taps in a segment: for thousands of taps."""
    for index in range(start, stop):
        first = ratio.first_tap(index) - begin
        low, high = max(-first, 0), min(samples.shape[1] - first, ratio.num_taps)
        if low < high:
            taps = cubics.taps(np.arange(low, high), index * ratio.old % ratio.new / ratio.new)
            sums[:, index - start] += samples[:, first + low : first + high] @ taps


def _fill(out: npt.NDArray[np.float64], samples: npt.NDArray[np.float32], start: int) -> None:
    """Copy samples from `start` on into `out`; zeros if there are none."""
    out[:] = 0
    there = samples[max(start, 0) : max(start + len(out), 0)]
    before = max(-start, 0)
    out[before : before + len(there)] = there
