"""The epoch of each iteration, agreed between a dataset's copies in the main process and in its workers.

The main process does not notice when a DataLoader starts its workers on a new epoch, and they start in any order. So
all of them write to one log, and each derives the same result from its lines, in their order:

    ["set", RANK, EPOCH]                              `set` was called: this epoch is next
    ["begin", RANK, ITERATION, WORKER, SETS, EPOCH]   a worker begins an iteration, at EPOCH if that is not null
    ["at", RANK, WORKER, SETS, EPOCH]                 an iteration has reached an epoch

The first worker that begins an iteration gives it the next epoch; the others find its line before theirs. SETS is the
number of `set` calls that the writer knew of: a line from before a `set` does not change the next epoch.

A dataset may be made before ranks are forked or spawned from one process, so each line names its rank; null means all.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from multiprocessing.context import get_spawning_popen
from typing import Any

from torch.utils.data import get_worker_info

from flowmo_data.errors import OptionError
from flowmo_data.runtime.shared_log import SharedLog

_MOST_EPOCHS = 1 << 32
_ITERATIONS_KEPT = 16
"""number of iterations to remember: a slow worker may begin one when others are in a later one"""


@dataclass
class _Row:
    """The state of a rank, as derived from its lines."""

    sets: int = 0
    least: int = 0
    """the epoch of the last `set`"""
    after: dict[int, int] = field(default_factory=dict)
    """the epoch after that of the last iteration, by worker"""
    iterations: dict[int, tuple[int, set[int]]] = field(default_factory=dict)
    """the epoch of an iteration and the workers that have begun it, by iteration"""

    @property
    def upcoming(self) -> int:
        return max(self.least, *self.after.values(), 0)

    def set(self, epoch: int) -> None:
        self.sets, self.least, self.after = self.sets + 1, epoch, {}

    def begin(self, iteration: int, worker: int, sets: int, given: int | None) -> None:
        epoch, workers = self.iterations.pop(iteration, (0, {worker}))
        if worker in workers:  # the first of its iteration; or its seed has occurred before
            epoch, workers = self.upcoming if given is None else given, set()
        self.iterations[iteration] = epoch, workers | {worker}
        if len(self.iterations) > _ITERATIONS_KEPT:
            self.iterations.pop(next(iter(self.iterations)))
        self.at(worker, sets, epoch)

    def at(self, worker: int, sets: int, epoch: int) -> None:
        if sets == self.sets:
            self.after[worker] = epoch + 1


class EpochClock:
    """A clock that gives each iteration its epoch: 0 for the first, then one more each time, or the one from `set`.

    Its methods take the rank and the number of ranks. A process that is alone counts for all ranks
    that descend from it.
    """

    def __init__(self) -> None:
        self._shared = SharedLog()
        self._origin: dict[int | None, _Row] = {None: _Row()}  # before the first line
        self._rows, self._place = copy.deepcopy(self._origin), 0
        self._seen_sets = 0
        self._begun = 0  # number of iterations that this worker has begun
        self.iteration = 0
        """number of the last iteration here, the same in all of its workers"""

    def set(self, epoch: int, rank: int = 0, world_size: int = 1) -> None:
        """Make `epoch` the epoch of the next iteration, in this process and in all its workers.

        Raises:
            OptionError: the epoch is not a whole number, 0 or greater.
        """
        if isinstance(epoch, bool) or not isinstance(epoch, int) or not 0 <= epoch < _MOST_EPOCHS:
            raise OptionError(f"epoch={epoch!r}: an epoch is a whole number, 0 or greater")
        self._seen_sets = self._row(rank).sets + 1
        self._write("set", _named(rank, world_size), epoch)

    def next(self, rank: int = 0, world_size: int = 1) -> int:
        """Return the epoch of the iteration that begins now."""
        info = get_worker_info()
        if info is not None:
            if self._begun:  # a new worker uses the epoch that was set before its start
                self._seen_sets = self._row(rank).sets
            return self._agreed(info, rank, world_size)
        self.iteration += 1
        epoch = self.upcoming(rank)
        self._count(epoch, rank, world_size)
        return epoch

    def begin_at(self, epoch: int, rank: int = 0, world_size: int = 1) -> None:
        """Begin an iteration at `epoch`, taken from a state."""
        info = get_worker_info()
        if info is None:
            self.iteration += 1
            self._count(epoch, rank, world_size)
        else:
            self._agreed(info, rank, world_size, epoch)

    def went_on(self, epoch: int, rank: int = 0, world_size: int = 1) -> None:
        """Record that the current iteration has reached `epoch` by itself."""
        self._count(epoch, rank, world_size)

    def upcoming(self, rank: int = 0) -> int:
        """Return the epoch of the next iteration."""
        return self._row(rank).upcoming

    def _agreed(self, info: Any, rank: int, world_size: int = 1, epoch: int | None = None) -> int:
        """Begin an iteration as a worker; return its epoch, the same in all workers of the iteration."""
        number = hash((info.seed - info.id, info.num_workers, self._seen_sets, self._begun))
        self.iteration = number & 0x7FFF_FFFF
        self._begun += 1
        self._write("begin", _named(rank, world_size), self.iteration, info.id, self._seen_sets, epoch)
        return self._row(rank).iterations[self.iteration][0]

    def _count(self, epoch: int, rank: int, world_size: int) -> None:
        info = get_worker_info()
        worker = 0 if info is None else info.id
        self._write("at", _named(rank, world_size), worker, self._seen_sets, epoch)

    def _write(self, kind: str, rank: int | None, *values: int | None) -> None:
        self._shared.append(json.dumps([kind, rank, *values]))

    def _row(self, rank: int) -> _Row:
        """Return a rank's row, updated with all lines so far."""
        lines, self._place = self._shared.read_from(self._place)
        for line in lines:
            kind, named, *values = json.loads(line)
            rows = list(self._rows.values()) if named is None else [self._known(named)]
            for row in rows:
                getattr(row, kind)(*values)
        return self._known(rank)

    def _known(self, rank: int) -> _Row:
        if rank not in self._rows:
            self._rows[rank] = copy.deepcopy(self._rows[None])
        return self._rows[rank]

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if get_spawning_popen() is None:  # a copy, which shares nothing
            self._row(0)
            state["_origin"] = {rank: _Row(row.sets, row.upcoming) for rank, row in self._rows.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._rows, self._place = copy.deepcopy(self._origin), 0  # a spawned worker replays all lines


def _named(rank: int, world_size: int) -> int | None:
    """Return the rank as lines name it; null for a process that is alone."""
    return None if world_size == 1 else rank
