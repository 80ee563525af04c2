"""From references to what is emitted: decode, condition, transform; and what becomes of frames that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import torch

from flowmo_data.decoding.batching import Slot
from flowmo_data.decoding.reading import Filled, fill_frame
from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.span import Span, Stream
from flowmo_data.errors import AudioFileError, NoReadableFileError

_NOTHING = Filled(0, 0)
_ATTEMPTS = 100


class Decoded(NamedTuple):
    """A span, decoded into its slot."""

    span: Span
    slot: Slot
    filled: Filled
    error: AudioFileError | None = None
    """why it could not be"""


class FrameReader:
    """Turns spans into what is emitted for them."""

    def __init__(self, options: Options, stream: Stream, error_log: ErrorLog) -> None:
        self._options, self._stream, self._error_log = options, stream, error_log

    def decoded(self, work: tuple[Span, Slot]) -> Decoded:
        """Decode a span into its slot. Runs in the decode threads."""
        span, slot = work
        try:
            return Decoded(span, slot, fill_frame(span.timeline, span.start, slot.frame, self._options.decoder))
        except AudioFileError as error:
            return Decoded(span, slot, _NOTHING, error)

    def finished(self, decoded: Decoded, epoch: int) -> Iterator[tuple[Any, Slot]]:
        """What is emitted for a span, with its slot; where it could not be read, what the stream gives for it, if any.

        Raises:
            AudioFileError: it could not be read and `on_error="raise"`.
            NoReadableFileError: nor could a hundred others that the stream gave instead.
        """
        for attempt in count():
            if decoded.error is None:
                break
            seconds = 0.0 if attempt else decoded.span.num_valid / self._options.sr  # what would stand in is not lost
            self._error_log.refuse(decoded.error, epoch, seconds)
            if attempt == _ATTEMPTS:
                raise NoReadableFileError(
                    f"{attempt} frames of other files, one after the other, could not be read; the last: "
                    f"{decoded.error}"
                )
            other = self._stream.substitute(decoded.span, epoch, attempt)
            if other is None:
                return
            decoded = self.decoded((other, decoded.slot))
        if decoded.filled.num_lost:
            span = decoded.span
            self._error_log.note_silence(span.timeline.path, span.start, decoded.filled.num_lost, epoch)
        yield self._item(decoded.span, decoded.slot.frame, decoded.filled.num_valid), decoded.slot

    def _item(self, span: Span, frame: torch.Tensor, num_valid: int) -> Any:
        audio = frame if self._options.transform is None else self._options.transform(frame)
        if not self._options.return_info:
            return audio
        return {"audio": audio, "path": span.timeline.path, "start": span.start, "num_valid": num_valid}
