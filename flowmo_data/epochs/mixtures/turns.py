"""Turns: the places of an epoch's order that belong to each rank and worker, a batch at a time.

    place in the order         0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19
    rank, turns of 2 frames    0  0  1  1  0  0  1  1  0  0  1  1  0  0  1  1  0  0  1  1
    worker                     0  0  0  0  1  1  1  1  0  0  0  0  1  1  1  1  0  0  0  0

This example has 2 ranks of 2 workers each. So every batch of every rank is a stretch of the order, and the n-th batches
of all ranks together are a stretch too, whatever the number of ranks and workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from flowmo_data.epochs.sharding import Shard, turn_unit

_ENDLESS_TURN = 64


def turn_length(shard: Shard, frames_per_rank: int | None, frames_per_turn: int | None) -> int:
    """Return the number of frames that a worker hands out before the next worker's turn.

    Args:
        shard: any shard of the layout.
        frames_per_rank: frames of each rank; None if there is no end.
        frames_per_turn: frames in a batch; None if nobody knows. Turns are then longer, and most batch sizes divide
            them.
    """
    if frames_per_turn is not None:
        return frames_per_turn
    if frames_per_rank is not None:
        return turn_unit(frames_per_rank, shard.num_workers)
    return 1 if shard.count == 1 else _ENDLESS_TURN


def own_places(
    shard: Shard, frames_per_rank: int | None, frames_per_turn: int | None, handed_out: int = 0
) -> Iterator[int]:
    """Yield the places of a shard, in order.

    Args:
        shard: the worker of a rank.
        frames_per_rank: frames of each rank; None if there is no end.
        frames_per_turn: see `turn_length`.
        handed_out: number of places to skip.

    >>> list(own_places(Shard(1, 2, 0, 2), 10, 2))
    [2, 3, 10, 11, 18, 19]
    """
    length = turn_length(shard, frames_per_rank, frames_per_turn)
    turns, rest = (None, 0) if frames_per_rank is None else divmod(frames_per_rank, length)
    for number in count(handed_out):
        own_turn, inside = divmod(number, length)
        turn = own_turn * shard.num_workers + shard.worker
        if turns is not None and turn >= turns:
            break
        yield (turn * shard.world_size + shard.rank) * length + inside
    else:
        return
    assert turns is not None
    if shard.worker != (turns % shard.num_workers if frames_per_turn else 0):
        return
    own_turns = len(range(shard.worker, turns, shard.num_workers))
    begin = turns * length * shard.world_size + shard.rank * rest
    yield from range(begin + max(handed_out - own_turns * length, 0), begin + rest)
