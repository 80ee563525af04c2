"""The iteration over a stream of spans: epochs, ranks, workers, progress and state, for every streaming dataset."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.context import get_spawning_popen
from typing import Any, Protocol

import torch
from torch.utils.data import IterableDataset

from flowmo_data.decoding.batching import Item, Slot, Slots, batches
from flowmo_data.epochs import ErrorLog, Options, Position, Progress, Report, Shard, Span, Stream
from flowmo_data.epochs.progress import check_state
from flowmo_data.epochs.sharding import current_shard
from flowmo_data.runtime.collating import checked_for_trainer
from flowmo_data.runtime.epoch_clock import EpochClock
from flowmo_data.runtime.processes import freeze_in_worker
from flowmo_data.runtime.ranks import Place, current_rank, place_of
from flowmo_data.runtime.threads import closed_after, ordered_map


class Reader(Protocol):
    """A reader of the spans of a stream."""

    def decoded(self, work: tuple[Any, Slot]) -> Any:
        """Decode a span into its slot. Runs in the decode threads."""

    def finished(self, decoded: Any, epoch: int) -> Any:
        """Return the item of a decoded span, or None. Runs in the thread that iterates."""

    def check_some_accepted(self, epoch: int, shard: Shard) -> None:
        """Raise `AllFramesRejectedError` if a transform rejects all frames of an epoch that has ended."""


class StreamDataset(IterableDataset[Any]):
    """A dataset that emits the frames of a stream.

    The only class here that others inherit from: torch wants a dataset to be a subclass anyway, and all of its methods
    are the public ones of each dataset.
    """

    options: Options
    stream: Stream
    reader: Reader
    error_logs: Sequence[ErrorLog]
    _is_mixture = False
    _batches_by_slot = False

    def _begin(self, rank: int | None, world_size: int | None) -> None:
        """Set up the iteration; the end of every constructor."""
        if (rank, world_size) != (None, None):
            Shard(*current_rank(rank, world_size))
        self._rank, self._world_size = rank, world_size
        self._clock = EpochClock()
        self._shard: Shard | None = None  # of the current or the last iteration
        self._progress = Progress(0, 0)
        self._start: Position | None = None  # of the next iteration; None: start of an epoch
        self._frames_per_turn: int | None = None  # set by a loader
        self._place: Place | None = None  # when it was looked up last

    def __iter__(self) -> Iterator[Any]:
        freeze_in_worker()
        shard = current_shard(*self.rank_and_world_size())
        start, self._start = self._start, None
        if start is None:
            progress = Progress(self._clock.next(shard.rank, shard.world_size), 0)
        else:
            worker, progress = start.of(shard)
            shard = replace(shard, worker=worker)
            self._clock.begin_at(progress.epoch, shard.rank, shard.world_size)
        self._shard, self._progress = shard, progress
        options = self.options
        slots = Slots(options.batch_size, options.channels, options.samples_per_frame, options.dtype, self.stream.names)
        frames = self._emitted(progress, shard, slots, self._turn())
        if options.batch_size is None:
            items: Iterator[Any] = (item for item, _ in frames)
        else:
            items = batches(frames, options.batch_size, by_slot=self._batches_by_slot)
        return checked_for_trainer(items, self, options.batch_size)

    def _emitted(self, progress: Progress, shard: Shard, slots: Slots, turn: int | None) -> Iterator[Item]:
        """Yield the items of an iteration, each with its slot."""
        return self._frames(progress, shard, slots, turn)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if get_spawning_popen() is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            # a spawned worker cannot look these up
            state["_rank"], state["_world_size"] = self.rank_and_world_size()
            state["_frames_per_turn"] = self._turn()
        return state

    def _turn(self) -> int | None:
        """Return the number of frames that a worker hands out before the next worker's turn; None if nobody says."""
        if self._frames_per_turn is None and self._place is not None and self._place.taken:
            return (self.options.batch_size or 1) * self._place.taken
        return self._frames_per_turn or self.options.batch_size

    def _frames(
        self, progress: Progress, shard: Shard, slots: Slots, turn: int | None
    ) -> Generator[Item, None, tuple[Progress, bool]]:
        """Emit each frame that is left in an epoch; return the progress, and whether any frame was emitted."""
        has_emitted = False
        with closed_after(self.stream.spans(progress, shard, turn)) as spans, ExitStack() as logs:
            for log in self.error_logs:
                logs.enter_context(
                    log.epoch(
                        progress.epoch,
                        shard,
                        self._clock.iteration,
                        is_resumed=progress.handed_out > 0,
                        of_mixture=self._is_mixture,
                    )
                )
            work = zip(spans, slots, strict=False)
            for decoded in ordered_map(self.reader.decoded, work, threads=self.options.decode_threads):
                progress = self._progress = self._after(progress, decoded.span)
                item = self.reader.finished(decoded, progress.epoch)
                if item is None:
                    if not self._batches_by_slot:
                        slots.give_back(decoded.slot)
                else:
                    has_emitted = True
                    yield item, decoded.slot
        if not has_emitted:
            self.reader.check_some_accepted(progress.epoch, shard)
        return progress, has_emitted

    def _after(self, progress: Progress, span: Any) -> Progress:  # noqa: ARG002
        """Return the progress after one more span."""
        return Progress(progress.epoch, progress.handed_out + 1, progress.begin)

    def spans(self, progress: Progress, shard: Shard) -> Iterator[Span]:
        """Return the spans that are left in a shard's epoch, in the order in which they are emitted."""
        return self.stream.spans(progress, shard, self._turn())

    def set_epoch(self, epoch: int) -> None:
        """Make `epoch`, a whole number, the epoch of the next iteration, also in workers that are already running."""
        self._clock.set(epoch, *self.rank_and_world_size())

    @property
    def next_epoch(self) -> int:
        """The epoch of the next iteration."""
        return self._clock.upcoming(self.rank_and_world_size()[0])

    def rank_and_world_size(self) -> tuple[int, int]:
        """Return this process's rank and the number of ranks, as given or as looked up now."""
        self._place = place_of(self, self._rank, self._world_size)
        return self._place[:2]

    @property
    def given_rank(self) -> tuple[int | None, int | None]:
        """Rank and number of ranks as given; None where they are looked up."""
        return self._rank, self._world_size

    def _last_rank_and_world_size(self) -> tuple[int, int]:
        """Return those of the last iteration if it was sharded from outside, which cannot be seen in between."""
        return self._place[:2] if self._place and self._place.taken else self.rank_and_world_size()

    def __bool__(self) -> bool:
        return True  # even if the length is 0 or unknown

    def report(self, epoch: int | None = None) -> Report:
        """Return the losses of this rank in an epoch. Workers report them when they finish the epoch.

        Args:
            epoch: the epoch; None for the one running in this process, or else the last one that a worker has finished.
                With an index, only rank 0 reports the files that the index lists as bad.
        """
        return self.error_logs[0].report(epoch, self._last_rank_and_world_size()[0])

    def state_dict(self) -> dict[str, Any]:
        """Return the progress of this process's iteration, in its worker: for torchdata's `StatefulDataLoader`.

        Returns:
            A few numbers and strings, for JSON and pickle. Frames that were decoded ahead do not count as handed out.
        """
        shard = current_shard(*self.rank_and_world_size())
        if self._start is not None:  # loaded, but not begun yet
            worker, progress = self._start.of(shard)
            shard = replace(shard, worker=worker)
        elif self._shard is not None:
            shard, progress = self._shard, self._progress
        else:
            progress = Progress(self.next_epoch, 0)
        return {**self.stream.identity(shard, self._turn()), "worker": shard.worker, **progress.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration of this process, and only that one, where `state` was taken.

        Raises:
            StateError: the state belongs to other files, options, ranks or number of workers. A state of another worker
                is refused when the iteration starts.
        """
        shard = current_shard(*self.rank_and_world_size())
        check_state(state, self.stream.identity(shard, self._turn()), ("worker", "epoch", "handed_out", "begin"))
        self._start = Position({state["worker"]: Progress.of(state)}, shard.num_workers)

    def start_at(self, position: Position | None, *, frames_per_turn: int | None = None) -> None:
        """Start the next iteration at `position`, in this process or in a worker started from it.

        Args:
            position: the start; None for the start of an epoch.
            frames_per_turn: frames in a batch of the loader, if the loader makes batches.
        """
        self._start, self._frames_per_turn = position, frames_per_turn

    def progress(self) -> tuple[int, Progress]:
        """Return the worker that this process acts as, and the progress of that worker."""
        assert self._shard is not None
        return self._shard.worker, self._progress
