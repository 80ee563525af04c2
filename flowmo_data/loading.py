"""`ResumableDataLoader`: a DataLoader that keeps its progress, and can resume from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import WeakMethod

from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from flowmo_data.datasets import Loop, MixedAudioDataset, StreamingAudioDataset
from flowmo_data.datasets.iteration import StreamDataset
from flowmo_data.epochs.progress import Layout, Progress, Reached
from flowmo_data.errors import OptionError
from flowmo_data.runtime.processes import LettingInterruptsThrough, interrupts_held_back


class ResumableDataLoader(DataLoader[Any]):
    """A `torch.utils.data.DataLoader` for a streaming dataset, with `state_dict` and `load_state_dict`.

    A state counts the batches that the loop has received, not those that workers have prepared. After a resume, the
    next batch is the one that would have come next, tensor for tensor. No frame that was handed out is decoded again. A
    state may be taken at any time, after every step if necessary.

    With an index, a state counts the frames of the epoch that all ranks together have received. It is valid for all
    ranks, and for any number of ranks and workers and any batch size. Without an index, a state belongs to one rank. If
    a rank loads the state of another rank of the same job (because only rank 0 writes checkpoints), it assumes that it
    has received the same number of batches itself. To find out which batches these were, it opens every file of the
    epoch once.

    Args:
        dataset: the dataset to load, a `StreamingAudioDataset` or a `MixedAudioDataset`.
        *args: see `torch.utils.data.DataLoader`.
        **kwargs: see `torch.utils.data.DataLoader`; `in_order=False` is refused.
    """

    def __init__(self, dataset: StreamDataset, *args: Any, **kwargs: Any) -> None:
        if not isinstance(dataset, (StreamingAudioDataset, MixedAudioDataset)):
            raise OptionError(
                f"dataset={dataset!r}: ResumableDataLoader is for a StreamingAudioDataset or a MixedAudioDataset; "
                "torchdata's StatefulDataLoader resumes a sampler over an AudioFrameDataset"
            )
        if not kwargs.get("in_order", True):
            raise OptionError(
                "in_order=False: batches that come in the order in which workers finish cannot be resumed; leave it out"
            )
        super().__init__(dataset, *args, **kwargs)
        if self.batch_size is not None and dataset.options.batch_size is not None:
            raise OptionError(
                f"batch_size={self.batch_size} of the loader and {dataset.options.batch_size} of the dataset "
                "would give batches of batches: set one of the two to None"
            )
        if self.num_workers:
            self.worker_init_fn = LettingInterruptsThrough(self.worker_init_fn)
        self._reached: Reached | None = None  # of the current iteration
        self._start: Reached | None = None  # of the next iteration, if a state was loaded
        if isinstance(dataset, MixedAudioDataset):
            dataset.follow(WeakMethod(self._loop))

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        dataset = self._streaming_dataset()
        start, self._start = self._start, None
        reached = self._reached = start or self._epoch_start()
        if start is not None:
            dataset.set_epoch(start.first_epoch())
        dataset.start_at(None if start is None else start.position(), frames_per_turn=self._layout().batch_size)
        collate = self.collate_fn
        self.collate_fn = _WithProgress(collate, dataset)  # for this loader's own iterator only
        try:
            with interrupts_held_back():
                batches = super().__iter__()  # starts the workers, which inherit the start position
        finally:
            self.collate_fn = collate
            dataset.start_at(None)
        return self._counted(batches, reached)

    def __len__(self) -> int:
        """Return the number of batches in an iteration on this rank. Needs an index."""
        dataset = self._streaming_dataset()
        dataset.start_at(None, frames_per_turn=self._layout().batch_size)
        try:
            return super().__len__()
        finally:
            dataset.start_at(None)

    def _loop(self) -> Loop:
        """Return how far the loop over this loader is."""
        if self._reached is None:
            return Loop(self._start, self._layout(), 0)
        return Loop(self._reached, self._layout(), self.num_workers * (self.prefetch_factor or 0))

    def _counted(self, batches: Iterator[Any], reached: Reached) -> Iterator[Any]:
        for batch, (worker, progress) in batches:
            reached.count(worker, progress)
            yield batch
        if self._reached is reached:
            self._reached = None

    def state_dict(self) -> dict[str, Any]:
        """Return the progress of the loop: the epoch, and how much of it the loop has received.

        Returns:
            Numbers and strings, for JSON and `torch.save`.
        """
        return (self._reached or self._start or self._epoch_start()).state()

    def next_epoch_state(self) -> dict[str, Any]:
        """Return the state at the start of the next epoch, for a loop that leaves the current epoch early."""
        return self._epoch_start().state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration where the state was taken. The iteration after that is a whole epoch.

        Raises:
            StateError: the state belongs to other files or options; without an index, also to another number of
                workers or ranks, or another batch size.
        """
        self._start, self._reached = self._streaming_dataset().stream.resumed(state, self._layout()), None
        self.stop_workers()  # they are past this point: new workers start at the right place

    def stop_workers(self) -> None:
        """Stop the workers that `persistent_workers` keeps; the next iteration starts new ones."""
        if isinstance(self._iterator, _MultiProcessingDataLoaderIter):
            self._iterator._shutdown_workers()
        self._iterator = None

    def _epoch_start(self) -> Reached:
        dataset = self._streaming_dataset()
        return dataset.stream.epoch_start(dataset.next_epoch, self._layout())

    def _layout(self) -> Layout:
        dataset = self._streaming_dataset()
        rank, world_size = dataset.rank_and_world_size()
        batch_size = self.batch_size or dataset.options.batch_size or 1
        return Layout(rank, world_size, max(self.num_workers, 1), batch_size, self.drop_last)

    def _streaming_dataset(self) -> StreamDataset:
        assert isinstance(self.dataset, StreamDataset)
        return self.dataset


class _WithProgress:
    """A collate function that adds to every batch its worker, and the progress of that worker after the batch."""

    def __init__(self, collate: Callable[[Any], Any], dataset: StreamDataset) -> None:
        self._collate, self._dataset = collate, dataset

    def __call__(self, samples: Any) -> tuple[Any, tuple[int, Progress]]:
        return self._collate(samples), self._dataset.progress()
