"""`ResumableDataLoader`: a DataLoader that knows how far it is, and starts there again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch.utils.data import DataLoader

from flowmo_data.dataset import StreamingAudioDataset
from flowmo_data.errors import OptionError, StateError
from flowmo_data.resuming import Position, Progress, check_state, deal_batches, identity
from flowmo_data.sharding import Shard


class ResumableDataLoader(DataLoader[Any]):
    """`torch.utils.data.DataLoader` for a `StreamingAudioDataset`, with `state_dict` and `load_state_dict`.

    A state says what the loop has got, not what workers have prepared: resumed, the next batch is the one that would
    have come next, tensor for tensor, and nothing that was handed out is decoded again. It may be taken at any time,
    after every step if need be.

    A state belongs to one rank. One that was taken on another rank of the same job (where only rank 0 writes
    checkpoints) is taken to mean that this rank has got as many batches; finding out which ones these were opens every
    file of the epoch once.

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
        self._state: dict[str, Any] | None = None  # of the iteration that runs
        self._start: Position | None = None  # of the next iteration, where it was loaded
        self._batches_before = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        dataset = self._streaming_dataset()
        start, self._start = self._start, None
        if start is not None:
            dataset.set_epoch(min(worker.epoch for worker in start.workers.values()))
            dataset.start_at(start)
        state = self._state = self._state_of(start, self._batches_before)
        self._batches_before = 0
        batches = super().__iter__()  # starts the workers, which take the start with them
        dataset.start_at(None)
        return self._counted(batches, state)

    def _counted(self, batches: Iterator[Any], state: dict[str, Any]) -> Iterator[Any]:
        for batch, (worker, epoch, handed_out) in batches:
            state["workers"][worker] = [epoch, handed_out]
            state["next_worker"] = (worker + 1) % max(self.num_workers, 1)
            state["batches"] += 1
            yield batch
        if self._state is state:
            self._state = None

    def state_dict(self) -> dict[str, Any]:
        """How far the loop is: the epoch, the batches it has got, and how far each worker was with the last of these.

        Returns:
            Numbers and strings, for JSON as for `torch.save`.
        """
        state = self._state or self._state_of(self._start, self._batches_before)
        return {**state, "workers": [list(worker) for worker in state["workers"]]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration where the state was taken. It is used once: the epoch after is a whole one.

        Raises:
            StateError: the state belongs to other files, options, number of workers or ranks, or batch size.
        """
        check_state(state, self._identity(), ("rank", "workers", "next_worker", "batches"))
        if state["rank"] == self._rank():
            workers = {worker: Progress(*progress) for worker, progress in enumerate(state["workers"])}
            self._start = Position(workers, len(workers), state["next_worker"])
        else:
            self._start = self._position_after(state["workers"], state["batches"])
        self._batches_before = state["batches"]
        self._state = None
        self._iterator = None  # persistent workers have gone on: new ones start where they should

    def _position_after(self, others: list[list[int]], batches: int) -> Position:
        """The position after so many batches of this rank, for a state of another rank."""
        dataset, (epoch, _) = self._streaming_dataset(), others[0]
        if dataset.options.repeat:
            raise StateError(
                "this state does not fit: it was taken on another rank, and with repeat=True a rank's position follows "
                "from its own state alone; save the state of every rank"
            )
        size = self._frames_in_batch()
        available = [sum(1 for _ in dataset.spans(epoch, shard)) for shard in self._shards()]
        whole = [frames // size if self.drop_last else -(-frames // size) for frames in available]
        given, next_worker = deal_batches(batches, whole)
        handed_out = [min(count * size, frames) for count, frames in zip(given, available, strict=True)]
        workers = {worker: Progress(epoch, count) for worker, count in enumerate(handed_out)}
        return Position(workers, len(workers), next_worker)

    def _state_of(self, start: Position | None, batches: int) -> dict[str, Any]:
        if start is None:
            progress = [[self._streaming_dataset().next_epoch, 0] for _ in self._shards()]
            start_worker = 0
        else:
            progress = [[start.workers[w].epoch, start.workers[w].handed_out] for w in range(len(start.workers))]
            start_worker = start.next_worker
        return {
            **self._identity(),
            "rank": self._rank(),
            "batches": batches,
            "workers": progress,
            "next_worker": start_worker,
        }

    def _identity(self) -> dict[str, Any]:
        dataset = self._streaming_dataset()
        expected = identity(dataset.sources, dataset.options, self._shards()[0])
        return {**expected, "batch_size": self._frames_in_batch(), "drop_last": self.drop_last}

    def _frames_in_batch(self) -> int:
        return self.batch_size or self._streaming_dataset().options.batch_size or 1

    def _shards(self) -> list[Shard]:
        rank, world_size = self._streaming_dataset().rank_and_world_size()
        num_workers = max(self.num_workers, 1)
        return [Shard(rank, world_size, worker, num_workers) for worker in range(num_workers)]

    def _rank(self) -> int:
        return self._streaming_dataset().rank_and_world_size()[0]

    def _streaming_dataset(self) -> StreamingAudioDataset:
        assert isinstance(self.dataset, StreamingAudioDataset)
        return self.dataset


class _WithProgress:
    """A collate function that says beside every batch which worker made it, and how far that worker is then."""

    def __init__(self, collate: Callable[[Any], Any], dataset: StreamingAudioDataset) -> None:
        self._collate, self._dataset = collate, dataset

    def __call__(self, samples: Any) -> tuple[Any, tuple[int, int, int]]:
        return self._collate(samples), self._dataset.progress()
