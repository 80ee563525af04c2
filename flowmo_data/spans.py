"""The frames of an epoch before they are decoded: files dealt out, opened, cut and shuffled, in references."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flowmo_data.errors import AudioFileError, NoReadableFileError, OptionError, SampleRateError
from flowmo_data.framing import frame_starts
from flowmo_data.options import Options
from flowmo_data.randomness import Purpose, below, random_bits
from flowmo_data.sharding import Shard, deal, epoch_order
from flowmo_data.shuffling import shuffled
from flowmo_data.sources import Sources
from flowmo_data.timeline import Timeline, at_sample_rate
from flowmo_data.tracks import open_track

logger = logging.getLogger(__name__)


class Span(NamedTuple):
    """A frame that is not decoded yet: what the shuffle buffer holds."""

    timeline: Timeline
    """of the file that it is cut from"""
    start: int
    """index of its first sample in the timeline; negative where it begins with padding"""
    stop: int
    """one past the index of its last sample; past the timeline's end where it ends with padding"""


class SpanStream:
    """Gives the spans of any shard of any epoch, and deals with the files that are bad."""

    def __init__(self, sources: Sources, options: Options) -> None:
        self._sources, self._options = sources, options
        self._told: set[tuple[str, str]] = set()

    def spans(self, epoch: int, shard: Shard) -> Iterator[Span]:
        """A shard's spans in the order in which their frames are emitted.

        Raises:
            AudioFileError: a file cannot be read and `on_error="raise"`.
            NoReadableFileError: not one of all files can be read.
        """
        options = self._options
        order = epoch_order(len(self._sources), seed=options.seed, epoch=epoch, shuffle=options.shuffle)
        spans = self._cut(self._open(deal(order, shard), order), epoch)
        if not options.shuffle:
            return spans
        bits = random_bits(options.seed, epoch, Purpose.SPAN_ORDER, shard.index)
        return shuffled(spans, buffer_size=options.shuffle_buffer_size, bits=bits)

    def has_files(self, shard: Shard) -> bool:
        """Whether a shard ever gets a file. One without is idle: a worker ends, a rank would keep the others waiting.

        Raises:
            OptionError: no worker of the rank gets one.
        """
        if shard.rank >= len(self._sources):
            raise OptionError(
                f"rank {shard.rank} of {shard.world_size} gets none of {len(self._sources)} files, and the others "
                "would wait for it without end; give as many files as ranks at least"
            )
        return shard.index < len(self._sources)

    def refuse(self, error: AudioFileError) -> None:
        """Raise the error, or warn of the file, whichever was asked for."""
        options = self._options
        if (options.on_other_rate if isinstance(error, SampleRateError) else options.on_error) == "raise":
            raise error
        self._warn("skipped", error.path, f"skipped {error}")

    def tell_lost(self, span: Span, num_lost: int) -> None:
        """Warn that samples of a span are silence."""
        self._warn(
            "silence",
            span.timeline.path,
            f"{span.timeline.path}: {num_lost} samples from {max(span.start, 0)} on cannot be decoded and are silence; "
            "more of it may be",
        )

    def _warn(self, kind: str, path: str, message: str) -> None:
        """Log the first message of a kind about a file: one for all epochs, in each worker."""
        if (path, kind) not in self._told:
            self._told.add((path, kind))
            logger.warning("%s", message)

    def _open(self, mine: Iterable[int], order: Iterable[int]) -> Iterator[tuple[int, Timeline]]:
        """The readable files of `mine`. Where there is none, look through all others, and raise if they are as bad."""
        tried = num_read = 0
        for index in mine:
            tried += 1
            try:
                timeline = self._open_one(index)
            except AudioFileError as error:
                self.refuse(error)
            else:
                num_read += 1
                yield index, timeline
        if tried and not num_read:
            self._check_some_readable(order)

    def _open_one(self, index: int) -> Timeline:
        track = open_track(self._sources[index], self._options.decoder)
        timeline = at_sample_rate(track, self._options.sr, on_other_rate=self._options.on_other_rate)
        damage = [track.damage] if track.damage else []
        if len(timeline.parts) < len(track.parts):
            damage.append(f"the parts of it that are not at sr={self._options.sr} are skipped")
        if damage:
            self._warn("damage", track.path, f"{track.path}: {'; '.join(damage)}; the rest is read")
        return timeline

    def _check_some_readable(self, order: Iterable[int]) -> None:
        reason = ""
        for index in order:
            try:
                self._open_one(index)
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
