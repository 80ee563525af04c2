"""Batches: the memory that frames are decoded into, and the batch that they form."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.multiprocessing.reductions import reduce_tensor
from torch.utils.data import default_collate
from torch.utils.data._utils.collate import default_collate_fn_map

from flowmo_data.decoding import native
from flowmo_data.runtime.batch_memory import Batch, MarkedTensor, batch_memory, head, item_bits


class Frame(MarkedTensor):
    """A frame, which the DataLoader's standard collate function copies into reused memory.

    Frames that were decoded side by side into a batch (`slots_of_a_batch`) are that batch: nothing is copied.
    """

    _batch: torch.Tensor | None = None

    @classmethod
    def in_batch(cls, batch: torch.Tensor, place: int) -> Frame:
        """Return the frame at a place of a batch."""
        frame: Frame = batch[place].as_subclass(cls)
        frame._batch = batch
        return frame


def _collate_frames(frames: Sequence[torch.Tensor], **_: Any) -> torch.Tensor:
    in_place = _batch_of(frames)
    if in_place is not None:
        return in_place
    if any(frame.shape != frames[0].shape or frame.dtype != frames[0].dtype for frame in frames):
        plain: torch.Tensor = default_collate([frame.as_subclass(torch.Tensor) for frame in frames])
        return plain
    batch = batch_memory().take((len(frames), *frames[0].shape), frames[0].dtype)
    are_streamed = native.is_streamed(frames[0]) and all(frame.is_contiguous() for frame in frames)
    copy = native.copy_streamed if are_streamed else np.copyto
    places = item_bits(batch)
    for place, frame in enumerate(frames):
        copy(places[place], item_bits(frame))
    return batch


def _batch_of(frames: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Return the batch that frames are, if they lie side by side in one. They can be it only once."""
    batch: torch.Tensor | None = getattr(frames[0], "_batch", None)
    if batch is None or len(frames) > len(batch):
        return None
    if not all(map(_is_still, frames, [batch] * len(frames), batch.unbind())):
        return None
    for frame in frames:  # two batches over one memory would be freed when the first of them is gone
        frame._batch = None  # type: ignore[attr-defined]
    return batch if len(frames) == len(batch) else head(batch, len(frames))


def _is_still(frame: torch.Tensor, batch: torch.Tensor, there: torch.Tensor) -> bool:
    """Return whether a frame is the one at a place of a batch, and no transform has changed its shape in place."""
    return (
        getattr(frame, "_batch", None) is batch
        and frame.data_ptr() == there.data_ptr()
        and (frame.shape, frame.stride(), frame.dtype) == (there.shape, there.stride(), there.dtype)
    )


default_collate_fn_map[Frame] = _collate_frames  # the documented way to extend default_collate


def _reduce_frame(frame: Frame) -> Any:
    return reduce_tensor(frame.as_subclass(torch.Tensor))  # type: ignore[no-untyped-call]


ForkingPickler.register(Frame, _reduce_frame)


class Slot(NamedTuple):
    """A place to decode a frame into, or the frames of aligned files."""

    frames: tuple[torch.Tensor, ...]
    """`(channels, samples_per_frame)` each, uninitialised: one, or one for each of the aligned files"""
    batches: tuple[torch.Tensor, ...] = ()
    """the batch that each is part of, `(batch_size, channels, samples_per_frame)`; empty if there is none"""
    place: int = 0
    """their index in the batches"""
    names: tuple[str, ...] = ()
    """the names of aligned files; empty if there is one file"""

    @property
    def audio(self) -> torch.Tensor | dict[str, torch.Tensor]:
        """The frame, or the frames of aligned files by name."""
        return dict(zip(self.names, self.frames, strict=True)) if self.names else self.frames[0]


Item = tuple[Any, Slot]
"""what is emitted for a frame, and the slot that the frame was decoded into"""


