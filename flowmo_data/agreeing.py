"""What ranks find out together: each of these is to be called on all of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import distributed

T = TypeVar("T")


class Ranks:
    """The ranks of `torch.distributed`; one, where that is not initialised.

    They talk over gloo, on the CPU: whether there is another batch is asked while the GPU computes.
    """

    @property
    def count(self) -> int:
        """How many there are."""
        there = distributed.is_available() and distributed.is_initialized()
        return distributed.get_world_size() if there else 1

    @cached_property
    def _group(self) -> Any:
        return distributed.new_group(backend="gloo")

    def gather(self, own: T) -> list[T]:
        """What every rank gives, in the order of ranks."""
        if self.count == 1:
            return [own]
        gathered: list[Any] = [None] * self.count
        distributed.all_gather_object(gathered, own, group=self._group)
        return gathered

    def while_all_have_one(self, items: Iterator[T]) -> Iterator[T]:
        """Items until the first rank has none."""
        if self.count == 1:
            yield from items
            return
        while True:
            item = next(items, None)
            have = torch.tensor(item is not None, dtype=torch.int32)
            distributed.all_reduce(have, distributed.ReduceOp.MIN, group=self._group)
            if item is None or not have:
                return
            yield item
