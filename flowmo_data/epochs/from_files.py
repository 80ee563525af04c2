"""The frames of an epoch before they are decoded: references, in the order in which they are emitted."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from typing import Any

from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.fetching import held_by
from flowmo_data.epochs.framing import frame_starts
from flowmo_data.epochs.opening import Opener, as_wanted
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.progress import VERSION, Layout, Progress, check_state, deal_batches
from flowmo_data.epochs.randomness import Purpose, random_below, random_bits
from flowmo_data.epochs.reached import ReachedInFiles
from flowmo_data.epochs.sharding import Shard, deal, epoch_order
from flowmo_data.epochs.shuffle_buffer import shuffled, shuffled_within
from flowmo_data.epochs.span import Span
from flowmo_data.errors import AudioFileError, NoReadableFileError, OptionError, StateError
from flowmo_data.sources import AlignedSources, FileMetadata, Sources, summary_of_problems
from flowmo_data.sources.metadata.of_files import copied
from flowmo_data.tracks import AnyTimeline, at_sample_rate

logger = logging.getLogger(__name__)

_EMPTY_EPOCHS = 100
"""number of epochs without a frame for a shard after which an endless stream gives up"""


class FileStream:
    """A `Stream` of the frames of files. The length of a file is known only when it is opened.

    Args:
        sources: the files.
        options: the options of the dataset.
        error_log: receives the problems.
        metadata: what is known about each file; a file about which nothing is known is not opened.
    """

    frames_per_epoch = None
    """unknown"""

    def __init__(
        self,
        sources: Sources | AlignedSources,
        options: Options,
        error_log: ErrorLog,
        metadata: FileMetadata | None = None,
    ) -> None:
        self._sources, self._options, self._error_log, self._metadata = sources, options, error_log, metadata
        self._opener = Opener(sources, options.max_buffered_bytes, metadata)
        self._fingerprint = sources.fingerprint
        is_known = None if metadata is None else metadata.is_known
        if is_known is not None and not is_known.all():
            self._fingerprint = blake2b(self._fingerprint.encode() + is_known.tobytes(), digest_size=8).hexdigest()
        self._problems = sources.problems if isinstance(sources, AlignedSources) else {}
        if self._problems:
            error_log.refuse_before(self._problems, summary_of_problems(self._problems, len(sources)))

    @property
    def names(self) -> tuple[str, ...]:
        """See `Stream.names`."""
        return self._sources.names if isinstance(self._sources, AlignedSources) else ()

    @property
    def ranks_end_together(self) -> bool:
        """See `Stream.ranks_end_together`."""
        return self._options.repeat

    def spans(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> Iterator[Span]:  # noqa: ARG002
        """See `Stream.spans`. A shard's files are opened, cut and shuffled in the order of the epoch."""
        options, epoch = self._options, progress.epoch
        order = epoch_order(len(self._sources), seed=options.seed, epoch=epoch, shuffle=options.shuffle)
        spans = self._cut(self._open(shard, order, epoch), epoch)
        if options.shuffle:
            assert options.shuffle_buffer_size is not None
            bits = random_bits(options.seed, epoch, Purpose.SPAN_ORDER, shard.index)
            if self._sources.has_urls:
                most = options.max_buffered_bytes // 2
                size = options.shuffle_buffer_size
                spans = shuffled_within(spans, buffer_size=size, bits=bits, holds=held_by, most=most)
            else:
                spans = shuffled(spans, buffer_size=options.shuffle_buffer_size, bits=bits)
        yield from islice(spans, progress.handed_out, None)

    def after(self, progress: Progress) -> Progress:
        """See `Stream.after`."""
        return Progress(progress.epoch + 1, 0)

    def substitute(self, span: Span, epoch: int, attempt: int) -> Span | None:  # noqa: ARG002
        """Return None: the number of frames is not known anyway."""
        return None

    @property
    def metadata_keys(self) -> frozenset[str] | None:
        """See `Stream.metadata_keys`."""
        return frozenset() if self._metadata is None else self._metadata.keys

    def metadata(self, span: Span) -> dict[str, Any] | None:
        """See `Stream.metadata`. It was looked up when the file was opened."""
        found = span.timeline.metadata
        return None if found is None else copied(dict(found))

    def has_frames(self, shard: Shard) -> bool:
        """See `Stream.has_frames`."""
        if shard.rank >= len(self._sources):
            raise OptionError(
                f"rank {shard.rank} of {shard.world_size} gets none of {len(self._sources)} files, and the others "
                "would wait for it forever; give at least as many files as ranks (a tar in a store counts as one, "
                "unless it is indexed)"
            )
        return shard.index < len(self._sources)

    def num_frames(self, world_size: int) -> int:  # noqa: ARG002
        """Raise TypeError: the number is not known."""
        raise TypeError(
            "the number of frames is not known before all files are opened; index them (flowmo-data index), and give "
            "the index to StreamingAudioDataset"
        )

    def check_empty_epochs(self, num_epochs: int, shard: Shard) -> None:
        """See `Stream.check_empty_epochs`. With shuffle, a few empty epochs can be bad luck."""
        if num_epochs >= (_EMPTY_EPOCHS if self._options.shuffle else 1):
            raise NoReadableFileError(
                f"{num_epochs} epochs in a row gave no frame to worker {shard.worker} of rank {shard.rank}: every "
                f"file in its share (1 of {shard.count}) is unreadable, shorter than a frame, or rejected by the "
                "transform; use fewer workers or framing='pad', or see the skipped files"
            )

    def identity(self, shard: Shard, frames_per_turn: int | None) -> dict[str, Any]:  # noqa: ARG002
        """See `Stream.identity`."""
        return {**self._identity(shard.world_size, shard.num_workers), "rank": shard.rank}

    def _identity(self, world_size: int, num_workers: int) -> dict[str, Any]:
        return {
            "version": VERSION,
            "num_files": len(self._sources),
            "files": self._fingerprint,
            **({"names": list(self.names)} if self.names else {}),
            **self._options.order(),
            **({"max_buffered_bytes": self._options.max_buffered_bytes} if self._sources.has_urls else {}),
            "world_size": world_size,
            "num_workers": num_workers,
        }

    def _loader_identity(self, layout: Layout) -> dict[str, Any]:
        sizes = {"batch_size": layout.batch_size, "drop_last": layout.drop_last}
        return {**self._identity(layout.world_size, layout.num_workers), **sizes}

    def epoch_start(self, epoch: int, layout: Layout) -> ReachedInFiles:
        """See `Stream.epoch_start`."""
        return self._reached(layout, [Progress(epoch, 0) for _ in layout.shards])

    def resumed(self, state: Mapping[str, Any], layout: Layout) -> ReachedInFiles:
        """See `Stream.resumed`. A state of another rank means that this rank has received as many batches."""
        check_state(state, self._loader_identity(layout), ("rank", "workers", "next_worker", "batches"))
        if state["rank"] == layout.rank:
            workers = [Progress(*each) for each in state["workers"]]
            return self._reached(layout, workers, state["next_worker"], state["batches"])
        return self._reached_after(state, layout)

    def _reached_after(self, state: Mapping[str, Any], layout: Layout) -> ReachedInFiles:
        """Return the position of this rank after as many batches as in `state`. Opens every file of the epoch."""
        num_batches, epoch = state["batches"], state["workers"][0][0]
        if self._options.repeat:
            raise StateError(
                "this state does not fit: it was taken on another rank, and with repeat=True a rank's position follows "
                "from its own state alone; save the state of every rank, or use an index"
            )
        size = layout.batch_size
        if sum(handed_out for _, handed_out in state["workers"]) > num_batches * size:
            raise StateError(
                "this state does not fit: it was taken on another rank, where frames were rejected by the transform or "
                "could not be read, so this rank's position is unknown; save the state of every rank, or use an index"
            )
        available = [sum(1 for _ in self.spans(Progress(epoch, 0), shard, size)) for shard in layout.shards]
        whole = [frames // size if layout.drop_last else -(-frames // size) for frames in available]
        given, next_worker = deal_batches(num_batches, whole)
        workers = [Progress(epoch, min(count * size, frames)) for count, frames in zip(given, available, strict=True)]
        return self._reached(layout, workers, next_worker, num_batches)

    def _reached(
        self, layout: Layout, workers: list[Progress], next_worker: int = 0, batches: int = 0
    ) -> ReachedInFiles:
        return ReachedInFiles(workers, next_worker, batches, self._loader_identity(layout), layout.rank)

    def _open(self, shard: Shard, order: Sequence[int], epoch: int) -> Iterator[tuple[int, AnyTimeline]]:
        """Yield the readable files of a shard, each with its number.

        If there is none, try all other files, and raise if all are bad.
        """
        for path, reason in islice(self._problems.items(), shard.index, None, shard.count):
            self._error_log.refuse(AudioFileError.of(path, reason), epoch)
        tried = num_read = 0

        def on_problem(tar: str, problem: str) -> None:
            self._error_log.note_damage(tar, problem, (), epoch)

        for wanted, track in self._opener.tracks(deal(order, shard), on_problem):
            tried += 1
            try:
                if isinstance(track, AudioFileError):
                    raise track
                timeline = as_wanted(track, self._options, self._error_log, epoch)
            except AudioFileError as error:
                self._error_log.refuse(error, epoch)
            else:
                num_read += 1
                assert not isinstance(wanted.metadata, AudioFileError)
                yield wanted.place, timeline if wanted.metadata is None else replace(timeline, metadata=wanted.metadata)
        if tried and not num_read:
            self._check_some_readable(order)

    def _check_some_readable(self, order: Iterable[int]) -> None:
        """Raise if all files are bad. Other shards report their own files."""
        reason = ""
        for index in order:
            try:
                at_sample_rate(self._opener.track(index), self._options.sr, on_other_rate=self._options.on_other_rate)
            except AudioFileError as error:
                reason = str(error)
            else:
                return
        raise NoReadableFileError(f"none of the {len(self._sources)} files can be read; the last error: {reason}")

    def _cut(self, timelines: Iterable[tuple[int, AnyTimeline]], epoch: int) -> Iterator[Span]:
        """Yield all spans of all files, file by file."""
        options, phase = self._options, 0
        hop = options.hop or options.samples_per_frame
        for index, timeline in timelines:
            if options.shuffle:
                phase = random_below(random_bits(options.seed, epoch, Purpose.PHASE, index), hop)
            starts = frame_starts(
                timeline.num_samples,
                samples_per_frame=options.samples_per_frame,
                phase=phase,
                framing=options.framing,
                hop=hop,
            )
            if not starts:
                logger.info("%s: %d samples are less than a frame", timeline.path, timeline.num_samples)
            for start in starts:
                yield Span(timeline, start, start + options.samples_per_frame, index)
