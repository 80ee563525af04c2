"""The place of this process among ranks and workers, and its part of the work.

    order of the epoch     f     b     h     a     e     c     g     d
    shard                  0     1     2     3     0     1     2     3
    rank, worker          0,0   1,0   0,1   1,1   0,0   1,0   0,1   1,1

This example has 2 ranks of 2 workers each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from torch.utils.data import get_worker_info

from flowmo_data.epochs.randomness import Permutation, Purpose, random_bits
from flowmo_data.errors import OptionError
from flowmo_data.runtime.ranks import current_rank


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
    """workers of a rank; 1 if the main process does the work"""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise OptionError(
                f"rank={self.rank}, world_size={self.world_size}: rank must be 0 to world_size - 1; "
                "give both, or neither to have them looked up"
            )

    @property
    def index(self) -> int:
        """0 to count - 1. Ranks count first, so that uneven numbers of files are spread over ranks before workers."""
        return self.worker * self.world_size + self.rank

    @property
    def count(self) -> int:
        """Shards in the job."""
        return self.world_size * self.num_workers


def current_shard(rank: int | None = None, world_size: int | None = None) -> Shard:
    """Return the shard of this process: its rank (see `current_rank`) and its place among the DataLoader's workers."""
    rank, world_size = current_rank(rank, world_size)
    info = get_worker_info()
    worker, num_workers = (0, 1) if info is None else (info.id, info.num_workers)
    return Shard(rank, world_size, worker, num_workers)


def epoch_order(num_files: int, *, seed: int, epoch: int, shuffle: bool) -> Sequence[int]:
    """Return the order of all files in an epoch, the same in every rank and worker."""
    if not shuffle:
        return range(num_files)
    return Permutation(num_files, random_bits(seed, epoch, Purpose.FILE_ORDER))


def deal(order: Sequence[int], shard: Shard) -> Iterator[int]:
    """Return this shard's part of `order`: every `shard.count`-th, starting at `shard.index`."""
    return (order[place] for place in range(shard.index, len(order), shard.count))


_UNITS = (1_920, 960, 192, 64, 32, 16, 8, 4, 2, 1)
"""numbers that most batch sizes divide; the largest is some two seconds of decoding"""


def turn_unit(num_frames: int, num_workers: int) -> int:
    """Return the unit in which to divide the frames of a rank among workers."""
    return next((unit for unit in _UNITS if unit * num_workers <= num_frames), 1)


def worker_quotas(num_frames: int, num_workers: int) -> list[int]:
    """Divide the frames of a rank among workers that do not know the DataLoader's batch size.

    All workers but the first get multiples of a unit. So if the batch size divides the unit, only one batch of the
    epoch is short, and there are as many batches as `len(loader)` says, with `drop_last` too.

    Returns:
        The number of frames of each worker.

    >>> worker_quotas(228, 4)
    [68, 64, 64, 32]
    """
    unit = turn_unit(num_frames, num_workers)
    units, rest = divmod(num_frames, unit)
    each, more = divmod(units, num_workers)
    return [(each + (worker < more)) * unit + (rest if worker == 0 else 0) for worker in range(num_workers)]


def by_turn(frames_per_turn: int, shard: Shard, handed_out: int) -> Iterator[int]:
    """Return the frames of a rank that a worker hands out, without end: workers take turns."""
    for number in count(handed_out):
        turn, inside = divmod(number, frames_per_turn)
        yield (turn * shard.num_workers + shard.worker) * frames_per_turn + inside


def by_quota(num_frames: int, shard: Shard, handed_out: int) -> Iterator[int]:
    """Return the frames of a rank that a worker hands out: they take turns frame by frame, up to their quotas."""
    quotas = worker_quotas(num_frames, shard.num_workers)
    for number in range(handed_out, quotas[shard.worker]):
        before = sum(min(quota, number) for quota in quotas)
        yield before + sum(quota > number for quota in quotas[: shard.worker])
