"""From the spans of a mixture to emitted items: each set reads its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flowmo_data.decoding.batching import Slot
from flowmo_data.decoding.frames import Decoded, FrameReader
from flowmo_data.epochs.mixtures import MixedSpan, naming
from flowmo_data.epochs.sharding import Shard
from flowmo_data.errors import NoReadableFileError

_MOST_FRUITLESS = 100


class MixedDecoded(NamedTuple):
    """A span of one of the sets, decoded into its slot."""

    span: MixedSpan
    slot: Slot
    decoded: Decoded


class MixedReader:
    """Turns spans of a mixture into emitted items.

    Args:
        names: names of the sets.
        readers: the reader of each set.
    """

    def __init__(self, names: Sequence[str], readers: Sequence[FrameReader]) -> None:
        self._names, self._readers = names, readers
        self._fruitless: dict[int, list[int]] = {}  # own epochs of a set since its last item

    def decoded(self, work: tuple[MixedSpan, Slot]) -> MixedDecoded:
        """Decode a span into its slot. Runs in the decode threads."""
        span, slot = work
        with naming(self._names[span.which]):
            return MixedDecoded(span, slot, self._readers[span.which].decoded((span.span, slot)))

    def finished(self, decoded: MixedDecoded, epoch: int) -> Any:  # noqa: ARG002
        """Return the item of a decoded span, or None; see `FrameReader.finished`.

        Raises:
            AudioFileError: the message begins with the name of the set.
            NoReadableFileError: a set has given nothing in a hundred of its own epochs.
        """
        which, own_epoch = decoded.span.which, decoded.span.epoch
        with naming(self._names[which]):
            item = self._readers[which].finished(decoded.decoded, own_epoch)
            if item is not None:
                self._fruitless.pop(which, None)
                return item
            epochs = self._fruitless.setdefault(which, [])
            if own_epoch not in epochs[-1:]:
                epochs.append(own_epoch)
            if len(epochs) > _MOST_FRUITLESS:
                raise NoReadableFileError(
                    f"{_MOST_FRUITLESS} epochs in a row gave no frame to this worker: every frame in its share is "
                    "unreadable, or rejected by the transform; use fewer workers, or see the report"
                )
        return None

    def check_some_accepted(self, epoch: int, shard: Shard) -> None:
        """Raise an error if the transform of a set rejects all frames of an epoch in which nothing was emitted.

        Raises:
            AllFramesRejectedError: it does; the message begins with the name of the set.
        """
        for name, reader in zip(self._names, self._readers, strict=True):
            with naming(name):
                reader.check_some_accepted(epoch, shard)
