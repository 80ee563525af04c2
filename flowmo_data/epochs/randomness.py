"""Random numbers that depend on a key and on nothing else.

They are the raw output of Philox, which NumPy promises never to change (NEP 19). NumPy's functions on top of it
(`integers`, `permutation`) have changed before, so this module has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import overload

import numpy as np
import numpy.typing as npt

_ROUNDS = 8
_64_BITS = (1 << 64) - 1


class Purpose(IntEnum):
    """The purpose of random numbers. Each purpose has its own stream."""

    FILE_ORDER = 1
    PHASE = 2
    SPAN_ORDER = 3
    SUBSTITUTE = 4
    FRAME = 5
    JITTER = 6
    SET_ORDER = 7


def random_bits(seed: int, epoch: int, purpose: Purpose, *key: int) -> np.random.Philox:
    """Return a generator of 64-bit numbers (`random_raw`) for one purpose in one epoch."""
    return np.random.Philox(np.random.SeedSequence((seed, epoch, purpose, *key)))


def frame_seed(seed: int, epoch: int, *key: int) -> int:
    """Return a seed for the randomness of one frame, from 0 to 2^63 - 1, as int64 holds it.

    Args:
        seed: the dataset's seed.
        epoch: the epoch.
        *key: whole numbers, 0 or greater, that no other frame of the epoch has.
    """
    number = _frame_key(seed, epoch)
    for each in key:
        number = _mix(number + each & _64_BITS)
    return number >> 1


@lru_cache(maxsize=8)
def _frame_key(seed: int, epoch: int) -> int:
    """Return what the seeds of an epoch share. It takes several times as long as the rest of a seed."""
    return int(random_bits(seed, epoch, Purpose.FRAME).random_raw())


def random_below(bits: np.random.Philox, limit: int) -> int:
    """Return a number from 0 to `limit - 1`, all equally likely to within limit / 2^64."""
    return int(bits.random_raw()) * limit >> 64


class Permutation(Sequence[int]):
    """The numbers from 0 to `length - 1` in random order. Each is computed on access: nothing is stored.

    A Feistel network permutes all numbers that fit into the smallest even number of bits that holds `length - 1`. A
    result that is out of range is permuted again until it is in range (cycle walking: Black and Rogaway, "Ciphers with
    Arbitrary Finite Domains", 2002), on average at most three times more.
    """

    def __init__(self, length: int, bits: np.random.Philox) -> None:
        self._length = length
        self._half = max(((length - 1).bit_length() + 1) // 2, 1)
        self._mask = (1 << self._half) - 1
        self._keys: list[int] = bits.random_raw(_ROUNDS).tolist()

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} numbers, none at {index}")
        number = self._permute(index)
        while number >= self._length:
            number = self._permute(number)
        return number

    def array(self) -> npt.NDArray[np.int64]:
        """Return all numbers at once, a hundred times faster than one by one: int64, shape `(length,)`."""
        numbers = self._permute_array(np.arange(self._length, dtype=np.uint64))
        while len(outside := np.flatnonzero(numbers >= self._length)):
            numbers[outside] = self._permute_array(numbers[outside])
        return numbers.astype(np.int64)

    def _permute(self, number: int) -> int:
        left, right = number >> self._half, number & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right + key & _64_BITS) & self._mask)
        return left << self._half | right

    def _permute_array(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        half, mask = np.uint64(self._half), np.uint64(self._mask)
        left, right = numbers >> half, numbers & mask
        for key in self._keys:
            left, right = right, left ^ (_mix_array(right + np.uint64(key)) & mask)
        permuted: npt.NDArray[np.uint64] = left << half | right
        return permuted


def _mix(number: int) -> int:
    """Spread every bit over 64: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _64_BITS
    return number ^ number >> 31


def _mix_array(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Apply `_mix` to each of many numbers."""
    numbers = (numbers ^ numbers >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ numbers >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = numbers ^ numbers >> np.uint64(31)
    return mixed
