"""How far iterations are, in numbers that JSON can hold; and whether a state fits another dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flowmo_data.epochs.sharding import Shard
from flowmo_data.errors import StateError

VERSION = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one worker is."""

    epoch: int
    """the epoch that it is in"""
    handed_out: int
    """spans that it has handed out since `begin`, or found to be unreadable when their turn came"""
    begin: int = 0
    """with an index: the place in the epoch's order at which all workers of all ranks began; below 0 where an endless
    stream began in an epoch before"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where an iteration starts: how far each worker is, and whose turn it is."""

    workers: Mapping[int, Progress]
    """by worker"""
    num_workers: int
    """workers that the epoch was dealt out to"""
    next_worker: int = 0
    """the worker whose batch comes next; it is played by worker 0, the one after it by worker 1, and so on"""

    def of(self, shard: Shard) -> tuple[int, Progress]:
        """The worker that a process plays, and how far that one is.

        Raises:
            StateError: the position does not tell.
        """
        if shard.num_workers != self.num_workers:
            raise StateError(
                f"this state does not fit: num_workers was {self.num_workers} and is {shard.num_workers} (a loader's "
                "state is loaded into a loader, ResumableDataLoader or StatefulDataLoader, not into its dataset)"
            )
        worker = (shard.worker + self.next_worker) % shard.num_workers
        if worker not in self.workers:
            told = ", ".join(map(str, self.workers))
            raise StateError(f"this state does not fit: it is that of worker {told}, and this is worker {worker}")
        return worker, self.workers[worker]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a loader takes frames: ranks, workers and batches."""

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
    """How far the loop over a loader is. Each stream has its own."""

    def count(self, worker: int, progress: Progress) -> None:
        """Count one more batch, which `worker` made; `progress` is that worker's after the batch."""

    def state(self) -> dict[str, Any]:
        """Return a state, in numbers and strings that JSON can hold."""

    def first_epoch(self) -> int:
        """Return the epoch that the loop is in, or the first of several."""

    def position(self) -> Position:
        """Return where workers start to go on from here."""


def deal_batches(num_batches: int, available: Sequence[int]) -> tuple[list[int], int]:
    """Which worker gave how many of an epoch's first batches. The DataLoader takes them in turn, who has none left out.

    Args:
        num_batches: batches that were handed out.
        available: batches of the whole epoch, by worker.

    Returns:
        The number of batches by worker, and the worker whose turn is next.

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
    """Raise `StateError`, saying what differs, if a state lacks or contradicts what is expected.

    Args:
        state: the state.
        expected: what it must hold.
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
