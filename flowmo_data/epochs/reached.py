"""The progress of the loop over a loader, at the last batch that it has received: of files, and of an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowmo_data.epochs.progress import Layout, Position, Progress


@dataclass
class ReachedByWorkers:
    """The progress of each worker at its last batch that the loop has received."""

    workers: list[Progress]
    next_worker: int
    batches: int

    def count(self, worker: int, progress: Progress) -> None:
        """See `Reached.count`."""
        self.workers[worker] = progress
        self.next_worker = (worker + 1) % len(self.workers)
        self.batches += 1

    def first_epoch(self) -> int:
        """See `Reached.first_epoch`."""
        return min(worker.epoch for worker in self.workers)

    def position(self) -> Position:
        """See `Reached.position`."""
        return Position(dict(enumerate(self.workers)), len(self.workers), self.next_worker)


@dataclass
class ReachedInFiles(ReachedByWorkers):
    """The progress of each worker, in a folder: a `Reached`."""

    identity: dict[str, Any]
    rank: int

    def state(self) -> dict[str, Any]:
        """See `Reached.state`."""
        workers = [[worker.epoch, worker.handed_out] for worker in self.workers]
        place = {"rank": self.rank, "batches": self.batches, "workers": workers, "next_worker": self.next_worker}
        return {**self.identity, **place}


@dataclass
class ReachedInIndex:
    """The number of frames of an epoch's order that all ranks together have received: a `Reached`."""

    identity: dict[str, Any]
    epoch: int
    frames: int
    layout: Layout
    frames_per_epoch: int
    repeat: bool

    def count(self, worker: int, progress: Progress) -> None:  # noqa: ARG002
        """See `Reached.count`. All ranks receive the same number of frames."""
        self.frames += self.layout.batch_size * self.layout.world_size
        if self.repeat:
            epochs, self.frames = divmod(self.frames, self.frames_per_epoch)
            self.epoch += epochs
        else:
            self.frames = min(self.frames, self.frames_per_epoch)

    def state(self) -> dict[str, Any]:
        """See `Reached.state`."""
        return {**self.identity, "epoch": self.epoch, "frames": self.frames}

    def first_epoch(self) -> int:
        """See `Reached.first_epoch`."""
        return self.epoch

    def position(self) -> Position:
        """See `Reached.position`."""
        progress, num_workers = Progress(self.epoch, 0, self.frames), self.layout.num_workers
        return Position(dict.fromkeys(range(num_workers), progress), num_workers)
