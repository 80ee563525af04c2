"""The shuffle buffer: items come out in another order, each after a wait for about `buffer_size` others.

It holds spans, a few integers each, so a large buffer costs nothing. An item's place is drawn when it leaves:

    items ──► [ . . . . . . . ] ──► one drawn at random; the next item takes its place
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
