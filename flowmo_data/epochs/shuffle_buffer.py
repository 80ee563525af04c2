"""The shuffle buffer: items come out in another order, each after a wait for about `buffer_size` others.

It holds spans, a few integers each, so a large buffer costs nothing. An item's place is drawn when it leaves:

    items ──► [ . . . . . . . ] ──► one drawn at random; the next item takes its place
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from flowmo_data.epochs.randomness import random_below

T = TypeVar("T")


def shuffled(items: Iterable[T], *, buffer_size: int, bits: np.random.Philox) -> Iterator[T]:
    """Yield all items, each once, in an order drawn from `bits`.

    Args:
        items: the items to shuffle.
        buffer_size: number of items to hold. 1 keeps the order; the number of all items gives a uniform permutation.
        bits: the source of the randomness (`randomness.random_bits`).
    """
    buffer: list[T] = []
    for item in items:
        if len(buffer) < buffer_size:
            buffer.append(item)
            continue
        drawn = random_below(bits, buffer_size)
        item, buffer[drawn] = buffer[drawn], item
        yield item
    while buffer:
        drawn = random_below(bits, len(buffer))
        buffer[drawn], buffer[-1] = buffer[-1], buffer[drawn]
        yield buffer.pop()


def shuffled_within(
    items: Iterable[T], *, buffer_size: int, bits: np.random.Philox, holds: Callable[[T], tuple[int, int]], most: int
) -> Iterator[T]:
    """Yield all items as `shuffled` does, but hold fewer of them if their groups hold too many bytes.

    Before the first item of a group would exceed `most`, groups leave, the one with the fewest items first: then the
    buffer shrinks least. So the order depends on the bytes of the groups, and never on time.

    Args:
        items: the items to shuffle, group by group.
        buffer_size: number of items to hold.
        bits: the source of the randomness.
        holds: returns the number of an item's group, and the bytes that the group holds until its last item is gone.
        most: bytes that groups may hold together.
    """
    buffer: list[T] = []
    waiting: dict[int, int] = {}  # items in the buffer, by group
    sizes: dict[int, int] = {}
    for item in items:
        group, size = holds(item)
        if group not in sizes:
            sizes = {each: sizes[each] for each, number in waiting.items() if number}
            waiting = {each: waiting[each] for each in sizes}
            while sizes and sum(sizes.values()) + size > most:
                least = min(waiting, key=waiting.__getitem__)
                leaving = [each for each in buffer if holds(each)[0] == least]
                buffer = [each for each in buffer if holds(each)[0] != least]
                del waiting[least], sizes[least]
                while leaving:
                    yield leaving.pop(random_below(bits, len(leaving)))
            sizes[group], waiting[group] = size, 0
        waiting[group] += 1
        if len(buffer) < buffer_size:
            buffer.append(item)
            continue
        drawn = random_below(bits, buffer_size)
        item, buffer[drawn] = buffer[drawn], item
        waiting[holds(item)[0]] -= 1
        yield item
    while buffer:
        drawn = random_below(bits, len(buffer))
        buffer[drawn], buffer[-1] = buffer[-1], buffer[drawn]
        yield buffer.pop()
