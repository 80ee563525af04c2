"""The frames of a mixture if indexes give all lengths: one order for all ranks, divided by turns.

place in the epoch's order      0  1  2  3  4  5  6  7  8 ...     divided among ranks and workers: see `turns`
set                             m  s  m  m  s  m  m  s  m         see `mixing`
the set's own frame             0  0  1  2  1  3  4  2  5         in the order of the set's own epoch
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, cast

from flowmo_data.epochs.fetching import FETCHED_AHEAD, with_bytes_ahead
from flowmo_data.epochs.from_index import IndexedStream
from flowmo_data.epochs.mixtures.mixing import SetOrder
from flowmo_data.epochs.mixtures.sets import MixedSpan, Mixture, naming
from flowmo_data.epochs.mixtures.stages import Stage
from flowmo_data.epochs.mixtures.turns import own_places
from flowmo_data.epochs.progress import Layout, Position, Progress, check_state
from flowmo_data.epochs.sharding import Shard
from flowmo_data.errors import NoReadableFileError, OptionError

_EPOCHS_APART = 1 << 32
"""own epochs of a set from one endless epoch to the next"""


class StageOrder(NamedTuple):
    """The order of the sets and of their frames in a stage."""

    stage: Stage
    order: SetOrder
    unit: int
    per_draw: int
    """frames that a set gives at a time"""
    before: tuple[int, ...]
    """frames of each set before the epoch, or before the stage of an endless one, counted over its own epochs"""

    def at(self, place: int) -> tuple[int, int]:
        """Return the set of a place, and the number of the set's frame, counted over all of its own epochs."""
        draw, inside = divmod(place - self.stage.place, self.per_draw)
        which, earlier = self.order.at(draw)
        return which, self.before[which] + earlier * self.per_draw + inside

    def taken(self, place: int) -> tuple[int, ...]:
        """Return the frames of each set in the epoch before a place, where no draw is under way."""
        counts = self.order.counts((place - self.stage.place) // self.per_draw)
        return tuple(taken + count * self.per_draw for taken, count in zip(self.stage.taken, counts, strict=True))


class Draws(NamedTuple):
    """The draws of an epoch."""

    frames: int
    """frames of all sets"""
    advances: tuple[int, ...]
    """frames by which each set goes on from epoch to epoch"""


@dataclass
class ReachedInMixture:
    """The number of places of the epoch's order that all ranks together have received: a `Reached`."""

    stream: MixedIndexedStream
    epoch: int
    frames: int
    layout: Layout

    def count(self, worker: int, progress: Progress) -> None:  # noqa: ARG002
        """See `Reached.count`. All ranks receive the same number of frames."""
        self.frames = self.ahead(1)
        if not self.stream.mixture.is_endless:
            self.frames = min(self.frames, self.stream.draws(self.epoch, self.layout.shards[0], self._turn).frames)

    def ahead(self, num_batches: int) -> int:
        """Return the place that all ranks reach with more batches."""
        return self.frames + num_batches * self.layout.batch_size * self.layout.world_size

    @property
    def _turn(self) -> int:
        return self.layout.batch_size

    def state(self) -> dict[str, Any]:
        """See `Reached.state`."""
        shard = self.layout.shards[0]
        return {
            **self.stream.mixture.identity(shard, self._turn),
            "epoch": self.epoch,
            "frames": self.frames,
            "stages": self.stream.stages_state(Progress(self.epoch, 0, self.frames), shard, self._turn),
        }

    def first_epoch(self) -> int:
        """See `Reached.first_epoch`."""
        return self.epoch

    def position(self) -> Position:
        """See `Reached.position`."""
        progress, num_workers = Progress(self.epoch, 0, self.frames), self.layout.num_workers
        return Position(dict.fromkeys(range(num_workers), progress), num_workers)


class MixedIndexedStream:
    """A `Stream` of the frames of several indexes."""

    ranks_end_together = True

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture
        self._draws = lru_cache(maxsize=4)(self._make_draws)
        self._stage_orders = lru_cache(maxsize=4)(self._make_stage_order)

    @property
    def names(self) -> tuple[str, ...]:
        """See `Stream.names`. All sets have the same."""
        return self.mixture.streams[0].names

    @property
    def _streams(self) -> list[IndexedStream]:
        return cast("list[IndexedStream]", self.mixture.streams)

    @cached_property
    def _lengths(self) -> list[int]:
        return [stream.frames_per_epoch for stream in self._streams]

    def _make_draws(self, weights: tuple[float, ...], unit: int, per_draw: int) -> Draws:
        """Return the draws of an epoch that ends."""
        first, order = self.mixture.stop == "first", self.mixture.order(weights, unit)
        ends = []
        for which, (name, length) in enumerate(zip(self.mixture.names, self._lengths, strict=True)):
            whole = length // per_draw if first else -(-length // per_draw)
            if weights[which] and not whole:
                raise OptionError(f"{name}: an epoch of {length} frames has no batch of {per_draw}; use smaller ones")
            if weights[which]:
                ends.append((order.place_of(which, whole - 1) + 1, which))
        end = min(ends)[0] if first else max(ends)[0]
        frames = [count * per_draw for count in order.counts(end)]
        used_up = {which for place, which in ends if place == end}
        return Draws(
            end * per_draw,
            tuple(
                -(-count // length) * length if count and (which in used_up or not first) else count
                for which, (count, length) in enumerate(zip(frames, self._lengths, strict=True))
            ),
        )

    def draws(self, epoch: int, shard: Shard, frames_per_turn: int | None) -> Draws:
        """Return the draws of an epoch. They are the same in every epoch with the same weights."""
        order = self._stage_order(shard, epoch, 0, frames_per_turn)
        return self._draws(order.stage.weights, order.unit, order.per_draw)

    def _stage_order(self, shard: Shard, epoch: int, place: int, frames_per_turn: int | None) -> StageOrder:
        """Return the order from a place on."""
        mixture = self.mixture
        stage = mixture.stages.at(shard.rank, epoch, place)
        if mixture.is_endless and stage.epoch != epoch:
            stage = stage.from_epoch(epoch)
        unit, per_draw = mixture.unit(stage, shard, frames_per_turn), mixture.frames_per_draw(frames_per_turn)
        return self._stage_orders(stage, unit, per_draw, epoch)

    def _make_stage_order(self, stage: Stage, unit: int, per_draw: int, epoch: int) -> StageOrder:
        names = self.mixture.names
        for name, weight, length, stream in zip(names, stage.weights, self._lengths, self._streams, strict=True):
            if weight and not length:
                raise NoReadableFileError(f"{name}: no frame in any of {len(stream.index)} files of the index")
        if self.mixture.is_endless:
            passed = [epoch * _EPOCHS_APART * length for length in self._lengths]
        else:
            epochs = epoch - stage.epoch
            passed = [epochs * each for each in self._draws(stage.weights, unit, per_draw).advances]
        before = tuple(taken + frames for taken, frames in zip(stage.taken, passed, strict=True))
        return StageOrder(stage, self.mixture.order(stage.weights, unit), unit, per_draw, before)

    @property
    def fetched_ahead(self) -> int:
        """Frames with bytes that are fetched before the frames are decoded, at most."""
        return FETCHED_AHEAD if any(stream.is_remote for stream in self._streams) else 0

    def spans(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> Iterator[MixedSpan]:
        """See `Stream.spans`. The first span is found as fast as any other."""
        spans = self._spans(progress, shard, frames_per_turn)
        most = self.mixture.options.max_buffered_bytes
        if not self.fetched_ahead:
            return spans
        return with_bytes_ahead(spans, lambda mixed: mixed.span, most, completed=self._with_sidecar)

    def _with_sidecar(self, mixed: MixedSpan) -> MixedSpan:
        return mixed._replace(span=self._streams[mixed.which].with_sidecar(mixed.span))

    def _spans(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> Iterator[MixedSpan]:
        if shard.index == 0:
            for name, stream in zip(self.mixture.names, self._streams, strict=True):
                with naming(name):
                    stream.report_bad_files(progress.epoch)
        per_rank = wraps = None
        if not self.mixture.is_endless:
            wraps = self.draws(progress.epoch, shard, frames_per_turn).frames
            per_rank = self._frames_of_a_rank(wraps - progress.begin, shard.world_size, frames_per_turn)
            if not progress.begin and not per_rank:
                raise OptionError(f"{wraps} frames are too few for {shard.world_size} ranks")
        order = self._stage_order(shard, progress.epoch, progress.begin, frames_per_turn)
        for own in own_places(shard, per_rank, frames_per_turn, progress.handed_out):
            place = progress.begin + own
            if wraps is None:  # weights may have changed since
                order = self._stage_order(shard, progress.epoch, place, frames_per_turn)
            else:
                place %= wraps
            which, frame = order.at(place)
            own_epoch, own_place = divmod(frame, self._lengths[which])
            with naming(self.mixture.names[which]):
                span = self._streams[which].span(own_place, own_epoch)
            yield MixedSpan(which, own_epoch, span)

    def next_stage(
        self, weights: tuple[float, ...], epoch: int, place: int, shard: Shard, frames_per_turn: int | None
    ) -> Stage:
        """See `MixedStream.next_stage`."""
        if not place and self.mixture.is_endless:
            return replace(self.mixture.stages.at(shard.rank, epoch).from_epoch(epoch), weights=weights)
        order = self._stage_order(shard, epoch, place, frames_per_turn)
        if self.mixture.is_endless:
            taken = order.taken(place)
        else:  # each set begins another epoch of its own
            taken = tuple(
                -(-frames // length) * length if length else 0
                for frames, length in zip(order.before, self._lengths, strict=True)
            )
        return Stage(epoch, place, weights, taken, order.stage.unit)

    def stages_state(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> list[dict[str, Any]]:
        """See `MixedStream.stages_state`."""
        stages = self.mixture.stages.state(shard.rank, progress.epoch, progress.begin)
        return [asdict(replace(stage, unit=self.mixture.unit(stage, shard, frames_per_turn))) for stage in stages]

    def _frames_of_a_rank(self, frames: int, world_size: int, frames_per_turn: int | None) -> int:
        size = self.mixture.frames_per_draw(frames_per_turn)
        frames = -(-frames // size)
        ranks = -(-frames // world_size) if self.mixture.options.remainder == "repeat" else frames // world_size
        return ranks * size

    def frames_of_a_rank(self, shard: Shard, epoch: int, frames_per_turn: int | None) -> int:
        """See `MixedStream.frames_of_a_rank`."""
        if self.mixture.is_endless:
            raise TypeError("stop='never': the mixture has no end, and so no length")
        frames = self.draws(epoch, shard, frames_per_turn).frames
        return self._frames_of_a_rank(frames, shard.world_size, frames_per_turn)

    def identity(self, shard: Shard, frames_per_turn: int | None) -> dict[str, Any]:
        """See `Stream.identity`."""
        return self.mixture.identity_of_shard(shard, frames_per_turn)

    def epoch_start(self, epoch: int, layout: Layout) -> ReachedInMixture:
        """See `Stream.epoch_start`."""
        return ReachedInMixture(self, epoch, 0, layout)

    def resumed(self, state: Mapping[str, Any], layout: Layout) -> ReachedInMixture:
        """See `Stream.resumed`. The state fits any number of ranks and workers; by="frame", also any batch size."""
        check_state(state, self.mixture.identity(layout.shards[0], layout.batch_size), ("epoch", "frames", "stages"))
        self.mixture.restore(state, layout.rank, layout.world_size)
        return ReachedInMixture(self, state["epoch"], state["frames"], layout)

    def __getstate__(self) -> dict[str, Any]:
        return {"mixture": self.mixture}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["mixture"])  # type: ignore[misc]
