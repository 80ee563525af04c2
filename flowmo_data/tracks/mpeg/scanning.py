"""Find headers among other bytes: check many places at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flowmo_data.tracks.mpeg.headers import HEADER_BYTES, length_table

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]


def keys_at(window: Bytes, places: Numbers) -> Numbers:
    """Return `stream_key` of the headers at `places`; -1 if there is no header, or a place is past the window."""
    inside = places + HEADER_BYTES <= len(window)
    at = np.where(inside, places, 0)
    b1, b2, b3 = (window[at + i].astype(np.int64) for i in (1, 2, 3))
    key = (b1 | 1) << 16 | (b2 & 0x0C) << 8 | (b2 < 0x10) << 1 | (b3 >= 0xC0)
    valid = inside & (window[at] == 0xFF) & (b1 >= 0xE0) & (_lengths_at(b1, b2) > 0)
    return np.where(valid, key, -1)


def _lengths_at(b1: Numbers, b2: Numbers) -> Numbers:
    lengths: Numbers = length_table()[b1 >> 1 & 15, b2]
    return lengths


def vouched_for(window: Bytes, start: int, stop: int, limit: int, like: int) -> tuple[int | None, list[int]]:
    """Return the first place in `[start, stop)` of the window with a header that other headers confirm.

    For a packet like those before (`like`), one more header where the packet ends is enough; for any other, two are
    needed. The end of the file, at `limit`, counts as a header, or as two if a packet ends exactly there.

    Returns:
        The place or None, and the places of free-format headers, which do not give a length.
    """
    first = start + np.flatnonzero((window[start:stop] == 0xFF) & (window[start + 1 : stop + 1] >= 0xE0))
    first = first[first + HEADER_BYTES <= len(window)]
    key = keys_at(window, first)
    first, key = first[key >= 0], key[key >= 0]
    free = key & 2 > 0
    places, key = first[~free], key[~free]
    second = places + _lengths_at(window[places + 1].astype(np.int64), window[places + 2].astype(np.int64))
    has_second = keys_at(window, second) == key
    at = np.where(has_second, second, 0)
    third = second + _lengths_at(window[at + 1].astype(np.int64), window[at + 2].astype(np.int64))
    has_third = (third + HEADER_BYTES > limit) | (keys_at(window, third) == key)
    good = (second == limit) | has_second & ((key == like) | has_third)
    found = places[good]
    return (int(found[0]) if len(found) else None), first[free].tolist()
