"""The progress of iterations, in numbers that JSON can hold, and a check that a state fits a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from flowmo_data.epochs.sharding import Shard
from flowmo_data.errors import StateError

VERSION = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of one worker."""

    epoch: int
    """the worker's current epoch"""
    handed_out: int
    """number of spans since `begin` that were handed out, or found to be unreadable at their turn"""
    begin: int = 0
    """with an index: the place in the epoch's order at which all workers of all ranks began; below 0 if an endless
    stream began in an earlier epoch"""
    sets: tuple[tuple[int, int], ...] = ()
    """in a mixture without indexes: for each set, how often it was gone through in this epoch, and the spans since"""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Progress:
        """Return the progress that a worker's state records."""
        sets = tuple((passes, spans) for passes, spans in state.get("by_set", ()))
        return cls(state["epoch"], state["handed_out"], state["begin"], sets)

    def state(self) -> dict[str, Any]:
        """Return numbers for JSON."""
        state = asdict(self)
        by_set = state.pop("sets")
        return {**state, "by_set": by_set} if by_set else state


@dataclass(frozen=True, slots=True)
class Position:
    """The start of an iteration: the progress of each worker, and the worker that is next."""

    workers: Mapping[int, Progress]
    """progress by worker"""
    num_workers: int
    """number of workers that divide the epoch"""
    next_worker: int = 0
    """the worker of the next batch; worker 0 acts as this one, worker 1 as the one after it, and so on"""

    def of(self, shard: Shard) -> tuple[int, Progress]:
        """Return the worker that a process acts as, and the progress of that worker.

        Raises:
            StateError: the position has another number of workers, or does not contain the worker.
        """
        if shard.num_workers != self.num_workers:
            raise StateError(
                f"this state does not fit: num_workers was {self.num_workers} and is {shard.num_workers} (a loader's "
                "state is loaded into a loader, ResumableDataLoader or StatefulDataLoader, not into its dataset)"
            )
        worker = (shard.worker + self.next_worker) % shard.num_workers
        if worker not in self.workers:
            others = ", ".join(map(str, self.workers))
            raise StateError(f"this state does not fit: it is from worker {others}, and this is worker {worker}")
        return worker, self.workers[worker]


@dataclass(frozen=True, slots=True)
class Layout:
    """The ranks, workers and batches of a loader."""

    rank: int
    world_size: int
    num_workers: int
    """1 if the main process does the work"""
    batch_size: int
    """frames in a batch; workers take turns batch by batch"""
    drop_last: bool

    @property
    def shards(self) -> list[Shard]:
        """This rank's shards, by worker."""
        return [Shard(self.rank, self.world_size, worker, self.num_workers) for worker in range(self.num_workers)]


class Reached(Protocol):
    """The progress of the loop over a loader. Each stream has its own."""

    def count(self, worker: int, progress: Progress) -> None:
        """Count one more batch from `worker`; `progress` is the progress of that worker after the batch."""

    def state(self) -> dict[str, Any]:
        """Return a state made of numbers and strings that JSON can hold."""

    def first_epoch(self) -> int:
        """Return the epoch of the loop; the first, if its workers are in several."""

    def position(self) -> Position:
        """Return the position from which workers continue."""


def deal_batches(num_batches: int, available: Sequence[int]) -> tuple[list[int], int]:
    """Divide an epoch's first batches among workers in turn, as the DataLoader does.

    A worker without batches is left out.

    Args:
        num_batches: batches that were handed out.
        available: batches of the whole epoch, by worker.

    Returns:
        The number of batches by worker, and the worker that is next.

    >>> deal_batches(5, [3, 1, 4])
    ([2, 1, 2], 0)
    """
    given, turn = [0] * len(available), 0
    while num_batches and any(left > 0 for left in map(int.__sub__, available, given)):
        if given[turn] < available[turn]:
            given[turn] += 1
            num_batches -= 1
        turn = (turn + 1) % len(available)
    return given, turn


def check_state(state: Mapping[str, Any], expected: Mapping[str, Any], needed: Sequence[str]) -> None:
    """Raise `StateError`, with all differences, if a state lacks or contradicts an expected value.

    Args:
        state: the state.
        expected: values that it must hold.
        needed: further keys that it must have.
    """
    different = [
        f"{name} was {state.get(name)!r} and is {value!r}"
        for name, value in expected.items()
        if state.get(name) != value
    ]
    different += [f"{name} is missing" for name in needed if name not in state]
    if different:
        raise StateError(f"this state does not fit: {'; '.join(different)}")
