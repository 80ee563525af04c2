"""The sets of a mixture: what they share, and the checks on their weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from flowmo_data.epochs.mixtures.mixing import SetOrder, odd_part
from flowmo_data.epochs.mixtures.stages import Stage, Stages
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.progress import VERSION, Progress
from flowmo_data.epochs.sharding import Shard
from flowmo_data.epochs.span import FrameStream, Span, Stream
from flowmo_data.errors import AudioFileError, FlowmoDataError, OptionError, StateError

BY = ("frame", "batch")
STOP = ("first", "all", "never")
_OF_SHARDS = {"version", "rank", "world_size", "num_workers", "frames_per_turn"}
_LEAST_SHARE = 2.0**-40


class MixedSpan(NamedTuple):
    """A frame of one of the sets that is not decoded yet."""

    which: int
    """the number of the set"""
    epoch: int
    """the set's own epoch, which is not that of the mixture"""
    span: Span
    """the frame"""
    sets: tuple[tuple[int, int], ...] = ()
    """without indexes: how far each set is after the frame, as in `Progress`"""


class MixedStream(Stream, Protocol):
    """A stream of the frames of a mixture."""

    @property
    def fetched_ahead(self) -> int:
        """Frames with bytes that are fetched before the frames are decoded, at most."""

    def next_stage(
        self, weights: tuple[float, ...], epoch: int, place: int, shard: Shard, frames_per_turn: int | None
    ) -> Stage:
        """Return the stage of new weights that begins at a place, 0 unless the mixture is endless."""

    def stages_state(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> list[dict[str, Any]]:
        """Return the stages from a progress on, for a state. Their units are those of the order here, which stays."""

    def frames_of_a_rank(self, shard: Shard, epoch: int, frames_per_turn: int | None) -> int:
        """Return the number of frames of a rank in an epoch.

        Raises:
            TypeError: it is not known, or there is no end.
        """


@dataclass(frozen=True, eq=False)
class Mixture:
    """The sets of a mixture and its options.

    Raises:
        OptionError: an option has an invalid value.
    """

    names: Sequence[str]
    """names of the sets"""
    streams: Sequence[FrameStream]
    """the frames of each set"""
    options: Options
    """the options that the sets share"""
    seed: int
    by: str
    """what the sets take in turns: "frame" or "batch" """
    stop: str
    stages: Stages
    """the weights over time"""

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise OptionError(f"seed={self.seed!r}: it must be a whole number of at least 0")
        if self.by not in BY:
            raise OptionError(f"by={self.by!r}: use 'frame' (sets alternate in a batch) or 'batch' (one set a batch)")
        if self.stop not in STOP:
            raise OptionError(
                f"stop={self.stop!r}: use 'first' (an epoch ends when the first set is used up), 'all' (when all sets "
                "were gone through) or 'never'"
            )

    @property
    def is_endless(self) -> bool:
        """True if there is only one epoch, without end."""
        return self.stop == "never"

    def frames_per_draw(self, frames_per_turn: int | None) -> int:
        """Return the number of frames that a set gives at a time.

        Raises:
            OptionError: it is the size of a batch, which is not known.
        """
        if self.by == "frame":
            return 1
        if frames_per_turn is None:
            raise OptionError(
                "by='batch': the batch size is not known here; give all sets batch_size= (with "
                "DataLoader(dataset, batch_size=None)), or use ResumableDataLoader"
            )
        return frames_per_turn

    def unit(self, stage: Stage, shard: Shard, frames_per_turn: int | None) -> int:
        """Return the unit of the sets' order, with which the shares are exact in the batches of all ranks together."""
        of_batches = shard.world_size if self.by == "batch" else (frames_per_turn or 1) * shard.world_size
        return stage.unit or odd_part(of_batches)

    def order(self, weights: tuple[float, ...], unit: int) -> SetOrder:
        """Return the order of the sets."""
        return _set_order(weights, self.seed, unit)

    def identity_of_shard(self, shard: Shard, frames_per_turn: int | None) -> dict[str, Any]:
        """Return what a state of a worker must hold."""
        ranks = {"rank": shard.rank, "world_size": shard.world_size, "num_workers": shard.num_workers}
        return {**self.identity(shard, frames_per_turn), **ranks, "frames_per_turn": frames_per_turn}

    def identity(self, shard: Shard, frames_per_turn: int | None) -> dict[str, Any]:
        """Return what a state of the mixture must hold for any shard: files and options of all sets."""
        common = {"version": VERSION, "seed": self.seed, "by": self.by, "stop": self.stop, "sets": list(self.names)}
        if self.by == "batch":
            common["batch_size"] = self.frames_per_draw(frames_per_turn)
        for name, stream in zip(self.names, self.streams, strict=True):
            of_set = stream.identity(shard, frames_per_turn)
            common |= {f"{name}.{key}": value for key, value in of_set.items() if key not in _OF_SHARDS}
        return common

    def restore(self, state: Mapping[str, Any], rank: int, world_size: int) -> None:
        """Take the weights from a state.

        Raises:
            StateError: it holds none.
        """
        try:
            stages = [Stage.of(stage) for stage in state["stages"]]
        except (KeyError, TypeError) as error:
            raise StateError("this state does not fit: it has no weights of a mixture (key 'stages')") from error
        self.stages.restore(stages, rank, world_size)


@lru_cache(maxsize=8)
def _set_order(weights: tuple[float, ...], seed: int, unit: int) -> SetOrder:
    return SetOrder(weights, seed=seed, unit=unit)


def checked_weights(weights: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    """Return the weights in the order of the sets.

    Raises:
        OptionError: they are not one number from 0 on for each set, or all are 0.
    """
    if not isinstance(weights, Mapping) or set(weights) != set(names):
        raise OptionError(f"weights={weights!r}: give one weight for each of the sets {', '.join(map(repr, names))}")
    for name, weight in weights.items():
        is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not is_number or not math.isfinite(weight) or weight < 0:
            raise OptionError(f"weights[{name!r}]={weight!r}: a weight is a number, 0 or greater")
    total = sum(weights.values())
    if not total:
        raise OptionError(f"weights={dict(weights)!r}: at least one weight must be greater than 0")
    for name, weight in weights.items():
        if 0 < weight < total * _LEAST_SHARE:
            raise OptionError(f"weights[{name!r}]={weight!r}: beside the others it is too small to count; use 0")
    return tuple(weights[name] for name in names)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Add the name of a set to the errors that are raised inside."""
    try:
        yield
    except FlowmoDataError as error:
        named = type(error)(f"{name}: {error}")
        if isinstance(error, AudioFileError) and isinstance(named, AudioFileError):
            named.path, named.reason = error.path, error.reason
        raise named from error
