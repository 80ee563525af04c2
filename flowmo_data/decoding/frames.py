"""From spans to emitted items: decode, transform, and replace frames that are unreadable or rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from flowmo_data.decoding.batching import Slot, Slots
from flowmo_data.decoding.items import emitted
from flowmo_data.decoding.reading import Filled, fill_frame
from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.progress import Progress
from flowmo_data.epochs.sharding import Shard
from flowmo_data.epochs.span import FrameStream, Span
from flowmo_data.errors import AllFramesRejectedError, AudioFileError, NoReadableFileError
from flowmo_data.sources.metadata.of_files import LeftOutError

_MOST_UNREADABLE = 100
"""substitutes for a frame, one after the other"""
_MOST_REJECTED = 1_000
"""of these, random frames of the epoch: a transform that accepts one frame in thirty never rejects so many in a row"""


class Decoded(NamedTuple):
    """A span, decoded into its slot."""

    span: Span
    slot: Slot
    filled: tuple[Filled, ...]
    """the result for each of its files"""
    error: AudioFileError | None = None
    """the reason, if it could not be decoded"""
    metadata: dict[str, Any] | None = None
    """what the user knows about the file"""


class FrameReader:
    """Turns spans into emitted items.

    Args:
        options: the options of the dataset.
        stream: the source of substitutes.
        error_log: the collector of file problems.
        extra: what to add to every item that is a dictionary.
    """

    def __init__(
        self, options: Options, stream: FrameStream, error_log: ErrorLog, extra: Mapping[str, Any] | None = None
    ) -> None:
        self._options, self._stream, self._error_log, self._extra = options, stream, error_log, extra or {}

    def decoded(self, work: tuple[Span, Slot]) -> Decoded:
        """Decode a span into its slot. Runs in the decode threads."""
        span, slot = work
        files = zip(span.timeline.members, slot.frames, strict=True)
        try:
            filled = [fill_frame(file, span.start, frame, self._options.decoder) for file, frame in files]
            return Decoded(span, slot, tuple(filled))
        except AudioFileError as error:
            return Decoded(span, slot, (), error)

    def finished(self, decoded: Decoded, epoch: int) -> Any:
        """Return the item of a decoded span; if it is unreadable or rejected, that of a substitute, or None.

        Raises:
            AudioFileError: it could not be read and `on_error="raise"`.
            NoReadableFileError: a hundred substitutes could not be read either, or a thousand are of files left out.
            AllFramesRejectedError: the transform rejected a thousand substitutes, too.
        """
        wanted, unreadable, rejected, left_out = decoded.span, 0, 0, 0
        while True:
            decoded = self._with_metadata(decoded)
            attempt = unreadable + rejected + left_out
            if decoded.error is None:
                item = self._item(decoded, wanted, attempt, epoch)
                if item is not None:
                    return item
                rejected += 1
            else:
                left_out += isinstance(decoded.error, LeftOutError)
                unreadable += not isinstance(decoded.error, LeftOutError)
                seconds = 0.0 if attempt else wanted.num_valid / self._options.sr  # a substitute is not lost
                self._error_log.refuse(decoded.error, epoch, seconds)
            other = self._stream.substitute(wanted, epoch, attempt)
            if other is None:
                return None
            if unreadable > _MOST_UNREADABLE:
                raise NoReadableFileError(
                    f"{_MOST_UNREADABLE} substitutes for a frame could not be read either; the last error: "
                    f"{decoded.error}"
                )
            if left_out > _MOST_REJECTED:
                raise NoReadableFileError(
                    f"{left_out:,} frames in a row are of files that metadata= leaves out; the last: {decoded.error}"
                )
            if rejected > _MOST_REJECTED:
                raise self._all_rejected(f"{rejected:,} frames of epoch {epoch} in a row")
            decoded = self.decoded((other, decoded.slot))

    def _with_metadata(self, decoded: Decoded) -> Decoded:
        """Return a span with what the user knows about its file; with the error, if that cannot be found."""
        if decoded.error is not None or not self._options.return_info:
            return decoded
        try:
            return decoded._replace(metadata=self._stream.metadata(decoded.span))
        except AudioFileError as error:
            return decoded._replace(error=error)

    def _item(self, decoded: Decoded, wanted: Span, attempt: int, epoch: int) -> Any:
        """Return the item of a span that was decoded in place of `wanted`; None if the transform rejects it."""
        span, slot, filled, _, metadata = decoded
        for file, (_, num_lost) in zip(span.timeline.members, filled, strict=True):
            if num_lost:
                self._error_log.note_silence(file.path, span.start, num_lost, epoch)
        key = (wanted.place, wanted.start + self._options.samples_per_frame, attempt)
        extra = self._extra if metadata is None else {"metadata": metadata, **self._extra}
        item = emitted(span, slot.audio, options=self._options, epoch=epoch, key=key, extra=extra)
        self._error_log.count_frame(epoch, is_rejected=item is None)
        return item

    def check_some_accepted(self, epoch: int, shard: Shard) -> None:
        """Raise an error if the transform rejects all frames of an epoch, after all workers of a rank have ended it.

        If it rejected all frames of this rank, those of other ranks are tried, up to the first that it accepts.

        Raises:
            AllFramesRejectedError: the transform rejects all frames.
        """
        workers = (each for each in range(shard.num_workers) if self._stream.has_frames(replace(shard, worker=each)))
        rejected = self._error_log.rejected_epoch(epoch, shard.rank, workers)
        if rejected is None:
            return
        options = self._options
        slot = next(Slots(None, options.channels, options.samples_per_frame, options.dtype, self._stream.names))
        for rank in {*range(shard.world_size)} - {shard.rank}:
            for span in self._stream.spans(Progress(rejected, 0), Shard(rank, shard.world_size), None):
                decoded = self._with_metadata(self.decoded((span, slot)))
                if decoded.error is None and self._item(decoded, span, 0, rejected) is not None:
                    return
        raise self._all_rejected(f"all frames of epoch {rejected}")

    def _all_rejected(self, frames: str) -> AllFramesRejectedError:
        return AllFramesRejectedError(
            f"transform={self._options.transform!r} rejected {frames}: it returned None for each; return the frame to "
            "emit, and None only for frames to leave out"
        )
