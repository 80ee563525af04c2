"""A loader whose state is that of the batches which its user is through with, not of those that it was asked for.

user                   is through with   b0 b1 b2 b3
                       works on                      b4
                       has fetched ahead                b5
ResumableDataLoader    is after                         b5
LaggingLoader          is after                   b3
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from flowmo_data.dataset import StreamingAudioDataset
from flowmo_data.loading import ResumableDataLoader
from flowmo_data.runtime.ranks import Ranks


class Used(NamedTuple):
    """How far a user is."""

    batches: int
    """that it is through with, of all epochs"""
    epoch_is_over: bool
    """it wants no more of this epoch"""


class LaggingLoader:
    """The batches of a loader, for a user who can say how far it is.

    An iteration gives the next epoch. It gives the same one again where nothing of the last iteration was used; with
    `repeat=True`, it goes on with the endless one.

    Without an index, ranks have different numbers of batches, which none of them knows before: an epoch ends for all
    when it ends for one.

    Args:
        loader: the loader.
        used: says how far the user is; None where there is none, and a batch counts when it is handed out.
    """

    def __init__(self, loader: ResumableDataLoader, used: Callable[[], Used | None]) -> None:
        self.loader, self._used = loader, used
        self._used_before = 0  # when the iteration began
        self._states: dict[int, dict[str, Any]] = {}  # by batches of the iteration
        self._ranks = Ranks()

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        start = self._reached(leaving=True)
        if start != self.loader.next_epoch_state():
            self.loader.load_state_dict(start)
        used = self._used()
        self._used_before, self._states = (used.batches, {0: start}) if used else (0, {})
        batches = self._remembered(iter(self.loader))
        dataset = self._dataset()
        are_equal = dataset.options.repeat or dataset.frames_per_epoch is not None
        return batches if are_equal else self._ranks.while_all_have_one(batches)

    def _remembered(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches, with the states that may be asked for kept."""
        for number, batch in enumerate(batches, 1):
            if self._states:
                self._states[number] = self.loader.state_dict()
                oldest = self._batches_used(number)
                self._states = {after: state for after, state in self._states.items() if after >= oldest}
            yield batch

    def _batches_used(self, handed_out: int) -> int:
        """Batches of this iteration that the user is through with."""
        used = self._used()
        return handed_out if used is None else used.batches - self._used_before

    def _reached(self, *, leaving: bool) -> dict[str, Any]:
        """The loader's state after what was used, and after the epoch where the user is leaving it."""
        used = self._used()
        if used is None or not self._states:
            return self.loader.state_dict()
        of_iteration = used.batches - self._used_before
        if of_iteration and leaving and not self._dataset().options.repeat:
            return self.loader.next_epoch_state()
        return self._states[of_iteration]

    def state_dict(self) -> dict[str, Any]:
        """How far the users on all ranks are: all of them have to ask."""
        used = self._used()
        return {"ranks": self._ranks.gather(self._reached(leaving=used is not None and used.epoch_is_over))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration where `state` was taken.

        Raises:
            StateError: the state belongs to other files, options or shards.
        """
        rank, world_size = self._dataset().rank_and_world_size()
        ranks = state["ranks"]
        self.loader.load_state_dict(ranks[rank if len(ranks) == world_size else 0])
        self._states = {}

    def _dataset(self) -> StreamingAudioDataset:
        assert isinstance(self.loader.dataset, StreamingAudioDataset)
        return self.loader.dataset
