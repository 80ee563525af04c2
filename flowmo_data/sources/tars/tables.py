"""Where the members of a tar lie, by name: a few arrays, and no Python objects.

A member is found through a sorted array of 64-bit hashes of the names. So a million members are 24 MB, which forked
workers share.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from flowmo_data.sources.source import Stamp
from flowmo_data.sources.tars.headers import Member


@dataclass(frozen=True, eq=False, slots=True)
class TarTable:
    """The members of a tar in one state. Of several with one name, the last counts, as when the tar is unpacked."""

    stamp: Stamp
    """the state of the tar"""
    hashes: npt.NDArray[np.uint64]
    """hash of each name, sorted"""
    places: npt.NDArray[np.int64]
    """`(members, 2)`: first byte in the tar, and number of bytes"""

    def find(self, name: str) -> tuple[int, int] | None:
        """Return the first byte of a member in the tar, and the number of its bytes; None if there is none."""
        number = np.uint64(_hash(name))
        place = int(np.searchsorted(self.hashes, number))
        if place == len(self.hashes) or self.hashes[place] != number:
            return None
        offset, size = self.places[place].tolist()
        return offset, size

    def only(self, names: Sequence[str]) -> TarTable:
        """Return the table of some of the members."""
        chosen = np.isin(self.hashes, np.fromiter(map(_hash, names), np.uint64, len(names)))
        return TarTable(self.stamp, self.hashes[chosen], self.places[chosen])


def tar_table(stamp: Stamp, members: Sequence[Member]) -> TarTable:
    """Return the table of the members of a tar."""
    hashes = np.fromiter((_hash(each.name) for each in members), np.uint64, len(members))
    places = np.array([each[1:] for each in members], np.int64).reshape(-1, 2)
    last_first = np.arange(len(members))[::-1]
    unique, chosen = np.unique(hashes[last_first], return_index=True)
    return TarTable(stamp, unique, np.ascontiguousarray(places[last_first][chosen]))


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(os.fsencode(name), digest_size=8).digest(), "big")