class Slots(Iterator[Slot]):
    """Slots without end: single ones, or those of one batch of `batch_size` after the other."""

    def __init__(
        self,
        batch_size: int | None,
        channels: int,
        samples_per_frame: int,
        dtype: torch.dtype,
        names: tuple[str, ...] = (),
    ) -> None:
        self._fresh = _fresh_slots(batch_size, (channels, samples_per_frame), dtype, names)
        self._returned: deque[Slot] = deque()

    def __next__(self) -> Slot:
        return self._returned.popleft() if self._returned else next(self._fresh)

    def give_back(self, slot: Slot) -> None:
        """Take back a slot that no item uses. If it is part of a batch, it comes again as the next slot."""
        if slot.batches:
            self._returned.append(slot)


def _fresh_slots(
    batch_size: int | None, shape: tuple[int, int], dtype: torch.dtype, names: tuple[str, ...]
) -> Iterator[Slot]:
    count = len(names) or 1
    while batch_size is None:
        taken = (batch_memory().take(shape, dtype, leaves=False).as_subclass(Frame) for _ in range(count))
        yield Slot(tuple(taken), names=names)
    while True:
        made = tuple(batch_memory().take((batch_size, *shape), dtype) for _ in range(count))
        for place, frames in enumerate(zip(*(batch.unbind() for batch in made), strict=True)):
            yield Slot(frames, made, place, names)


def slots_of_a_batch(
    batch_size: int, channels: int, samples_per_frame: int, dtype: torch.dtype, names: tuple[str, ...] = ()
) -> list[Slot]:
    """Return the slots of a batch. The standard collate function makes it of their frames, without a copy."""
    shape = (batch_size, channels, samples_per_frame)
    made = tuple(batch_memory().take(shape, dtype) for _ in range(len(names) or 1))
    return [
        Slot(tuple(Frame.in_batch(batch, place) for batch in made), made, place, names) for place in range(batch_size)
    ]


def batches(items: Iterable[Item], batch_size: int, *, by_slot: bool = False) -> Iterator[Any]:
    """Collate items as the DataLoader does, `batch_size` at a time; the last batch may have fewer.

    Args:
        items: tensors, or dictionaries with tensors among them, each with the slot that its frame was decoded into.
        batch_size: items in a batch.
        by_slot: put items together that were decoded for the same batch: if one of them is missing, the batch is short.
    """
    remaining = iter(items)
    groups = iter(lambda: list(islice(remaining, batch_size)), [])
    if by_slot:
        groups = (list(same) for _, same in groupby(items, key=lambda pair: id(pair[1].batches)))
    for group in groups:
        slots = [slot for _, slot in group]
        yield _as_batches(_collate([item for item, _ in group], slots, _unused(slots)))


def _as_batches(batch: Any) -> Any:
    """Mark the tensors in a batch, so that a DataLoader refuses to batch them again."""
    if isinstance(batch, dict):
        return {key: _as_batches(value) for key, value in batch.items()}
    return Batch.over(batch, None) if type(batch) is torch.Tensor else batch


def _unused(slots: list[Slot]) -> dict[int, torch.Tensor]:
    """Return the batches that slots are, by number, if they lie side by side; each is removed when it is used."""
    made = slots[0].batches
    if any(slot.batches is not made or slot.place != place for place, slot in enumerate(slots)):
        return {}
    return {own: batch if len(slots) == len(batch) else head(batch, len(slots)) for own, batch in enumerate(made)}


def _collate(items: list[Any], slots: list[Slot], unused: dict[int, torch.Tensor]) -> Any:
    if isinstance(items[0], dict):
        return {key: _collate([item[key] for item in items], slots, unused) for key in items[0]}
    for own in range(len(slots[0].frames)):
        if all(item is slot.frames[own] for item, slot in zip(items, slots, strict=True)):
            batch = unused.pop(own, None)
            return _collate_frames(items) if batch is None else batch  # copied if one was refused, or they come twice
    return default_collate(items)
