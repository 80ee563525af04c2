"""`MixedAudioDataset`: several sets in fixed proportions, in one order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil
from typing import Any, NamedTuple

from torch.utils.data import get_worker_info

from flowmo_data.datasets.iteration import StreamDataset
from flowmo_data.datasets.streaming import StreamingAudioDataset
from flowmo_data.decoding.frames import FrameReader
from flowmo_data.decoding.mixed_frames import MixedReader
from flowmo_data.epochs import Progress, Report, Shard
from flowmo_data.epochs.from_index import IndexedStream
from flowmo_data.epochs.mixtures import (
    MixedFileStream,
    MixedIndexedStream,
    MixedStream,
    Mixture,
    ReachedInMixedFiles,
    ReachedInMixture,
    Stage,
    Stages,
    checked_weights,
    turn_length,
)
from flowmo_data.epochs.progress import Layout, Reached
from flowmo_data.epochs.sharding import current_shard
from flowmo_data.errors import OptionError
from flowmo_data.runtime.threads import AHEAD

_SHARED = ("sr", "samples_per_frame", "channels", "dtype", "return_info", "batch_size", "remainder")
"""options that must be the same in all sets"""


class Loop(NamedTuple):
    """The progress of a loop over a loader."""

    reached: Reached | None
    """the last batch that the loop has received, or a loaded state; None between epochs"""
    layout: Layout
    batches_ahead: int
    """batches that workers may have been asked for since"""


class MixedAudioDataset(StreamDataset):
    """Frames of several sets, mixed in fixed proportions.

    The sets take turns in an order in which every stretch has the right proportions: with indexes, every batch of all
    ranks together has its share of each set to within one frame. Nothing is drawn at random, so nothing has to be
    averaged out. The mixture divides the work among ranks and workers, and the sets do not divide it again. Each set
    keeps its own options for files, shuffling, seed, errors and `transform`.

    Args:
        sets: the sets by name: `StreamingAudioDataset`s that emit frames of the same shape, rate and dtype, and have
            the same `return_info`, `batch_size`, `remainder`, `rank` and `world_size`, which count for the mixture.
            With `return_info=True`, each item has the name of its set under `"dataset"`. Errors begin with the name.
        weights: weight of each set by name, 0 or greater; proportions are weights divided by their sum.
        seed: seed of the order in which sets take turns; a whole number, 0 or greater.
        by: "frame" mixes the sets in each batch. "batch" takes whole batches from one set, in these proportions; the
            batch size is that of the sets, or of a `ResumableDataLoader`.
        stop: "first" ends an epoch when the first set is used up. The other sets go on from there in the next epoch.
            "all" ends it when all sets have been gone through; the shorter ones begin again before that. A set with
            weight 0 does not count. "never" has no end, for training that counts steps.

    Raises:
        OptionError: an option has an invalid value, or the sets do not fit together.
        AudioFileError: while iterating: see `StreamingAudioDataset`.
        NoReadableFileError: while iterating: a set has no frames.
    """

    _is_mixture = True

    def __init__(
        self,
        sets: Mapping[str, StreamingAudioDataset],
        *,
        weights: Mapping[str, float],
        seed: int = 0,
        by: str = "frame",
        stop: str = "first",
    ) -> None:
        names = _checked(sets)
        if by != "batch":
            _check_metadata(sets)
        parts = [sets[name] for name in names]
        threads = max(part.options.decode_threads for part in parts)
        self.options = replace(parts[0].options, decode_threads=threads)
        self.error_logs = [part.error_log for part in parts]
        first = Stage(0, 0, checked_weights(weights, names), (0,) * len(parts))
        self._mixture = Mixture(
            names=names,
            streams=[part.stream for part in parts],
            options=self.options,
            seed=seed,
            by=by,
            stop=stop,
            stages=Stages(first),
        )
        has_indexes = all(isinstance(part.stream, IndexedStream) for part in parts)
        self.stream: MixedStream = MixedIndexedStream(self._mixture) if has_indexes else MixedFileStream(self._mixture)
        readers = [
            FrameReader(part.options, part.stream, part.error_log, {"dataset": name}) for name, part in sets.items()
        ]
        self.reader = MixedReader(names, readers)
        self._batches_by_slot = by == "batch" and not has_indexes
        self._follow: Callable[[], Callable[[], Loop] | None] | None = None
        self._begin(*parts[0].given_rank)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Change the weights: from the next epoch on, or with `stop="never"` at once.

        Call it in the main process, on all ranks at the same step. At once means: from the first batch on that no
        worker has been asked for, which is the next one without workers, and else comes
        `num_workers * prefetch_factor` batches later. `decode_threads` add the batches that they decode ahead. So all
        ranks and workers change at the same place, which does not depend on time, and a state contains it. Only a
        `ResumableDataLoader` knows this place. With workers of other loaders, the weights change at the next iteration.

        With indexes and epochs, each set begins an epoch of its own with the change.

        Args:
            weights: see `MixedAudioDataset`.

        Raises:
            OptionError: the weights are invalid, or this is a worker.
        """
        if get_worker_info() is not None:
            raise OptionError("set_weights() in a worker reaches no other worker: call it in the main process")
        values = checked_weights(weights, self._mixture.names)
        rank, world_size = self._last_rank_and_world_size()
        (epoch, place), reached, shard, turn = self._change(rank, world_size)
        stage = self.stream.next_stage(values, epoch, place, shard, turn)
        self._mixture.stages.add(stage, rank, world_size, reached=reached)

    def _change(self, rank: int, world_size: int) -> tuple[tuple[int, int], tuple[int, int], Shard, int | None]:
        """Return the epoch and place of a change, those that the loop has reached, a shard, and its turns."""
        endless, upcoming = self._mixture.is_endless, self.next_epoch
        follow = self._follow() if self._follow is not None else None
        loop = None if follow is None else follow()
        if loop is not None and loop.reached is not None:
            layout, reached = loop.layout, loop.reached
            assert isinstance(reached, (ReachedInMixture, ReachedInMixedFiles))
            is_over = reached.epoch + 1 < upcoming  # another loop has begun since
            if not is_over and endless:
                ahead = -(-self._frames_ahead // layout.batch_size) * layout.num_workers
                place = reached.ahead(loop.batches_ahead + ahead)
                return (reached.epoch, place), (reached.epoch, reached.frames), layout.shards[0], layout.batch_size
            if not is_over:
                fresh = not reached.frames and not loop.batches_ahead
                epoch = max(upcoming, reached.epoch if fresh else reached.epoch + 1)
                return (epoch, 0), (reached.epoch, 0), layout.shards[0], layout.batch_size
        shard, turn = Shard(rank, world_size), self._turn()
        mine = self._progress
        if endless and self._shard is not None and mine.epoch + 1 == upcoming:  # this process iterates
            frames = mine.handed_out + self._frames_ahead
            if isinstance(self.stream, MixedIndexedStream):
                length = turn_length(self._shard, None, turn)
                frames = mine.begin + -(-frames // length) * length * world_size
            return (mine.epoch, frames), (mine.epoch, mine.begin), shard, turn
        return (upcoming, 0), (max(upcoming - 1, 0), 0), shard, turn

    @property
    def _frames_ahead(self) -> int:
        """Frames that may be drawn before they are handed out."""
        return AHEAD * self.options.decode_threads + self.stream.fetched_ahead

    @property
    def weights(self) -> dict[str, float]:
        """The weights that were given last, in this process: by name."""
        stage = self._mixture.stages.of(self._last_rank_and_world_size()[0])[-1]
        return dict(zip(self._mixture.names, stage.weights, strict=True))

    def report(self, epoch: int | None = None) -> Report:
        """Return the losses of all sets on this rank in an epoch, and the frames of each set that were emitted.

        Args:
            epoch: see `StreamingAudioDataset.report`. With `stop="never"`, workers report when the loop ends.
        """
        rank, names = self._last_rank_and_world_size()[0], self._mixture.names
        epoch = self.error_logs[0].report(epoch, rank).epoch
        reports = {name: log.report(epoch, rank) for name, log in zip(names, self.error_logs, strict=True)}
        frames = {name: log.num_frames(epoch, rank) for name, log in zip(names, self.error_logs, strict=True)}
        return Report.of_sets(reports, frames)

    def state_dict(self) -> dict[str, Any]:
        """Return the progress of this process's iteration, in its worker: for torchdata's `StatefulDataLoader`."""
        state = super().state_dict()
        shard = self._shard or current_shard(*self.rank_and_world_size())
        return {**state, "stages": self.stream.stages_state(Progress.of(state), shard, self._turn())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration of this process where `state` was taken, with its weights.

        Raises:
            StateError: the state belongs to other files, options, ranks or number of workers.
        """
        super().load_state_dict(state)
        self._mixture.restore(state, *self.rank_and_world_size())

    def follow(self, loop: Callable[[], Callable[[], Loop] | None]) -> None:
        """Ask a loader for the progress of its loop when weights change; `loop` is a weak reference to a method."""
        self._follow = loop

    def __len__(self) -> int:
        """Return the number of frames (batches if `batch_size` is set) in an iteration on this rank. Needs indexes.

        It is the same in every epoch until the weights change, for any number of workers.

        Raises:
            TypeError: a set has no index, or no end.
        """
        shard = Shard(*self._last_rank_and_world_size())
        frames = self.stream.frames_of_a_rank(shard, self.next_epoch, self._turn())
        return ceil(frames / (self.options.batch_size or 1))

    def _after(self, progress: Progress, span: Any) -> Progress:
        return replace(progress, handed_out=progress.handed_out + 1, sets=span.sets)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_follow": None}  # the loader is in the main process


def _checked(sets: Mapping[str, StreamingAudioDataset]) -> list[str]:
    """Return the names of the sets.

    Raises:
        OptionError: they do not fit together.
    """
    if not isinstance(sets, Mapping) or not sets:
        raise OptionError(f"sets={sets!r}: give a dictionary of StreamingAudioDatasets by name")
    names = list(sets)
    for name, part in sets.items():
        if not isinstance(name, str) or not name:
            raise OptionError(f"sets: {name!r} is not a name; use a text")
        if not isinstance(part, StreamingAudioDataset):
            raise OptionError(f"{name}: {part!r} is not a StreamingAudioDataset")
        if part.options.repeat:
            raise OptionError(f"{name}: repeat=True: leave it out, and give the mixture stop='never' or 'all'")
        if any(part is sets[other] for other in names[: names.index(name)]):
            raise OptionError(f"{name}: the same dataset has another name too; make two, with different seeds")
        for option in _SHARED:
            first, own = getattr(sets[names[0]].options, option), getattr(part.options, option)
            if own != first:
                raise OptionError(f"{name}: {option}={own!r}, but {first!r} in {names[0]}; they must be the same")
        first, own = sets[names[0]].stream.names, part.stream.names
        if own != first:
            raise OptionError(
                f"{name}: its aligned files are named {list(own)}, but {list(first)} in {names[0]}; use the same names"
            )
        first, own = sets[names[0]].given_rank, part.given_rank
        if own != first:
            raise OptionError(
                f"{name}: rank, world_size are {own}, but {first} in {names[0]}; give all the same, or leave them out"
            )
    return names


def _check_metadata(sets: Mapping[str, StreamingAudioDataset]) -> None:
    """Raise `OptionError` if frames of one batch would have different keys of metadata, as far as they are known."""
    keys = {name: part.stream.metadata_keys for name, part in sets.items() if part.options.return_info}
    first = next(iter(keys), "")
    for name, mine in keys.items():
        its = keys[first]
        has_some = [found is None or bool(found) for found in (mine, its)]
        if has_some[0] != has_some[1] or (mine is not None and its is not None and mine != its):
            raise OptionError(
                f"{name}: the keys of its metadata are {_listed(mine)}, but {_listed(its)} in {first}; a batch needs "
                "the same: give a metadata= function that returns them, or use by='batch'"
            )


def _listed(keys: frozenset[str] | None) -> str:
    return "unknown" if keys is None else str(sorted(keys))
