"""The rank of this process, and values that ranks exchange."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import distributed

from flowmo_data.errors import OptionError

T = TypeVar("T")


def current_rank(rank: int | None = None, world_size: int | None = None) -> tuple[int, int]:
    """Return rank and number of ranks: as given, else from torch.distributed, else RANK and WORLD_SIZE, else 0 of 1.

    Raises:
        OptionError: only one of the two is given, or the environment has values that are not numbers.
    """
    if rank is not None and world_size is not None:
        return rank, world_size
    if rank is not None or world_size is not None:
        raise OptionError(f"rank={rank}, world_size={world_size}: give both, or neither to have them looked up")
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    environment = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if None in environment:
        return 0, 1
    try:
        return int(str(environment[0])), int(str(environment[1]))
    except ValueError:
        raise OptionError(
            f"RANK={environment[0]!r}, WORLD_SIZE={environment[1]!r} in the environment: "
            "they must be numbers; unset both, or give rank= and world_size="
        ) from None


class Ranks:
    """The ranks of `torch.distributed`; only one if that is not initialised.

    They communicate over gloo, on the CPU, because they agree on the next batch while the GPU computes.
    """

    @property
    def count(self) -> int:
        """Number of ranks."""
        there = distributed.is_available() and distributed.is_initialized()
        return distributed.get_world_size() if there else 1

    @cached_property
    def _group(self) -> Any:
        return distributed.new_group(backend="gloo")

    def gather(self, own: T) -> list[T]:
        """Return the values of all ranks, in rank order."""
        if self.count == 1:
            return [own]
        gathered: list[Any] = [None] * self.count
        distributed.all_gather_object(gathered, own, group=self._group)
        return gathered

    def while_all_have_one(self, items: Iterator[T]) -> Iterator[T]:
        """Yield items until the first rank has none."""
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
