"""A window of samples that has been read, and the stretches of it that are lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Stretch = tuple[int, int]
"""the half-open range of samples `[start, stop)`"""


class Window(NamedTuple):
    """Samples that were read."""

    samples: npt.NDArray[np.float32]
    """`(num_samples, channels)`, nominally in [-1, 1], valid until the thread reads again"""
    lost: tuple[Stretch, ...] = ()
    """stretches that are silent because they could not be decoded"""

    @property
    def num_lost(self) -> int:
        """Number of lost samples."""
        return num_lost(self.lost)

    def finite(self) -> Window:
        """Return the window with infinite samples and NaN silenced: a WAV file of floats may hold such."""
        finite = np.isfinite(self.samples)
        if finite.all():
            return self
        bad: npt.NDArray[np.bool_] = ~np.all(finite, axis=1)
        self.samples[bad] = 0
        return Window(self.samples, (*self.lost, *stretches(bad)))


def num_lost(lost: Sequence[Stretch]) -> int:
    """Return the number of samples in some stretches."""
    return sum(stop - start for start, stop in lost) if lost else 0


def stretches(marked: npt.NDArray[np.bool_]) -> list[Stretch]:
    """Return the stretches of a mask that are set.

    >>> stretches(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(marked, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def within(marked: Iterable[Stretch], length: int) -> tuple[Stretch, ...]:
    """Clip stretches to `[0, length)`.

    >>> within([(-3, 2), (5, 9), (9, 12)], 8)
    ((0, 2), (5, 8))
    """
    cut = ((max(start, 0), min(stop, length)) for start, stop in marked)
    return tuple((start, stop) for start, stop in cut if start < stop)
