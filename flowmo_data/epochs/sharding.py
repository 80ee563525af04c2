"""Who am I among ranks and workers, and which part of the work is mine.

    order of the epoch     f     b     h     a     e     c     g     d
    shard                  0     1     2     3     0     1     2     3
    rank, worker          0,0   1,0   0,1   1,1   0,0   1,0   0,1   1,1

Here with 2 ranks of 2 workers each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch.utils.data import get_worker_info

from flowmo_data.epochs.randomness import Permutation, Purpose, random_bits
from flowmo_data.errors import OptionError
from flowmo_data.runtime.ranks import current_rank

_CALLS_LOOKED_AT = 12
_SECOND_SHARDERS = ("IterableDatasetShard", "DataLoaderDispatcher")


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of the work that one worker of one rank does."""

    rank: int = 0
    """0 to world_size - 1"""
    world_size: int = 1
    """ranks in the job"""
    worker: int = 0
    """0 to num_workers - 1"""
    num_workers: int = 1
    """workers of a rank; 1 where the main process does the work"""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise OptionError(
                f"rank={self.rank}, world_size={self.world_size}: rank must be 0 to world_size - 1; "
                "give both, or neither to have them looked up"
            )

    @property
    def index(self) -> int:
        """0 to count - 1; ranks first, so that they get equally many where files do not divide evenly."""
        return self.worker * self.world_size + self.rank

    @property
    def count(self) -> int:
        """Shards in the job."""
        return self.world_size * self.num_workers


def current_shard(rank: int | None = None, world_size: int | None = None) -> Shard:
    """The shard of this process: its rank (see `current_rank`) and its place among the DataLoader's workers."""
    rank, world_size = current_rank(rank, world_size)
    info = get_worker_info()
    worker, num_workers = (0, 1) if info is None else (info.id, info.num_workers)
    return Shard(rank, world_size, worker, num_workers)


def check_not_sharded_again(shard: Shard) -> None:
    """Raise if something further up takes a part of what a shard emits, so that the rest would be lost.

    Accelerate's and Transformers' `IterableDatasetShard` would; `DataLoaderDispatcher` reads on rank 0 alone. Both are
    found on the stack where they iterate over the dataset themselves, which is not so in a dispatcher's workers.

    Raises:
        OptionError: there is one, and more than one rank.
    """
    if shard.world_size == 1:
        return
    for caller in callers():
        name = type(caller).__name__
        if name in _SECOND_SHARDERS:
            raise OptionError(
                f"{name} would shard what is sharded already: this dataset gives each of {shard.world_size} ranks its "
                "own files. Do not pass its loader to accelerator.prepare(), only model and optimizer; or give the "
                "dataset rank=0, world_size=1 and leave sharding to Accelerate"
            )


def epoch_order(num_files: int, *, seed: int, epoch: int, shuffle: bool) -> Sequence[int]:
    """The order of all files in an epoch: the same in every rank and worker."""
    if not shuffle:
        return range(num_files)
    return Permutation(num_files, random_bits(seed, epoch, Purpose.FILE_ORDER))


def deal(order: Sequence[int], shard: Shard) -> Iterator[int]:
    """The part of `order` that is this shard's: every `shard.count`-th, from `shard.index` on."""
    return (order[place] for place in range(shard.index, len(order), shard.count))


def callers() -> Iterator[object]:
    """The objects whose methods are being run, the innermost first, as far as a dozen calls up."""
    return (call.get("self") for call in _calls())


def batch_size_asked_for() -> int | None:
    """How many items the DataLoader that asks for the next one puts into a batch; None where that cannot be seen.

    Its fetcher holds a list of so many indices, which are all None for an iterable dataset.
    """
    indices = next((call["possibly_batched_index"] for call in _calls() if "possibly_batched_index" in call), None)
    return len(indices) if isinstance(indices, list) else None


def _calls() -> Iterator[Mapping[str, object]]:
    """The local variables of the calls that led here, the innermost first."""
    frame = sys._getframe(1).f_back
    for _ in range(_CALLS_LOOKED_AT):
        if frame is None:
            return
        yield frame.f_locals
        frame = frame.f_back
