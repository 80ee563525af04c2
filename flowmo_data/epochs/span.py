"""Frames that are not decoded yet, and the streams that produce them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from flowmo_data.epochs.progress import Layout, Progress, Reached
from flowmo_data.epochs.sharding import Shard
from flowmo_data.errors import AudioFileError
from flowmo_data.tracks import AnyTimeline


class Span(NamedTuple):
    """A frame that is not decoded yet, as the shuffle buffer holds it."""

    timeline: AnyTimeline
    """timeline of the file that the frame is cut from, or of several aligned ones"""
    start: int
    """index of its first sample in the timeline; negative if it begins with padding"""
    stop: int
    """one past the index of its last sample; past the timeline's end if it ends with padding"""
    place: int = 0
    """its place in the order of the epoch; without an index, the number of its file"""
    sidecar: dict[str, Any] | AudioFileError | None = None
    """what lies beside its file, or why that cannot be read, if it was fetched ahead"""

    @property
    def num_valid(self) -> int:
        """Number of its samples that are not padding."""
        return min(self.stop, self.timeline.num_samples) - max(self.start, 0)


class Stream(Protocol):
    """A source of spans for any shard of any epoch."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of aligned files; empty if each frame is cut from one file."""

    @property
    def ranks_end_together(self) -> bool:
        """True if all ranks have the same number of frames, or no end."""

    def spans(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> Iterator[Any]:
        """Return the spans of a shard's epoch that are left after `progress`, in the order in which they are emitted.

        Args:
            progress: the epoch, and the progress in it.
            shard: the worker of a rank.
            frames_per_turn: frames that a worker hands out before the next worker's turn; None if nobody says.

        Raises:
            AudioFileError: a file cannot be read and `on_error="raise"`.
            NoReadableFileError: none of the files can be read.
        """

    def identity(self, shard: Shard, frames_per_turn: int | None) -> dict[str, Any]:
        """Return the identity of a worker's state, for JSON: files, options, ranks, workers and turns."""

    def epoch_start(self, epoch: int, layout: Layout) -> Reached:
        """Return the start of an epoch."""

    def resumed(self, state: Mapping[str, Any], layout: Layout) -> Reached:
        """Return the position that a loader's state records.

        Raises:
            StateError: the state belongs to other files, options or, if that matters, another layout.
        """


class FrameStream(Stream, Protocol):
    """A stream of the frames of one dataset, which can be endless."""

    def spans(self, progress: Progress, shard: Shard, frames_per_turn: int | None) -> Iterator[Span]:
        """See `Stream.spans`."""

    @property
    def frames_per_epoch(self) -> int | None:
        """Frames of all ranks, the same number in every epoch; None if unknown."""

    def num_frames(self, world_size: int) -> int:
        """Return the number of frames of a rank in an epoch.

        Raises:
            TypeError: the number is unknown.
        """

    def after(self, progress: Progress) -> Progress:
        """Return the start of the next epoch of an endless stream, after an epoch that ended with `progress`."""

    def substitute(self, span: Span, epoch: int, attempt: int) -> Span | None:
        """Return the span to emit in place of an unreadable or rejected one; None for nothing."""

    @property
    def metadata_keys(self) -> frozenset[str] | None:
        """The keys of the metadata of every frame, empty if there is no metadata; None if they are not known yet."""

    def metadata(self, span: Span) -> dict[str, Any] | None:
        """Return what the user knows about a span's file, as a new dictionary; None if there is no metadata.

        Raises:
            LeftOutError: the user's function leaves the file out.
            AudioFileError: nothing is known about it, or it cannot be read.
        """

    def has_frames(self, shard: Shard) -> bool:
        """Return whether a shard ever gets a frame.

        A worker without frames ends. A rank without frames would keep the others waiting.

        Raises:
            OptionError: no worker of the rank gets a frame.
        """

    def check_empty_epochs(self, num_epochs: int, shard: Shard) -> None:
        """Raise `NoReadableFileError` if `num_epochs` epochs in a row without a frame mean that there is none."""
