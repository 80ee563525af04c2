"""The order in which the sets of a mixture take turns: true proportions in every stretch, and any place at once.

    places   [0 . . . . . . . . . . . . . . 8)     weights 0.5, 0.3, 0.2
    counts    a: 4  b: 2  c: 2                     of 8 places: 4, 2.4, 1.6, rounded
                    │ halved
              a: 2  b: 1  c: 1 │ a: 2  b: 1  c: 1
                    │ halved
              a 1 b 1 │ a 1 c 1 │ a 1 b 1 │ a 1 c 1

A stretch is a power of two of places that begins at a multiple of its length. The counts of the longest stretch, some
2^48 places, are the weights. Each stretch is halved: a set with an even count has half of it in each half; of the sets
with odd counts, half get their extra place in the first half, and the others in the second. So in every stretch, each
set's count is its exact share, rounded up or down (by induction: half of a number between floor(2x) and ceil(2x),
rounded up or down, is between floor(x) and ceil(x)). That is the quota rule of apportionment, at all lengths at once.

The sets that come first are those that are furthest behind their share, as in the chairman assignment problem (R.
Tijdeman, "The chairman assignment problem", Discrete Mathematics 32, 1980), which keeps other stretches close too. No
order keeps all stretches of all lengths within one place of the shares for three sets or more, except for a few weights
(Fraenkel's conjecture; see R. Tijdeman, "Fraenkel's conjecture for six sequences", Discrete Mathematics 222, 2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowmo_data.epochs.randomness import Purpose, random_bits

Numbers = npt.NDArray[np.int64]
_PERIOD_BITS = 48
_BLOCK_BITS = 11
_NEVER = np.iinfo(np.int64).max


class Block(NamedTuple):
    """A stretch of the order, computed at once."""

    sets: Numbers
    """the set of each place"""
    before: Numbers
    """number of earlier places, of the whole order, that belong to the same set"""


class SetOrder:
    """The set of each place, from 0 on without end. Any place is found in less than a millisecond.

    Args:
        weights: weight of each set, at least one above 0; a set of weight 0 never comes.
        seed: seed of the sets' order among each other. It does not change the counts of a stretch by more than one.
        unit: the length of the shortest stretch that has its exact share, an odd number: stretches are this times a
            power of two.

    >>> order = SetOrder([2, 1, 1], seed=0)
    >>> order.counts(4), order.counts(1_000)
    ((2, 1, 1), (500, 250, 250))
    """

    def __init__(self, weights: Sequence[float], *, seed: int, unit: int = 1) -> None:
        self._unit, self._halvings = unit, _PERIOD_BITS - unit.bit_length()
        self._period = unit << self._halvings
        self._weights = shares(weights, self._period)
        raw = random_bits(seed, 0, Purpose.SET_ORDER).random_raw(len(weights)).tolist()
        self._phases = [number * self._period >> 64 for number in raw]
        self._block_halvings = min(max(_BLOCK_BITS - unit.bit_length(), 0), self._halvings)
        self._block_length = unit << self._block_halvings
        self._block = lru_cache(maxsize=4)(self._make_block)

    def at(self, place: int) -> tuple[int, int]:
        """Return the set of a place, and the number of earlier places of the same set."""
        number, inside = divmod(place, self._block_length)
        block = self._block(number)
        return int(block.sets[inside]), int(block.before[inside])

    def counts(self, place: int) -> tuple[int, ...]:
        """Return the number of places of each set before `place`."""
        number, inside = divmod(place, self._block_length)
        given, _ = self._counts_of_block(number)
        here = np.bincount(self._block(number).sets[:inside], minlength=len(given))
        return tuple(before + int(more) for before, more in zip(given, here, strict=True))

    def place_of(self, which: int, draw: int) -> int:
        """Return the place of a set's draw number `draw`, from 0 on. Its weight must not be 0."""
        periods, draw = divmod(draw, self._weights[which])
        number, given, _ = self._descend(draw_of=(which, draw))
        sets = self._block(number).sets
        number += periods * (self._period // self._block_length)
        return number * self._block_length + int(np.flatnonzero(sets == which)[draw - given[which]])

    def _counts_of_block(self, number: int) -> tuple[list[int], list[int]]:
        """Return each set's places before a block, and in it."""
        periods, number = divmod(number, self._period // self._block_length)
        _, given, counts = self._descend(block=number)
        return [before + periods * each for before, each in zip(given, self._weights, strict=True)], counts

    def _descend(self, block: int = 0, *, draw_of: tuple[int, int] | None = None) -> tuple[int, list[int], list[int]]:
        """Halve the period down to a block: to `block`, or to the block of a set's draw.

        Returns:
            The number of the block, and each set's places before it and in it.
        """
        number, given, counts = 0, [0] * len(self._weights), self._weights
        for level in reversed(range(self._halvings - self._block_halvings)):
            middle = (2 * number + 1) * (self._block_length << level)
            first = self._first_half(given, counts, middle)
            right = bool(block >> level & 1)
            if draw_of is not None:
                which, draw = draw_of
                right = given[which] + first[which] <= draw
            if right:
                given = [before + inside for before, inside in zip(given, first, strict=True)]
                first = [whole - inside for whole, inside in zip(counts, first, strict=True)]
            number, counts = 2 * number + right, first
        return number, given, counts

    def _first_half(self, given: list[int], counts: list[int], middle: int) -> list[int]:
        """Return each set's places in the first half of a stretch: its `counts`, `given` before, and its middle."""
        half = [count // 2 for count in counts]
        behind = [
            middle * weight - (before + count) * self._period + phase
            for weight, before, count, phase in zip(self._weights, given, half, self._phases, strict=True)
        ]
        odd = sorted((which for which, count in enumerate(counts) if count & 1), key=lambda which: -behind[which])
        for which in odd[: len(odd) // 2]:
            half[which] += 1
        return half

    def _make_block(self, number: int) -> Block:
        before, in_block = self._counts_of_block(number)
        start, weights = number * self._block_length, np.array(self._weights)
        behind = np.array(
            [
                start * weight - given * self._period + phase
                for weight, given, phase in zip(self._weights, before, self._phases, strict=True)
            ]
        )
        counts, given, starts = np.array([in_block]), np.zeros((1, len(weights)), np.int64), np.zeros(1, np.int64)
        for level in reversed(range(self._block_halvings)):  # all stretches of a length at once: (stretches, sets)
            half, odd = counts // 2, counts & 1
            middles = starts + (self._unit << level)
            key = -(behind + middles[:, None] * weights - (given + half) * self._period)
            ranks = np.where(odd, key, _NEVER).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
            first = half + (odd & (ranks < odd.sum(axis=1, keepdims=True) // 2))
            counts = np.stack([first, counts - first], axis=1).reshape(-1, len(weights))
            given = np.stack([given, given + first], axis=1).reshape(-1, len(weights))
            starts = np.stack([starts, middles], axis=1).reshape(-1)
        sets, rows = np.empty((len(starts), self._unit), np.int64), np.arange(len(starts))
        for place in range(self._unit):
            key = behind + (starts[:, None] + place + 1) * weights - given * self._period
            sets[:, place] = np.where(counts > 0, key, -_NEVER).argmax(axis=1)
            counts[rows, sets[:, place]] -= 1
            given[rows, sets[:, place]] += 1
        return _counted(sets.reshape(-1), before)


def _counted(sets: Numbers, before: Sequence[int]) -> Block:
    """Return a block of these sets, each of which has `before` places before it."""
    earlier = np.empty_like(sets)
    for which, given in enumerate(before):
        mine = np.flatnonzero(sets == which)
        earlier[mine] = given + np.arange(len(mine))
    return Block(sets, earlier)


def shares(weights: Sequence[float], total: int) -> list[int]:
    """Divide `total` in proportion to weights, which are exact, by largest remainders.

    >>> shares([0.5, 0.3, 0.2], 8)
    [4, 2, 2]
    """
    whole = sum(map(Fraction, weights))
    exact = [Fraction(weight) / whole * total for weight in weights]
    rounded = [int(share) for share in exact]
    by_rest = sorted(range(len(exact)), key=lambda which: rounded[which] - exact[which])
    for which in by_rest[: total - sum(rounded)]:
        rounded[which] += 1
    return rounded


def odd_part(number: int) -> int:
    """Return a number without its factors of two.

    >>> odd_part(96)
    3
    """
    return number // (number & -number)
