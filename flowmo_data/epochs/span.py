"""A frame that is not decoded yet, and the streams that such frames come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from flowmo_data.epochs.progress import Layout, Progress, Reached
from flowmo_data.epochs.sharding import Shard
from flowmo_data.tracks import Timeline


class Span(NamedTuple):
    """A frame that is not decoded yet: what the shuffle buffer holds."""

    timeline: Timeline
    """of the file that it is cut from"""
    start: int
    """index of its first sample in the timeline; negative where it begins with padding"""
    stop: int
    """one past the index of its last sample; past the timeline's end where it ends with padding"""
    place: int = 0
    """its place in the order of the epoch, where there is an index to tell it"""

    @property
    def num_valid(self) -> int:
        """Samples of it that are not padding."""
        return min(self.stop, self.timeline.num_samples) - max(self.start, 0)


class Stream(Protocol):
    """A source of spans for any shard of any epoch."""

    @property
    def frames_per_epoch(self) -> int | None:
        """Frames of all ranks, as many in every epoch; None if nobody knows."""

    @property
    def ranks_end_together(self) -> bool:
        """Whether all ranks have equally many frames, or no end."""

    def spans(self, progress: Progress, shard: Shard, frames_per_turn: int) -> Iterator[Span]:
        """Return a shard's spans of an epoch that are left after `progress`, in the order in which they are emitted.

        Args:
            progress: the epoch, and how far it is.
            shard: the worker of a rank.
            frames_per_turn: frames that a worker hands out before it is the next one's turn.

        Raises:
            AudioFileError: a file cannot be read and `on_error="raise"`.
            NoReadableFileError: none of the files can be read.
        """

    def after(self, progress: Progress) -> Progress:
        """Return the start of the next epoch of an endless stream, after an epoch that ended with `progress`."""

    def substitute(self, span: Span, epoch: int, attempt: int) -> Span | None:
        """Return the span that is emitted in place of one that cannot be read; None for nothing."""

    def has_frames(self, shard: Shard) -> bool:
        """Return whether a shard ever gets a frame. A worker without ends; a rank without would keep others waiting.

        Raises:
            OptionError: no worker of the rank gets one.
        """

    def check_empty_epochs(self, num_epochs: int, shard: Shard) -> None:
        """Raise `NoReadableFileError` if so many epochs in a row without a frame mean that there is none."""

    def num_frames(self, world_size: int) -> int:
        """Return the frames of a rank in an epoch.

        Raises:
            TypeError: nobody knows.
        """

    def identity(self, shard: Shard, frames_per_turn: int) -> dict[str, Any]:
        """Return what a worker's state belongs to, for JSON: files, options, ranks, workers and turns."""

    def epoch_start(self, epoch: int, layout: Layout) -> Reached:
        """Return the start of an epoch."""

    def resumed(self, state: Mapping[str, Any], layout: Layout) -> Reached:
        """Return the place that a loader's state tells.

        Raises:
            StateError: the state belongs to other files, options or, if that matters, another layout.
        """
