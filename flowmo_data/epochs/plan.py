"""An epoch's frames in one order for all ranks, with direct access to any frame. It needs the lengths of all files.

    place in the order   0 . . . . . . . . . . . . . . num_frames     ranks and workers take turns here
         │  permuted, all of them or in blocks
         ▼
    frame of the layout  [ 0 . . . ][ . . . . . ][ . . ]              files one after the other
         │  found by a search
         ▼
    file, start          (2, 151_000)

Every epoch has the same number of frames. For each file, phases up to a threshold give one number of frames, and larger
phases give one more (with "pad") or one fewer ("drop"). The number of files past their threshold is fixed: lay the
phases past the thresholds of all files end to end on a line, and select one file for every `samples_per_frame`.
Points at equal distances on that line, the first at random, give these files and their phases (systematic sampling
with unequal probabilities: Madow, "On the Theory of Systematic Sampling, II", 1949). So the phase of each file is still
uniform, except that the number of points must be whole: with only a few files, some phases are rarer or never occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from flowmo_data.epochs.randomness import Permutation, Purpose, random_below, random_bits

Numbers = npt.NDArray[np.int64]


class Place(NamedTuple):
    """The place in a file from which a frame is cut."""

    file: int
    """index of the file"""
    start: int
    """index of the frame's first sample in the file; negative if the frame begins with padding"""


class EpochPlan(Sequence[Place]):
    """The frames of one epoch in order. Each is computed on access, in a few microseconds.

    Args:
        lengths: samples of each file at the dataset's rate, int64; 0 leaves a file out.
        samples_per_frame: length of a frame.
        framing: "pad" or "drop".
        shuffle: False for file order, and phases of 0.
        shuffle_buffer_size: number of frames to shuffle among each other: files are put in random order, and their
            frames are shuffled in blocks of this size. None shuffles all frames of the epoch.
        seed: seed of all randomness, together with the epoch.
        epoch: the epoch.
    """

    def __init__(
        self,
        lengths: Numbers,
        *,
        samples_per_frame: int,
        framing: str,
        shuffle: bool,
        shuffle_buffer_size: int | None,
        seed: int,
        epoch: int,
    ) -> None:
        self._samples_per_frame, self._seed, self._epoch = samples_per_frame, seed, epoch
        phases = np.zeros_like(lengths)
        if shuffle:
            phases = draw_phases(lengths, samples_per_frame, framing, random_bits(seed, epoch, Purpose.PHASE))
        counts = frame_counts(lengths, samples_per_frame, framing, phases)
        self._files: Numbers | None = None  # in the order of the layout; None: in their own order
        if shuffle and shuffle_buffer_size is not None:
            self._files = Permutation(len(lengths), random_bits(seed, epoch, Purpose.FILE_ORDER)).array()
            counts, phases = counts[self._files], phases[self._files]
        self._ends = np.cumsum(counts)
        self._first = -phases if framing == "pad" else phases
        self._length = int(self._ends[-1]) if len(lengths) else 0
        self._block = (shuffle_buffer_size or self._length) if shuffle else None
        self._permutation = lru_cache(maxsize=2)(self._block_permutation)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Place: ...
    @overload
    def __getitem__(self, index: slice) -> list[Place]: ...
    def __getitem__(self, index: int | slice) -> Place | list[Place]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} frames, none at {index}")
        if self._block is not None:
            block, inside = divmod(index, self._block)
            index = block * self._block + self._permutation(block)[inside]
        slot = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[slot - 1]) if slot else 0
        file = slot if self._files is None else int(self._files[slot])
        return Place(file, int(self._first[slot]) + (index - before) * self._samples_per_frame)

    def _block_permutation(self, block: int) -> Permutation:
        assert self._block is not None
        length = min(self._block, self._length - block * self._block)
        return Permutation(length, random_bits(self._seed, self._epoch, Purpose.SPAN_ORDER, block))


def frame_counts(lengths: Numbers, samples_per_frame: int, framing: str, phases: Numbers) -> Numbers:
    """Return the number of frames that `framing.frame_starts` gives for each file."""
    counts: Numbers = np.maximum(lengths - phases, 0) // samples_per_frame
    if framing == "pad":
        counts = np.where(lengths > 0, -(-(phases + lengths) // samples_per_frame), 0)
    return counts


def frames_per_epoch(lengths: Numbers, samples_per_frame: int, framing: str, *, shuffle: bool) -> int:
    """Return the number of frames in every plan over these files, for any seed and epoch."""
    total = int(frame_counts(lengths, samples_per_frame, framing, np.zeros_like(lengths)).sum())
    if not shuffle:
        return total
    _, beyond = _thresholds(lengths, samples_per_frame, framing)
    past = int(beyond.sum()) // samples_per_frame
    return total + past if framing == "pad" else total - past


def _thresholds(lengths: Numbers, samples_per_frame: int, framing: str) -> tuple[Numbers, Numbers]:
    """Return each file's last phase that gives as many frames as phase 0, and the number of phases past it."""
    if framing == "pad":
        thresholds = -lengths % samples_per_frame
        beyond = np.where(lengths > 0, samples_per_frame - 1 - thresholds, 0)
    else:
        thresholds = np.where(lengths >= samples_per_frame, lengths % samples_per_frame, 0)
        beyond = np.where(lengths >= 2 * samples_per_frame, samples_per_frame - 1 - thresholds, 0)
    return thresholds, beyond


def draw_phases(lengths: Numbers, samples_per_frame: int, framing: str, bits: np.random.Philox) -> Numbers:
    """Return a phase for each file, so that the total number of frames is the same in every epoch."""
    thresholds, beyond = _thresholds(lengths, samples_per_frame, framing)
    raw = bits.random_raw(len(lengths)).astype(np.uint64) if len(lengths) else np.empty(0, np.uint64)
    phases: Numbers = (raw % (thresholds.astype(np.uint64) + np.uint64(1))).astype(np.int64)
    edges = np.cumsum(beyond)
    total = int(edges[-1]) if len(edges) else 0
    num_points = total // samples_per_frame
    if num_points:
        points = np.arange(num_points, dtype=np.int64)
        apart, rest = divmod(total, num_points)
        points = points * apart + (points * rest + random_below(bits, total)) // num_points
        files = np.searchsorted(edges, points, side="right")
        phases[files] = thresholds[files] + 1 + points - (edges[files] - beyond[files])
    return phases
