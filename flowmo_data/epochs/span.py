"""A frame that is not decoded yet, and the streams that such frames come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from flowmo_data.epochs.progress import Progress
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
    """Gives the spans of any shard of any epoch."""

    @property
    def frames_per_epoch(self) -> int | None:
        """Frames of all ranks, as many in every epoch; None where nobody knows."""

    def spans(self, progress: Progress, shard: Shard, batch_size: int) -> Iterator[Span]:
        """A shard's spans of an epoch that are left after `progress`, in the order in which they are emitted.

        Args:
            progress: the epoch, and how far it is.
            shard: whose.
            batch_size: frames that the DataLoader takes from a worker before it turns to the next.

        Raises:
            AudioFileError: a file cannot be read and `on_error="raise"`.
            NoReadableFileError: not one of all files can be read.
        """

    def after(self, progress: Progress) -> Progress:
        """Where the next epoch of an endless stream begins, after an epoch that had this progress at its end."""

    def instead_of(self, span: Span, epoch: int, attempt: int) -> Span | None:
        """What is emitted for a span that cannot be read: None for nothing."""

    def check_work(self, shard: Shard) -> bool:
        """Whether a shard ever gets a frame. One without is idle: a worker ends, a rank would keep others waiting.

        Raises:
            OptionError: no worker of the rank gets one.
        """

    def num_frames(self, world_size: int) -> int:
        """Frames of a rank in an epoch.

        Raises:
            TypeError: nobody knows.
        """

    def identity(self, shard: Shard) -> dict[str, Any]:
        """What a position is in, for JSON: the files, the options and, where they matter, ranks and workers."""
