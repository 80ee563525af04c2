"""The frames of a mixture if the lengths of its sets are not all known: each worker mixes its own shares of the sets.

A worker draws from its sets in the order of `mixing`, and from each set in the order in which the set alone would emit
its share. When a share is used up, an epoch ends, or the share's next pass begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from flowmo_data.epochs.mixtures.sets import MixedSpan, Mixture, naming
from flowmo_data.epochs.mixtures.stages import Stage
from flowmo_data.epochs.progress import Layout, Progress, check_state
from flowmo_data.epochs.reached import ReachedByWorkers
from flowmo_data.epochs.sharding import Shard
from flowmo_data.epochs.span import Span
from flowmo_data.errors import OptionError, StateError

_PASSES_APART = 1 << 32
"""own epochs of a set between one pass and the next, so that no pass equals that of another epoch"""


@dataclass
class ReachedInMixedFiles(ReachedByWorkers):
    """The progress of each worker, in a mixture: a `Reached`."""

    stream: MixedFileStream
    layout: Layout

    @property
    def epoch(self) -> int:
        """The epoch of the loop."""
        return self.first_epoch()

    @property
    def frames(self) -> int:
        """Frames of the worker that has handed out the most."""
        return max(worker.handed_out for worker in self.workers)

    def ahead(self, num_batches: int) -> int:
        """Return a number of frames that no worker exceeds with more batches of all workers together."""
        return self.frames + num_batches * self.layout.batch_size

    def state(self) -> dict[str, Any]:
        """See `Reached.state`."""
        workers = [[worker.epoch, worker.handed_out, worker.sets] for worker in self.workers]
        least = min(worker.handed_out for worker in self.workers)
        place = Progress(self.epoch, least)
        return {
            **self.stream.loader_identity(self.layout),
            "rank": self.layout.rank,
            "batches": self.batches,
            "workers": workers,
            "next_worker": self.next_worker,
            "stages": self.stream.stages_state(place, self.layout.shards[0], self.layout.batch_size),
        }


class _Share:
    """The rest of a worker's share of a set in one pass, with a look at the next span."""

    def __init__(self, spans: Iterator[Span]) -> None:
        self._spans = spans
        self.next: Span | None = next(spans, None)

    def take(self) -> Span:
        """Return the next span, of which there is one."""
        span, self.next = self.next, next(self._spans, None)
        assert span is not None
        return span


