"""An epoch's frames in one order for all ranks, with direct access to any frame. It needs the lengths of all files.

    place in the order   0 . . . . . . . . . . . . . . num_frames     ranks and workers take turns here
         │  permuted, all of them or in blocks; with a limit, spread over all
         ▼
    frame of the layout  [ 0 . . . ][ . . . . . ][ . . ]              files one after the other
         │  found by a search
         ▼
    file, start          (2, 151_000)

Every epoch has the same number of frames. For each file, phases up to a threshold give one number of frames, and larger
phases give one more (where a phase adds zeros) or one fewer (where it skips samples). The number of files past their
threshold is fixed: lay the phases past the thresholds of all files end to end on a line, and select one file for every
`hop`. Points at equal distances on that line, the first at random, give these files and their phases (systematic
sampling with unequal probabilities: Madow, "On the Theory of Systematic Sampling, II", 1949). So the phase of each file
is still uniform, except that the number of points must be whole: with only a few files, some phases are rarer or never
occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from flowmo_data.epochs.framing import skips_phase
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
        hop: samples from the start of a frame to the start of the next; None for `samples_per_frame`.
        limit: number of frames to select, evenly spaced in file order, the same in every epoch, with phases of 0. With
            `shuffle`, they are shuffled among each other. None for all.
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
        hop: int | None = None,
        limit: int | None = None,
    ) -> None:
        self._hop, self._seed, self._epoch = samples_per_frame if hop is None else hop, seed, epoch
        phases = np.zeros_like(lengths)
        if shuffle and limit is None:
            phases = draw_phases(lengths, samples_per_frame, framing, random_bits(seed, epoch, Purpose.PHASE), hop=hop)
        counts = frame_counts(lengths, samples_per_frame, framing, phases, hop=hop)
        self._files: Numbers | None = None  # in the order of the layout; None: in their own order
        if shuffle and limit is None and shuffle_buffer_size is not None:
            self._files = Permutation(len(lengths), random_bits(seed, epoch, Purpose.FILE_ORDER)).array()
            counts, phases = counts[self._files], phases[self._files]
        self._ends = np.cumsum(counts)
        self._first = phases if skips_phase(samples_per_frame, framing, self._hop) else -phases
        self._total = int(self._ends[-1]) if len(lengths) else 0
        self._length = self._total if limit is None else min(limit, self._total)
        block = self._length if limit is not None else shuffle_buffer_size or self._length
        self._block = block if shuffle else None
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
        if self._length < self._total:
            index = (2 * index + 1) * self._total // (2 * self._length)
        slot = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[slot - 1]) if slot else 0
        file = slot if self._files is None else int(self._files[slot])
        return Place(file, int(self._first[slot]) + (index - before) * self._hop)

    def frames_per_file(self) -> Numbers:
        """Return the number of frames of each file: int64, shape `(num_files,)`."""
        indices = np.arange(self._length, dtype=np.int64)
        if self._length < self._total:
            indices = (2 * indices + 1) * self._total // (2 * self._length)
        slots = np.searchsorted(self._ends, indices, side="right")
        files = slots if self._files is None else self._files[slots]
        return np.bincount(files, minlength=len(self._ends)).astype(np.int64)

    def _block_permutation(self, block: int) -> Permutation:
        assert self._block is not None
        length = min(self._block, self._length - block * self._block)
        return Permutation(length, random_bits(self._seed, self._epoch, Purpose.SPAN_ORDER, block))


def frame_counts(
    lengths: Numbers, samples_per_frame: int, framing: str, phases: Numbers, *, hop: int | None = None
) -> Numbers:
    """Return the number of frames that `framing.frame_starts` gives for each file."""
    hop = samples_per_frame if hop is None else hop
    if skips_phase(samples_per_frame, framing, hop):
        counts: Numbers = -(-np.maximum(_num_starts(lengths, samples_per_frame, framing) - phases, 0) // hop)
    else:
        counts = np.where(lengths > 0, 1 - -np.maximum(lengths + phases - samples_per_frame, 0) // hop, 0)
    return counts


def frames_per_epoch(
    lengths: Numbers,
    samples_per_frame: int,
    framing: str,
    *,
    shuffle: bool,
    hop: int | None = None,
    limit: int | None = None,
) -> int:
    """Return the number of frames in every plan over these files, for any seed and epoch."""
    hop = samples_per_frame if hop is None else hop
    total = int(frame_counts(lengths, samples_per_frame, framing, np.zeros_like(lengths), hop=hop).sum())
    if limit is not None:
        return min(limit, total)
    if not shuffle:
        return total
    _, beyond = _thresholds(lengths, samples_per_frame, framing, hop)
    past = int(beyond.sum()) // hop
    return total - past if skips_phase(samples_per_frame, framing, hop) else total + past


def _num_starts(lengths: Numbers, samples_per_frame: int, framing: str) -> Numbers:
    """Return the number of samples of each file at which a frame may start, if its phase skips samples."""
    return lengths if framing == "pad" else np.maximum(lengths - samples_per_frame + 1, 0)


def _thresholds(lengths: Numbers, samples_per_frame: int, framing: str, hop: int) -> tuple[Numbers, Numbers]:
    """Return each file's last phase that gives as many frames as phase 0, and the number of phases past it."""
    if skips_phase(samples_per_frame, framing, hop):
        num_starts = _num_starts(lengths, samples_per_frame, framing)
        thresholds = np.where(num_starts > 0, (num_starts - 1) % hop, 0)
        beyond = np.where(num_starts > hop, hop - 1 - thresholds, 0)
    else:
        room = samples_per_frame - lengths
        thresholds = np.where(room > 0, np.minimum(room, hop - 1), room % hop)
        beyond = np.where(lengths > 0, hop - 1 - thresholds, 0)
    return thresholds, beyond


def draw_phases(
    lengths: Numbers, samples_per_frame: int, framing: str, bits: np.random.Philox, *, hop: int | None = None
) -> Numbers:
    """Return a phase for each file, so that the total number of frames is the same in every epoch."""
    hop = samples_per_frame if hop is None else hop
    thresholds, beyond = _thresholds(lengths, samples_per_frame, framing, hop)
    raw = bits.random_raw(len(lengths)).astype(np.uint64) if len(lengths) else np.empty(0, np.uint64)
    phases: Numbers = (raw % (thresholds.astype(np.uint64) + np.uint64(1))).astype(np.int64)
    edges = np.cumsum(beyond)
    total = int(edges[-1]) if len(edges) else 0
    num_points = total // hop
    if num_points:
        points = np.arange(num_points, dtype=np.int64)
        apart, rest = divmod(total, num_points)
        points = points * apart + (points * rest + random_below(bits, total)) // num_points
        files = np.searchsorted(edges, points, side="right")
        phases[files] = thresholds[files] + 1 + points - (edges[files] - beyond[files])
    return phases
