"""The rank of this process, shardings around a dataset, and values that ranks exchange."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import count
from typing import Any, NamedTuple, TypeVar

import torch
from torch import distributed
from torch.utils.data import DataLoader, Dataset, get_worker_info

from flowmo_data.errors import OptionError

logger = logging.getLogger(__name__)

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


class Place(NamedTuple):
    """The part of a dataset's work that this process does, before it is divided among workers."""

    rank: int
    world_size: int
    taken: int = 0
    """items that a sharding around the dataset takes at a time; 0 if there is none, and the dataset shards itself"""


def place_of(dataset: Dataset[Any], rank: int | None = None, world_size: int | None = None) -> Place:
    """Return the place of this process: 0 of 1 if something around the dataset shards it, else see `current_rank`.

    Accelerate and transformers shard what they iterate over. Their loaders read the whole dataset, on rank 0 or on all
    ranks, and give each rank its part. So the dataset must not shard, or most of its frames would be lost. A given rank
    counts only if it is not the one that would have been looked up.
    """
    taken = _taken_from_outside(dataset)
    if taken and (rank, world_size) in ((None, None), current_rank()):
        return Place(0, 1, taken)
    return Place(*current_rank(rank, world_size))


def _taken_from_outside(dataset: Dataset[Any]) -> int:
    """Return the items that a sharding around the dataset takes at a time; 0 if there is none."""
    loader = accelerate_loader_of(dataset)
    if loader is not None:
        return _taken_by_shard(loader.dataset) or loader.batch_size or 1
    worker = get_worker_info()
    if worker is not None and _taken_by_shard(worker.dataset) and _holds(worker.dataset, dataset, set()):
        return _taken_by_shard(worker.dataset)
    return 0


def accelerate_loader_of(dataset: Dataset[Any]) -> Any | None:
    """Return the loader of a dataset that Accelerate has prepared and now iterates over; forked workers inherit it."""
    state, loaders = sys.modules.get("accelerate.state"), sys.modules.get("accelerate.data_loader")
    if state is None or loaders is None:
        return None
    loader = state.GradientState().active_dataloader
    if not isinstance(loader, (loaders.DataLoaderShard, loaders.DataLoaderDispatcher)):
        return None
    return loader if _holds(loader.dataset, dataset, set()) else None


def _taken_by_shard(dataset: Any) -> int:
    """Return the items that an `IterableDatasetShard`, Accelerate's or transformers', takes at a time; 0 for others."""
    if not (hasattr(dataset, "num_processes") and hasattr(dataset, "process_index") and hasattr(dataset, "batch_size")):
        return 0
    shards = 1 if getattr(dataset, "split_batches", False) else dataset.num_processes
    return (dataset.batch_size or 1) * shards


def _holds(holder: Any, dataset: Dataset[Any], seen: set[int]) -> bool:
    """Return whether a dataset or a loader is `dataset`, or wraps it, directly or in a chain of wrappers."""
    if holder is dataset:
        return True
    if not isinstance(holder, (Dataset, DataLoader)) or id(holder) in seen:
        return False
    seen.add(id(holder))
    for value in list(vars(holder).values()):
        several = value.values() if isinstance(value, Mapping) else value
        for each in several if isinstance(several, (list, tuple, type({}.values()))) else [value]:
            if _holds(each, dataset, seen):
                return True
    return False


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
        """Yield items until the first rank has none. Warn if a rank has none at all."""
        if self.count == 1:
            yield from items
            return
        for number in count():
            item = next(items, None)
            have = torch.tensor(item is not None, dtype=torch.int32)
            distributed.all_reduce(have, distributed.ReduceOp.MIN, group=self._group)
            if item is None and not number:
                logger.warning(
                    "rank %d has no batch, so no rank gets one: without an index, ranks divide whole files, and there "
                    "are too few; use an index (flowmo-data index FOLDER -o corpus.parquet)",
                    distributed.get_rank(),
                )
            if item is None or not have:
                return
            yield item
