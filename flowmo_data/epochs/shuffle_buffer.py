"""The shuffle buffer: what goes in comes out in another order, and waits for about `buffer_size` others.

What it holds are spans, a few integers each, so a large one costs nothing. An item's place is drawn when it leaves:

    items ──► [ . . . . . . . ] ──► one drawn at random; the next item takes its place
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from flowmo_data.epochs.randomness import random_below

T = TypeVar("T")


def shuffled(items: Iterable[T], *, buffer_size: int, bits: np.random.Philox) -> Iterator[T]:
    """All items, each once, in an order drawn from `bits`.

    Args:
        items: what to shuffle.
        buffer_size: how many are held. 1 keeps the order; as many as there are items gives a uniform permutation.
        bits: where the randomness comes from (`randomness.random_bits`).
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
