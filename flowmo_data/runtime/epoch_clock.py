"""Which epoch an iteration belongs to, agreed between a dataset's copies in the main process and in its workers.

The main process is not told when a DataLoader starts its workers on a new epoch, and they start in any order. So each
worker leaves a note in shared memory: which DataLoader iteration it begins, and which epoch it took. One that finds a
note of its own iteration takes that epoch; one that finds none takes the next. Nothing is locked: a note is one 64-bit
store to a place that only one process writes; who counts an epoch has left a note of it first, and the count is read
before the notes, so that all who find no note find the same count.

A dataset may be made before ranks are forked or spawned from one process. Every rank has a row of its own.
"""

from __future__ import annotations

from multiprocessing.context import get_spawning_popen
from typing import Any

import torch
from torch.utils.data import get_worker_info

from flowmo_data.errors import OptionError

_MAX_RANKS = 64
"""ranks on one machine that can descend from one process"""
_MAX_WORKERS = 256
_EPOCH_BITS = 32
_EPOCH_MASK = (1 << _EPOCH_BITS) - 1

_SETS = 0
"""place in a row: how often `set` was called, and the epoch it set"""
_UPCOMING = slice(1, 1 + _MAX_WORKERS)
"""by worker: the epoch after that of its last iteration; the largest is the next epoch"""
_NOTES = (
    slice(1 + _MAX_WORKERS, 1 + 2 * _MAX_WORKERS),
    slice(1 + 2 * _MAX_WORKERS, 1 + 3 * _MAX_WORKERS),
)
"""by worker: the iteration that it began last, and its epoch; in turn, as a slow worker may be one iteration behind"""
_ROW = 1 + 3 * _MAX_WORKERS


class EpochClock:
    """Gives each iteration its epoch: 0 for the first, then one more each time, or what `set` says.

    Its methods take the rank and the number of ranks. A process that is alone counts for all ranks that may come of it.
    """

    def __init__(self) -> None:
        self._shared = torch.zeros(_MAX_RANKS, _ROW, dtype=torch.int64)
        self._share()
        self._seen_sets = 0
        self._begun = 0  # iterations of this worker
        self.iteration = 0  # a number that the workers of the iteration that began last here share

    def set(self, epoch: int, rank: int = 0, world_size: int = 1) -> None:
        """Make `epoch` that of the next iteration, in this process and in all its workers.

        Raises:
            OptionError: the epoch is not a whole number from 0 on.
        """
        if isinstance(epoch, bool) or not isinstance(epoch, int) or not 0 <= epoch < _EPOCH_MASK:
            raise OptionError(f"epoch={epoch!r}: an epoch is a whole number from 0 on")
        rows = self._rows(rank, world_size)
        self._seen_sets = self._sets(rank)[0] + 1
        rows[:, _UPCOMING] = epoch
        rows[:, _SETS] = _pair(self._seen_sets, epoch)

    def next(self, rank: int = 0, world_size: int = 1) -> int:
        """The epoch of the iteration that begins now."""
        info = get_worker_info()
        if info is None:
            self.iteration += 1
            epoch = self.upcoming(rank)
        else:
            if self._begun:  # a worker that was just started goes by what was set before it was
                self._seen_sets = self._sets(rank)[0]
            epoch = self._agreed(info, rank)
        self._count(epoch, rank, world_size)
        return epoch

    def begin_at(self, epoch: int, rank: int = 0, world_size: int = 1) -> None:
        """Say that the iteration that begins now is in `epoch`, which a state says."""
        info = get_worker_info()
        if info is None:
            self.iteration += 1
        else:
            self._leave_note(info, rank, epoch)
        self._count(epoch, rank, world_size)

    def went_on(self, epoch: int, rank: int = 0, world_size: int = 1) -> None:
        """Say that the iteration that runs here has come to `epoch` by itself."""
        self._count(epoch, rank, world_size)

    def upcoming(self, rank: int = 0) -> int:
        """The epoch of the next iteration."""
        return int(self._shared[rank % _MAX_RANKS, _UPCOMING].max())

    def _agreed(self, info: Any, rank: int) -> int:
        """The epoch of the other workers of this iteration, or the next where this one is the first."""
        upcoming = self.upcoming(rank)  # before the notes
        iteration = self._iteration(info)
        notes = [_parts(note) for note in self._shared[rank % _MAX_RANKS, _NOTES[self._begun & 1]].tolist()]
        epochs = [epoch for by, epoch in notes if by == iteration]
        if not epochs or notes[info.id % _MAX_WORKERS] == (
            iteration,
            max(epochs),
        ):  # the latter: a seed that came before
            epochs = [upcoming]
        self._leave_note(info, rank, max(epochs))
        return max(epochs)

    def _leave_note(self, info: Any, rank: int, epoch: int) -> None:
        place = _NOTES[self._begun & 1].start + info.id % _MAX_WORKERS
        self.iteration = self._iteration(info)
        self._shared[rank % _MAX_RANKS, place] = _pair(self.iteration, epoch)
        self._begun += 1

    def _iteration(self, info: Any) -> int:
        """A number that the workers of one iteration over one DataLoader share, and others do not: 31 bits, not 0."""
        return hash((info.seed - info.id, info.num_workers, self._seen_sets, self._begun)) & 0x7FFF_FFFF or 1

    def _count(self, epoch: int, rank: int, world_size: int) -> None:
        """Note the epoch as begun, unless another was set since."""
        info = get_worker_info()
        if self._sets(rank)[0] == self._seen_sets:
            place = _UPCOMING.start + (0 if info is None else info.id % _MAX_WORKERS)
            self._rows(rank, world_size)[:, place] = epoch + 1

    def _sets(self, rank: int) -> tuple[int, int]:
        return _parts(int(self._shared[rank % _MAX_RANKS, _SETS]))

    def _rows(self, rank: int, world_size: int) -> torch.Tensor:
        """This rank's row; all rows, for a process that is alone."""
        return self._shared if world_size == 1 else self._shared[rank % _MAX_RANKS : rank % _MAX_RANKS + 1]

    def _share(self) -> None:
        self._shared.share_memory_()  # type: ignore[no-untyped-call]

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if get_spawning_popen() is None:  # a plain pickle, a copy: it shares nothing
            state["_shared"] = (self._shared[:, _SETS].tolist(), self._shared[:, _UPCOMING].amax(dim=1).tolist())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self._shared, tuple):
            sets, upcoming = self._shared
            self._shared = torch.zeros(_MAX_RANKS, _ROW, dtype=torch.int64)
            self._shared[:, _SETS] = torch.tensor(sets)
            self._shared[:, _UPCOMING] = torch.tensor(upcoming).unsqueeze(1)
            self._share()


def _pair(high: int, epoch: int) -> int:
    return high << _EPOCH_BITS | epoch


def _parts(pair: int) -> tuple[int, int]:
    return pair >> _EPOCH_BITS, pair & _EPOCH_MASK
