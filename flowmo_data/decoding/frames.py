"""From spans to emitted items: decode, transform, and replace frames that cannot be read."""

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
    """the reason, if it could not be decoded"""


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

    def finished(self, decoded: Decoded, epoch: int) -> Iterator[tuple[Any, Slot]]:
        """Yield the item of a decoded span with its slot; if the span could not be read, that of a substitute, if any.

        Raises:
            AudioFileError: it could not be read and `on_error="raise"`.
            NoReadableFileError: a hundred substitutes could not be read either.
        """
        for attempt in count():
            if decoded.error is None:
                break
            seconds = 0.0 if attempt else decoded.span.num_valid / self._options.sr  # a substitute is not lost
            self._error_log.refuse(decoded.error, epoch, seconds)
            if attempt == _ATTEMPTS:
                raise NoReadableFileError(
                    f"{attempt} substitutes for a frame could not be read either; the last error: {decoded.error}"
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