class MixedFileStream:
    """A `Stream` of the frames of several sets."""

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture
        if mixture.by == "batch" and mixture.options.batch_size is None:
            raise OptionError(
                "by='batch': give all sets batch_size=, with DataLoader(dataset, batch_size=None), or indexes: a frame "
                "that cannot be read would move all later frames of a loader's batches by one"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """See `Stream.names`. All sets have the same."""
        return self.mixture.streams[0].names

    fetched_ahead = 0
    """the sets open files ahead, but no frame is drawn before it is decoded"""

    @property
    def ranks_end_together(self) -> bool:
        """See `Stream.ranks_end_together`."""
        return self.mixture.is_endless

    def spans(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> Iterator[MixedSpan]:
        """See `Stream.spans`. Each set opens its files up to the place, as it does alone."""
        mixture, per_draw = self.mixture, self.mixture.frames_per_draw(frames_per_turn)
        sets = list(progress.sets or [(0, 0)] * len(mixture.names))
        shares: list[_Share | None] = [None] * len(sets)
        place = progress.handed_out
        stage = self._stage(shard, progress.epoch, place)
        while not self._is_over(stage, sets):
            if mixture.is_endless:  # weights may have changed since
                stage = self._stage(shard, progress.epoch, place)
            order = mixture.order(stage.weights, mixture.unit(stage, Shard(), frames_per_turn))
            which, _ = order.at((place - stage.place) // per_draw)
            with naming(mixture.names[which]):
                share = shares[which] or self._opened(which, progress.epoch, sets, shard)
                if share is None:
                    return
                span = share.take()
            passes, spans = sets[which]
            own_epoch = self._own_epoch(progress.epoch, passes)
            sets[which] = (passes, spans + 1) if share.next is not None else (passes + 1, 0)
            shares[which] = share if share.next is not None else None
            yield MixedSpan(which, own_epoch, span, tuple(sets))
            place += 1

    def _stage(self, shard: Shard, epoch: int, place: int) -> Stage:
        stage = self.mixture.stages.at(shard.rank, epoch, place)
        return stage if stage.epoch == epoch else stage.from_epoch(epoch)

    def _is_over(self, stage: Stage, sets: list[tuple[int, int]]) -> bool:
        passed = [passes > 0 for (passes, _), weight in zip(sets, stage.weights, strict=True) if weight]
        return not self.mixture.is_endless and (any(passed) if self.mixture.stop == "first" else all(passed))

    def _opened(self, which: int, epoch: int, sets: list[tuple[int, int]], shard: Shard) -> _Share | None:
        """Return a worker's share of a set from its place on; None if it has no frame, which ends the epoch."""
        stream, empty = self.mixture.streams[which], 0
        if not stream.has_frames(shard):
            raise OptionError(
                f"it has fewer files than there are workers ({shard.count} of all ranks), so that a worker would mix "
                "without it; use fewer workers, or an index (flowmo-data index FOLDER -o corpus.parquet)"
            )
        while True:
            passes, spans = sets[which]
            own = Progress(self._own_epoch(epoch, passes), spans)
            share = _Share(stream.spans(own, shard, None))
            if share.next is not None:
                return share
            if self.mixture.stop == "first":
                return None
            empty += not spans
            stream.check_empty_epochs(empty, shard)
            sets[which] = passes + 1, 0

    def _own_epoch(self, epoch: int, passes: int) -> int:
        if self.mixture.is_endless:
            return epoch * _PASSES_APART + passes
        return epoch + passes * _PASSES_APART

    def next_stage(
        self,
        weights: tuple[float, ...],
        epoch: int,
        place: int,
        shard: Shard,
        frames_per_turn: int | None,  # noqa: ARG002
    ) -> Stage:
        """Return the stage of new weights that begins at a place: in an endless mixture, at that frame of a worker."""
        return replace(self.mixture.stages.at(shard.rank, epoch, place), epoch=epoch, place=place, weights=weights)

    def stages_state(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> list[dict[str, Any]]:
        """See `MixedStream.stages_state`."""
        stages = self.mixture.stages.state(shard.rank, progress.epoch, progress.handed_out)
        return [asdict(replace(stage, unit=self.mixture.unit(stage, Shard(), frames_per_turn))) for stage in stages]

    def frames_of_a_rank(self, shard: Shard, epoch: int, frames_per_turn: int | None) -> int:  # noqa: ARG002
        """Raise TypeError: the number is not known."""
        raise TypeError(
            "the number of frames is not known before all files are opened; index the sets (flowmo-data index), and "
            "give the indexes to their StreamingAudioDatasets"
        )

    def identity(self, shard: Shard, frames_per_turn: int | None) -> dict[str, Any]:
        """See `Stream.identity`."""
        return self.mixture.identity_of_shard(shard, frames_per_turn)

    def loader_identity(self, layout: Layout) -> dict[str, Any]:
        """Return what a state of a loader must hold."""
        sizes = {"batch_size": layout.batch_size, "drop_last": layout.drop_last}
        ranks = {"world_size": layout.world_size, "num_workers": layout.num_workers}
        return {**self.mixture.identity(layout.shards[0], layout.batch_size), **ranks, **sizes}

    def epoch_start(self, epoch: int, layout: Layout) -> ReachedInMixedFiles:
        """See `Stream.epoch_start`."""
        return ReachedInMixedFiles([Progress(epoch, 0) for _ in layout.shards], 0, 0, self, layout)

    def resumed(self, state: Mapping[str, Any], layout: Layout) -> ReachedInMixedFiles:
        """See `Stream.resumed`."""
        needed = ("rank", "workers", "next_worker", "batches", "stages")
        check_state(state, self.loader_identity(layout), needed)
        if state["rank"] != layout.rank:
            raise StateError(
                f"this state does not fit: rank was {state['rank']} and is {layout.rank}, and without indexes the "
                "state of a mixture belongs to one rank; save the state of every rank, or index the sets"
            )
        self.mixture.restore(state, layout.rank, layout.world_size)
        workers = [
            Progress(epoch, handed_out, 0, tuple((passes, spans) for passes, spans in sets))
            for epoch, handed_out, sets in state["workers"]
        ]
        return ReachedInMixedFiles(workers, state["next_worker"], state["batches"], self, layout)

    def __getstate__(self) -> dict[str, Any]:
        return {"mixture": self.mixture}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["mixture"])  # type: ignore[misc]
