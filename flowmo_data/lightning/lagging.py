"""`LaggingLoader`: the state of a loader after the batches that a Trainer has finished.

A Trainer fetches one batch ahead of the batch that it works on, so the state of its loader must lag behind:

    Trainer                has finished      b0 b1 b2 b3
                           works on                      b4
                           has fetched ahead                b5
    ResumableDataLoader    its state is after               b5
    LaggingLoader          its state is after         b3
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from flowmo_data.datasets import StreamingAudioDataset
from flowmo_data.loading import ResumableDataLoader
from flowmo_data.runtime.ranks import Ranks


class Used(NamedTuple):
    """The progress of a user of batches."""

    batches: int
    """batches that the user has finished, in all epochs"""
    epoch_is_over: bool
    """True if the user wants no more of this epoch"""


class LaggingLoader:
    """The batches of a loader, for a user that reports its own progress.

    Each iteration is the next epoch. If no batch of the last iteration was used, the same epoch comes again. With
    `repeat=True`, an iteration continues the endless epoch.

    Without an index, when an epoch ends for one rank, it ends for all: no rank knows its number of batches in advance.

    Args:
        loader: the loader.
        used: returns the progress of the user; None if there is no user, and a batch counts when it is handed out.
    """

    def __init__(self, loader: ResumableDataLoader, used: Callable[[], Used | None]) -> None:
        self.loader, self._used = loader, used
        self._used_before = 0  # at the start of the iteration
        self._states: dict[int, dict[str, Any]] = {}  # by number of batches in the iteration
        self._ranks = Ranks()

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        start = self._reached(leaving=True)
        if start != self.loader.next_epoch_state():
            self.loader.load_state_dict(start)
        used = self._used()
        self._used_before, self._states = (used.batches, {0: start}) if used else (0, {})
        return _ending_together(self.loader, self._remembered(), self._ranks)

    def _remembered(self) -> Iterator[Any]:
        """Yield the batches, and keep the states that may be asked for.

        Nothing begins before the first batch: Trainers also call `iter` only to see whether they can.
        """
        for number, batch in enumerate(self.loader, 1):
            if self._states:
                self._states[number] = self.loader.state_dict()
                least = self._batches_used(number)
                self._states = {after: state for after, state in self._states.items() if after >= least}
            yield batch

    def _batches_used(self, handed_out: int) -> int:
        """Return the number of batches of this iteration that the user has finished."""
        return handed_out if (used := self._used()) is None else used.batches - self._used_before

    def _reached(self, *, leaving: bool) -> dict[str, Any]:
        """Return the loader's state after the used batches; after the epoch, if the user is leaving it."""
        used = self._used()
        if used is None or not self._states:
            return self.loader.state_dict()
        of_iteration = used.batches - self._used_before
        if of_iteration and leaving and not _dataset_of(self.loader).options.repeat:
            return self.loader.next_epoch_state()
        return self._states[of_iteration]

    def state_dict(self) -> dict[str, Any]:
        """Return the progress of the users on all ranks. All ranks must call this."""
        used = self._used()
        return {"ranks": self._ranks.gather(self._reached(leaving=used is not None and used.epoch_is_over))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration where `state` was taken.

        Raises:
            StateError: the state belongs to other files, options or shards.
        """
        rank, world_size = _dataset_of(self.loader).rank_and_world_size()
        ranks = state["ranks"]
        self.loader.load_state_dict(ranks[rank if len(ranks) == world_size else 0])
        self._states = {}


class Batches:
    """Batches for a Trainer to iterate over. A Trainer would rebuild a real DataLoader."""

    def __init__(self, loader: ResumableDataLoader) -> None:
        self.loader, self._ranks = loader, Ranks()

    def __iter__(self) -> Iterator[Any]:
        # nothing begins before the first batch, as above
        yield from _ending_together(self.loader, iter(self.loader), self._ranks)

    def __len__(self) -> int:
        return len(self.loader)


def _ending_together(loader: ResumableDataLoader, batches: Iterator[Any], ranks: Ranks) -> Iterator[Any]:
    """Return a loader's batches, up to the number that every rank has."""
    return batches if _dataset_of(loader).stream.ranks_end_together else ranks.while_all_have_one(batches)


def _dataset_of(loader: ResumableDataLoader) -> StreamingAudioDataset:
    assert isinstance(loader.dataset, StreamingAudioDataset)
    return loader.dataset
