"""The frames of an epoch if an index gives all lengths: one order for all ranks, divided frame by frame.

    place in the epoch's order      0   1   2   3   4   5   6   7   8   9  10  11  12 ...
    rank                            0   1   0   1   0   1   0   1   0   1   0   1   0
    a rank's frame                  0   0   1   1   2   2   3   3   4   4   5   5   6
    worker, batches of 2            0   0   0   0   1   1   1   1   0   0   0   0   1

This example has 2 ranks of 2 workers each. Ranks take turns frame by frame. The workers of a rank take turns batch by
batch, in the order in which the DataLoader asks them. So the n-th batches of all ranks together hold the same frames
for any number of ranks and workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.fetching import known, with_bytes_ahead, with_sidecar
from flowmo_data.epochs.framing import jittered_starts
from flowmo_data.epochs.opening import as_wanted
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.plan import EpochPlan, frames_per_epoch
from flowmo_data.epochs.progress import VERSION, Layout, Progress, check_state
from flowmo_data.epochs.randomness import Purpose, random_below, random_bits
from flowmo_data.epochs.reached import ReachedInIndex
from flowmo_data.epochs.sharding import Shard, by_quota, by_turn
from flowmo_data.epochs.span import Span
from flowmo_data.errors import AudioFileError, NoReadableFileError, OptionError
from flowmo_data.sources import FileMetadata, is_url
from flowmo_data.tracks import AudioIndex, at_sample_rate
from flowmo_data.tracks.index.segments import START, STOP


class IndexedStream:
    """A `Stream` of the frames of an index.

    Args:
        index: the index.
        options: the options of the dataset.
        error_log: receives the problems.
        metadata: what is known about each file, in place of the metadata in the index.
    """

    ranks_end_together = True

    def __init__(
        self, index: AudioIndex, options: Options, error_log: ErrorLog, metadata: FileMetadata | None = None
    ) -> None:
        self.index, self._options, self._error_log, self._metadata = index, options, error_log, metadata
        _ = index.columns  # here, before workers are forked, so that they share what it copies
        self._plan = lru_cache(maxsize=1)(self._make_plan)

    @property
    def names(self) -> tuple[str, ...]:
        """See `Stream.names`."""
        return self.index.names

    @cached_property
    def _lengths(self) -> npt.NDArray[np.int64]:
        return self.index.columns.lengths(self._options.sr, on_other_rate=self._options.on_other_rate)

    def _make_plan(self, epoch: int) -> EpochPlan:
        options = self._options
        return EpochPlan(
            self._lengths,
            samples_per_frame=options.samples_per_frame,
            framing=options.framing,
            shuffle=options.shuffle,
            shuffle_buffer_size=options.shuffle_buffer_size,
            seed=options.seed,
            epoch=epoch,
            hop=options.hop,
            limit=options.limit,
        )

    @cached_property
    def frames_per_epoch(self) -> int:
        """Frames of all ranks, the same number in every epoch."""
        options = self._options
        return frames_per_epoch(
            self._lengths,
            options.samples_per_frame,
            options.framing,
            shuffle=options.shuffle,
            hop=options.hop,
            limit=options.limit,
        )

    def spans(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> Iterator[Span]:
        """See `Stream.spans`. The first span is found as fast as any other."""
        return self._with_bytes(self._spans(progress, shard, frames_per_turn))

    def spans_at(self, places: Iterable[int], epoch: int) -> Iterator[Span]:
        """Return the frames at some places in an epoch's order."""
        return self._with_bytes(self.span(place, epoch) for place in places)

    @property
    def is_remote(self) -> bool:
        """True if the files are in a store, so that their bytes are fetched ahead."""
        return is_url(self.index.root)

    def _with_bytes(self, spans: Iterator[Span]) -> Iterator[Span]:
        """Return spans, with their bytes if these are remote."""
        if not self.is_remote:
            return spans
        most = self._options.max_buffered_bytes
        return with_bytes_ahead(spans, lambda span: span, most, completed=self.with_sidecar)

    def with_sidecar(self, span: Span) -> Span:
        """Return a span with what lies beside its file, if that is wanted."""
        return span if self._metadata is None else with_sidecar(span, self._metadata)

    def _spans(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> Iterator[Span]:
        if shard.index == 0:
            self.report_bad_files(progress.epoch)
        num_frames = len(self.plan(progress.epoch))
        if not num_frames:
            raise NoReadableFileError(f"no frame in any of {len(self.index)} files of the index; see the skipped files")
        if not self._frames_of_a_rank(num_frames, shard.world_size):
            self.has_frames(shard)
        for place in self._places(progress, shard, frames_per_turn):
            yield self.span(place % num_frames, progress.epoch)

    def _places(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> Iterator[int]:
        """Return the places in the epoch's order that belong to a shard."""
        stop = self._stop(progress, shard)
        if frames_per_turn is None and not self._options.repeat:
            own = by_quota((stop - progress.begin) // shard.world_size, shard, progress.handed_out)
        else:
            own = by_turn(frames_per_turn or 1, shard, progress.handed_out)
        for frame in own:
            place = progress.begin + frame * shard.world_size + shard.rank
            if place >= stop:
                return
            yield place

    def _stop(self, progress: Progress, shard: Shard) -> int:
        """Return the end (exclusive) of the places that are used."""
        if self._options.repeat:
            return self.frames_per_epoch
        left = self.frames_per_epoch - progress.begin
        return progress.begin + self._frames_of_a_rank(left, shard.world_size) * shard.world_size

    def _frames_of_a_rank(self, frames: int, world_size: int) -> int:
        return -(-frames // world_size) if self._options.remainder == "repeat" else frames // world_size

    def plan(self, epoch: int) -> EpochPlan:
        """Return the frames of an epoch. Without `shuffle`, all epochs share one plan, and forked workers share it."""
        return self._plan(epoch if self._options.shuffle else 0)

    def span(self, place: int, epoch: int) -> Span:
        """Return the frame at a place in an epoch's order."""
        options = self._options
        file, start = self.plan(epoch)[place]
        track = self.index.columns.track(file)
        timeline = at_sample_rate(track, options.sr, on_other_rate=options.on_other_rate)
        if options.jitter:
            bits = random_bits(options.seed, epoch, Purpose.JITTER, place)
            hop = options.hop or options.samples_per_frame
            starts = jittered_starts(start, timeline.num_samples, samples_per_frame=options.samples_per_frame, hop=hop)
            start = starts[random_below(bits, len(starts))]
        if options.return_info and self._metadata is None:
            found = self.index.columns.metadata(file)
            timeline = timeline if found is None else replace(timeline, metadata=found)
        return Span(timeline, start, start + options.samples_per_frame, place)

    def after(self, progress: Progress) -> Progress:
        """See `Stream.after`. The next epoch continues the turns of the last, so no batch is short between them."""
        return Progress(progress.epoch + 1, progress.handed_out, progress.begin - self.frames_per_epoch)

    def substitute(self, span: Span, epoch: int, attempt: int) -> Span | None:
        """Return another frame of the epoch, so that ranks still have the same number of frames.

        Where all epochs have the same frames, all have the same substitutes.
        """
        of_epoch = epoch if self._options.shuffle or self._options.jitter else 0
        bits = random_bits(self._options.seed, of_epoch, Purpose.SUBSTITUTE, span.place, attempt)
        return self.span(random_below(bits, self.frames_per_epoch), epoch)

    @property
    def metadata_keys(self) -> frozenset[str] | None:
        """See `Stream.metadata_keys`."""
        if self._metadata is not None:
            return self._metadata.keys
        return frozenset({*self.index.metadata_types(), *((START, STOP) if self.index.has_segments else ())})

    def metadata(self, span: Span) -> dict[str, Any] | None:
        """See `Stream.metadata`."""
        if span.sidecar is not None:
            return known(span.sidecar)
        if self._metadata is not None:
            return self._metadata.of(span.timeline.path)
        found = span.timeline.metadata
        return None if found is None else dict(found)

    def has_frames(self, shard: Shard) -> bool:
        """See `Stream.has_frames`."""
        if self.frames_per_epoch < shard.world_size:
            raise OptionError(f"{self.frames_per_epoch} frames are too few for {shard.world_size} ranks")
        return True

    def num_frames(self, world_size: int) -> int:
        """See `Stream.num_frames`. The number is the same in every epoch."""
        if self._options.repeat:
            raise TypeError("repeat=True: the stream has no end, and so no length")
        return self._frames_of_a_rank(self.frames_per_epoch, world_size)

    def check_empty_epochs(self, num_epochs: int, shard: Shard) -> None:
        """See `Stream.check_empty_epochs`. Nothing to check: a worker gets its turn in a later epoch."""

    def identity(self, shard: Shard, frames_per_turn: int | None) -> dict[str, Any]:
        """See `Stream.identity`."""
        ranks = {"rank": shard.rank, "world_size": shard.world_size, "num_workers": shard.num_workers}
        return {**self._identity(), **ranks, "frames_per_turn": frames_per_turn}

    def _identity(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "num_files": len(self.index),
            "index": self.index.fingerprint,
            **({"names": list(self.names)} if self.names else {}),
            **self._options.order(),
        }

    def epoch_start(self, epoch: int, layout: Layout) -> ReachedInIndex:
        """See `Stream.epoch_start`."""
        return self._reached(epoch, 0, layout)

    def resumed(self, state: Mapping[str, Any], layout: Layout) -> ReachedInIndex:
        """See `Stream.resumed`. The state fits any number of ranks and workers, and any batch size."""
        check_state(state, self._identity(), ("epoch", "frames"))
        return self._reached(state["epoch"], state["frames"], layout)

    def _reached(self, epoch: int, frames: int, layout: Layout) -> ReachedInIndex:
        return ReachedInIndex(self._identity(), epoch, frames, layout, self.frames_per_epoch, self._options.repeat)

    def report_bad_files(self, epoch: int) -> None:
        """Report the file problems that the index knows."""
        columns, options = self.index.columns, self._options
        for path, reason in self.index.bad_files().items():
            self._error_log.refuse(AudioFileError.of(path, reason), epoch)
        odd = set(columns.damaged_files())
        if options.on_other_rate == "resample":
            odd.update(columns.files_not_resampled(options.sr))
        else:
            odd.update(columns.files_at_other_rates(options.sr))
        for file in sorted(odd.difference(columns.left_out())):
            track = columns.reported(file)
            if track is None:
                continue
            try:
                as_wanted(track, options, self._error_log, epoch)
            except AudioFileError as error:
                self._error_log.refuse(error, epoch)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "_options": self._options,
            "_error_log": self._error_log,
            "_metadata": self._metadata,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["index"], state["_options"], state["_error_log"], state["_metadata"])  # type: ignore[misc]
