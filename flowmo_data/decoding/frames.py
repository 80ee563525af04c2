"""From spans to emitted items: decode, transform, and replace frames that are unreadable or rejected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch

from flowmo_data.decoding.batching import Slot
from flowmo_data.decoding.items import emitted
from flowmo_data.decoding.reading import Filled, fill_frame
from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.progress import Progress
from flowmo_data.epochs.sharding import Shard
from flowmo_data.epochs.span import Span, Stream
from flowmo_data.errors import AllFramesRejectedError, AudioFileError, NoReadableFileError
from flowmo_data.sources.metadata import LeftOutError

_NOTHING = Filled(0, 0)
_MOST_UNREADABLE = 100
"""substitutes for a frame, one after the other"""
_MOST_REJECTED = 1_000
"""of these, random frames of the epoch: a transform that accepts one frame in thirty never rejects so many in a row"""


class Decoded(NamedTuple):
    """A span, decoded into its slot."""

    span: Span
    slot: Slot
    filled: Filled
    error: AudioFileError | None = None
    """the reason, if it could not be decoded"""
    metadata: dict[str, Any] | None = None
    """what the user knows about the file"""


class FrameReader:
    """Turns spans into emitted items."""

    def __init__(self, options: Options, stream: Stream, error_log: ErrorLog) -> None:
        self._options, self._stream, self._error_log = options, stream, error_log

    def decoded(self, work: tuple[Span, Slot]) -> Decoded:
        """Decode a span into its slot. Runs in the decode threads."""
        span, slot = work
        try:
            return Decoded(span, slot, fill_frame(span.timeline, span.start, slot.frame, self._options.decoder))
        except AudioFileError as error:
            return Decoded(span, slot, _NOTHING, error)

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
        if filled.num_lost:
            self._error_log.note_silence(span.timeline.path, span.start, filled.num_lost, epoch)
        key = (wanted.place, wanted.start + self._options.samples_per_frame, attempt)
        item = emitted(
            span, slot.frame, filled.num_valid, options=self._options, epoch=epoch, key=key, metadata=metadata
        )
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
        frame = torch.empty(options.channels, options.samples_per_frame, dtype=options.dtype)
        for rank in {*range(shard.world_size)} - {shard.rank}:
            for span in self._stream.spans(Progress(rejected, 0), Shard(rank, shard.world_size), None):
                decoded = self._with_metadata(self.decoded((span, Slot(frame))))
                if decoded.error is None and self._item(decoded, span, 0, rejected) is not None:
                    return
        raise self._all_rejected(f"all frames of epoch {rejected}")

    def _all_rejected(self, frames: str) -> AllFramesRejectedError:
        return AllFramesRejectedError(
            f"transform={self._options.transform!r} rejected {frames}: it returned None for each; return the frame to "
            "emit, and None only for frames to leave out"
        )
