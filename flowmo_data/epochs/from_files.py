"""The frames of an epoch before they are decoded: references, in the order in which they are emitted."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from flowmo_data.epochs.error_log import Ledger
from flowmo_data.epochs.framing import frame_starts
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.progress import VERSION, Progress
from flowmo_data.epochs.randomness import Purpose, below, random_bits
from flowmo_data.epochs.sharding import Shard, deal, epoch_order
from flowmo_data.epochs.shuffle_buffer import shuffled
from flowmo_data.epochs.span import Span
from flowmo_data.errors import AudioFileError, NoReadableFileError, OptionError
from flowmo_data.sources import Source, Sources
from flowmo_data.tracks.track import Timeline, Track, at_sample_rate, open_track

logger = logging.getLogger(__name__)


class FileStream:
    """Deals out files, whose lengths are known only when they are opened."""

    frames_per_epoch = None

    def __init__(self, sources: Sources, options: Options, ledger: Ledger) -> None:
        self._sources, self._options, self._ledger = sources, options, ledger

    def spans(self, progress: Progress, shard: Shard, batch_size: int) -> Iterator[Span]:  # noqa: ARG002
        """See `Stream.spans`: a shard's files are opened, cut and shuffled in the order of the epoch."""
        options, epoch = self._options, progress.epoch
        order = epoch_order(len(self._sources), seed=options.seed, epoch=epoch, shuffle=options.shuffle)
        spans = self._cut(self._open(deal(order, shard), order, epoch), epoch)
        if options.shuffle:
            assert options.shuffle_buffer_size is not None
            bits = random_bits(options.seed, epoch, Purpose.SPAN_ORDER, shard.index)
            spans = shuffled(spans, buffer_size=options.shuffle_buffer_size, bits=bits)
        return islice(spans, progress.handed_out, None)

    def after(self, progress: Progress) -> Progress:
        """See `Stream.after`."""
        return Progress(progress.epoch + 1, 0)

    def instead_of(self, span: Span, epoch: int, attempt: int) -> Span | None:  # noqa: ARG002
        """Nothing: how many frames there are is not known anyway."""
        return None

    def check_work(self, shard: Shard) -> bool:
        """See `Stream.check_work`."""
        if shard.rank >= len(self._sources):
            raise OptionError(
                f"rank {shard.rank} of {shard.world_size} gets none of {len(self._sources)} files, and the others "
                "would wait for it without end; give as many files as ranks at least"
            )
        return shard.index < len(self._sources)

    def num_frames(self, world_size: int) -> int:  # noqa: ARG002
        """Nobody knows."""
        raise TypeError(
            "the number of frames is not known before all files were opened; index them (flowmo-data index), and give "
            "the index to StreamingAudioDataset"
        )

    def identity(self, shard: Shard) -> dict[str, Any]:
        """See `Stream.identity`."""
        return {
            "version": VERSION,
            "num_files": len(self._sources),
            "files": self._sources.fingerprint,
            **self._options.order(),
            "world_size": shard.world_size,
            "num_workers": shard.num_workers,
        }

    def _open(self, mine: Iterable[int], order: Iterable[int], epoch: int) -> Iterator[tuple[int, Timeline]]:
        """The readable files of `mine`. Where there is none, look through all others, and raise if they are as bad."""
        tried = num_read = 0
        for index in mine:
            tried += 1
            try:
                timeline = as_wanted(self._track(index), self._options, self._ledger, epoch)
            except AudioFileError as error:
                self._ledger.refuse(error, epoch)
            else:
                num_read += 1
                yield index, timeline
        if tried and not num_read:
            self._check_some_readable(order)

    def _track(self, index: int) -> Track:
        return open_track(Source.at(self._sources[index]))

    def _check_some_readable(self, order: Iterable[int]) -> None:
        """Raise if all files are bad. What is wrong with another shard's files, it tells itself."""
        reason = ""
        for index in order:
            try:
                at_sample_rate(self._track(index), self._options.sr, on_other_rate=self._options.on_other_rate)
            except AudioFileError as error:
                reason = str(error)
            else:
                return
        raise NoReadableFileError(f"none of the {len(self._sources)} files can be read; the last one was {reason}")

    def _cut(self, timelines: Iterable[tuple[int, Timeline]], epoch: int) -> Iterator[Span]:
        """All spans of all files, file by file."""
        options, phase = self._options, 0
        for index, timeline in timelines:
            if options.shuffle:
                phase = below(random_bits(options.seed, epoch, Purpose.PHASE, index), options.samples_per_frame)
            starts = frame_starts(
                timeline.num_samples,
                samples_per_frame=options.samples_per_frame,
                phase=phase,
                framing=options.framing,
            )
            if not starts:
                logger.info("%s: %d samples are less than a frame", timeline.path, timeline.num_samples)
            for start in starts:
                yield Span(timeline, start, start + options.samples_per_frame)


def nothing_to_emit(epochs: int, shard: Shard) -> str:
    """What to say of a shard whose endless stream gives nothing."""
    return (
        f"repeat=True: {epochs} epochs gave no frame to worker {shard.worker} of rank {shard.rank}: the files of its "
        f"{shard.count}-th part cannot be read, or are shorter than a frame; take fewer workers, or framing='pad', or "
        "see what was skipped"
    )


def as_wanted(track: Track, options: Options, ledger: Ledger, epoch: int) -> Timeline:
    """A track at the dataset's rate, its damage noted.

    Raises:
        SampleRateError: it is at another rate, and that is not wanted.
    """
    timeline = at_sample_rate(track, options.sr, on_other_rate=options.on_other_rate)
    damage = [track.damage] if track.damage else []
    if len(timeline.parts) < len(track.parts):
        damage.append(f"the parts of it that are not at sr={options.sr} are skipped")
    if damage:
        ledger.note_damage(track.path, "; ".join(damage), track.losses, epoch)
    return timeline
