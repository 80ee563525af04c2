"""`ResumableDataLoader`: a DataLoader that knows how far it is, and starts there again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from flowmo_data.dataset import StreamingAudioDataset
from flowmo_data.epochs.progress import Position, Progress, check_state, deal_batches
from flowmo_data.epochs.sharding import Shard
from flowmo_data.errors import OptionError, StateError
from flowmo_data.runtime.processes import LettingInterruptsThrough, interrupts_held_back


class _Reached(Protocol):
    """How far a loop is."""

    def count(self, worker: int, progress: Progress) -> None:
        """One more batch, after which the worker that made it was as far."""

    def state(self) -> dict[str, Any]:
        """In numbers that JSON can hold."""

    def first_epoch(self) -> int:
        """The epoch that it is in, or the first of several."""

    def position(self, num_workers: int) -> Position:
        """Where workers start to go on from here."""


@dataclass
class _ReachedInFiles:
    """How far each worker was when it made the last batch that the loop has got."""

    rank: int
    workers: list[Progress]
    next_worker: int = 0
    batches: int = 0

    def count(self, worker: int, progress: Progress) -> None:
        self.workers[worker] = progress
        self.next_worker = (worker + 1) % len(self.workers)
        self.batches += 1

    def state(self) -> dict[str, Any]:
        workers = [[worker.epoch, worker.handed_out] for worker in self.workers]
        return {"rank": self.rank, "batches": self.batches, "workers": workers, "next_worker": self.next_worker}

    def first_epoch(self) -> int:
        return min(worker.epoch for worker in self.workers)

    def position(self, num_workers: int) -> Position:
        return Position(dict(enumerate(self.workers)), num_workers, self.next_worker)


@dataclass
class _ReachedInIndex:
    """How many frames of the epoch all ranks together have got: they are the first of its order."""

    epoch: int
    frames: int
    frames_in_batch: int
    """of all ranks"""
    frames_per_epoch: int
    repeat: bool

    def count(self, worker: int, progress: Progress) -> None:  # noqa: ARG002
        self.frames += self.frames_in_batch
        if self.repeat:
            epochs, self.frames = divmod(self.frames, self.frames_per_epoch)
            self.epoch += epochs
        else:
            self.frames = min(self.frames, self.frames_per_epoch)

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "frames": self.frames}

    def first_epoch(self) -> int:
        return self.epoch

    def position(self, num_workers: int) -> Position:
        progress = Progress(self.epoch, 0, self.frames)
        return Position(dict.fromkeys(range(num_workers), progress), num_workers)


class ResumableDataLoader(DataLoader[Any]):
    """`torch.utils.data.DataLoader` for a `StreamingAudioDataset`, with `state_dict` and `load_state_dict`.

    A state says what the loop has got, not what workers have prepared: resumed, the next batch is the one that would
    have come next, tensor for tensor, and nothing that was handed out is decoded again. It may be taken at any time,
    after every step if need be.

    With an index, a state holds for all ranks, and fits any number of ranks and workers and any batch size: it says how
    many frames of the epoch all ranks together have got. Without, it belongs to one rank. One that was taken on another
    rank of the same job (where only rank 0 writes checkpoints) is taken to mean that this rank has got as many batches;
    finding out which ones these were opens every file of the epoch once.

    Args:
        dataset: what to load.
        *args: see `torch.utils.data.DataLoader`.
        **kwargs: see `torch.utils.data.DataLoader`; `in_order=False` is refused.
    """

    def __init__(self, dataset: StreamingAudioDataset, *args: Any, **kwargs: Any) -> None:
        if not isinstance(dataset, StreamingAudioDataset):
            raise OptionError(f"dataset={dataset!r}: ResumableDataLoader is for a StreamingAudioDataset")
        if not kwargs.get("in_order", True):
            raise OptionError(
                "in_order=False: batches in whatever order workers finish cannot be resumed; leave it out"
            )
        super().__init__(dataset, *args, **kwargs)
        if self.batch_size is not None and dataset.options.batch_size is not None:
            raise OptionError(
                f"batch_size={self.batch_size} of the loader and {dataset.options.batch_size} of the dataset "
                "would give batches of batches: set one of them, and the other to None"
            )
        self.collate_fn = _WithProgress(self.collate_fn, dataset)
        if self.num_workers:
            self.worker_init_fn = LettingInterruptsThrough(self.worker_init_fn)
        self._reached: _Reached | None = None  # of the iteration that runs
        self._start: _Reached | None = None  # of the next iteration, where it was loaded

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        dataset = self._streaming_dataset()
        start, self._start = self._start, None
        reached = self._reached = start or self._epoch_start()
        if start is not None:
            dataset.set_epoch(start.first_epoch())
            dataset.start_at(start.position(self._num_workers()))
        with interrupts_held_back():
            batches = super().__iter__()  # starts the workers, which take the start with them
        dataset.start_at(None)
        return self._counted(batches, reached)

    def _counted(self, batches: Iterator[Any], reached: _Reached) -> Iterator[Any]:
        for batch, (worker, progress) in batches:
            reached.count(worker, progress)
            yield batch
        if self._reached is reached:
            self._reached = None

    def state_dict(self) -> dict[str, Any]:
        """How far the loop is: the epoch, and how much of it the loop has got.

        Returns:
            Numbers and strings, for JSON as for `torch.save`.
        """
        return {**self._identity(), **(self._reached or self._start or self._epoch_start()).state()}

    def next_epoch_state(self) -> dict[str, Any]:
        """The state at the start of the next epoch, for a loop that wants no more of this one."""
        return {**self._identity(), **self._epoch_start().state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration where the state was taken. It is used once: the epoch after is a whole one.

        Raises:
            StateError: the state belongs to other files or options; without an index, also to another number of
                workers or ranks, or another batch size.
        """
        if self._streaming_dataset().frames_per_epoch is None:
            check_state(state, self._identity(), ("rank", "workers", "next_worker", "batches"))
            start: _Reached = self._reached_by_files(state)
        else:
            check_state(state, self._identity(), ("epoch", "frames"))
            start = self._reached_by_index(state["epoch"], state["frames"])
        self._start, self._reached = start, None
        self.stop_workers()  # they have gone on: new ones start where they should

    def stop_workers(self) -> None:
        """End the workers that `persistent_workers` keeps; the next iteration starts others."""
        if isinstance(self._iterator, _MultiProcessingDataLoaderIter):
            self._iterator._shutdown_workers()
        self._iterator = None

    def _epoch_start(self) -> _Reached:
        epoch = self._streaming_dataset().next_epoch
        if self._streaming_dataset().frames_per_epoch is not None:
            return self._reached_by_index(epoch, 0)
        return _ReachedInFiles(self._rank(), [Progress(epoch, 0) for _ in self._shards()])

    def _reached_by_index(self, epoch: int, frames: int) -> _ReachedInIndex:
        dataset = self._streaming_dataset()
        frames_in_batch = self._frames_in_batch() * dataset.rank_and_world_size()[1]
        return _ReachedInIndex(epoch, frames, frames_in_batch, dataset.frames_per_epoch or 0, dataset.options.repeat)

    def _reached_by_files(self, state: Mapping[str, Any]) -> _ReachedInFiles:
        rank, batches = self._rank(), state["batches"]
        if state["rank"] == rank:
            return _ReachedInFiles(rank, [Progress(*each) for each in state["workers"]], state["next_worker"], batches)
        return self._reached_after(state["workers"][0][0], batches)

    def _reached_after(self, epoch: int, batches: int) -> _ReachedInFiles:
        """What this rank has got with so many batches, for a state of another rank."""
        dataset = self._streaming_dataset()
        if dataset.options.repeat:
            raise StateError(
                "this state does not fit: it was taken on another rank, and with repeat=True a rank's position follows "
                "from its own state alone; save the state of every rank, or use an index"
            )
        size = self._frames_in_batch()
        available = [sum(1 for _ in dataset.spans(Progress(epoch, 0), shard)) for shard in self._shards()]
        whole = [frames // size if self.drop_last else -(-frames // size) for frames in available]
        given, next_worker = deal_batches(batches, whole)
        workers = [Progress(epoch, min(count * size, frames)) for count, frames in zip(given, available, strict=True)]
        return _ReachedInFiles(self._rank(), workers, next_worker, batches)

    def _identity(self) -> dict[str, Any]:
        dataset = self._streaming_dataset()
        identity = dataset.identity(self._shards()[0])
        if dataset.frames_per_epoch is not None:
            return identity
        return {**identity, "batch_size": self._frames_in_batch(), "drop_last": self.drop_last}

    def _frames_in_batch(self) -> int:
        return self.batch_size or self._streaming_dataset().options.batch_size or 1

    def _shards(self) -> list[Shard]:
        rank, world_size = self._streaming_dataset().rank_and_world_size()
        num_workers = self._num_workers()
        return [Shard(rank, world_size, worker, num_workers) for worker in range(num_workers)]

    def _num_workers(self) -> int:
        return max(self.num_workers, 1)

    def _rank(self) -> int:
        return self._streaming_dataset().rank_and_world_size()[0]

    def _streaming_dataset(self) -> StreamingAudioDataset:
        assert isinstance(self.dataset, StreamingAudioDataset)
        return self.dataset


class _WithProgress:
    """A collate function that says beside every batch which worker made it, and how far that worker is then."""

    def __init__(self, collate: Callable[[Any], Any], dataset: StreamingAudioDataset) -> None:
        self._collate, self._dataset = collate, dataset

    def __call__(self, samples: Any) -> tuple[Any, tuple[int, Progress]]:
        return self._collate(samples), self._dataset.progress()
