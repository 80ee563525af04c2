"""Go from header to header: by this package's C library, or in Python, which takes ten times as long."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.runtime import library
from flowmo_data.tracks.mpeg.headers import HEADER_BYTES


def follow(
    data: bytes, at: int, *, key: int, lengths: Sequence[int], most: int | None = None
) -> tuple[npt.NDArray[np.uint32], int]:
    """Return where the packets start that follow one another, and where the last one ends.

    Args:
        data: bytes of a file, less than 4 GiB.
        at: where the first packet starts, not below 0.
        key: `stream_key` of the stream. Packets of another version, layer or number of channels end it.
        lengths: packet length by a header's third byte, 256 of them; 0 ends the packets.
        most: the number of packets to find at most; None for all.

    Returns:
        The places in `data`, and the end of the last packet, which may be past all bytes; `at` if there is no packet. A
        packet counts if all of its header is there.
    """
    lengths = tuple(lengths)
    possible = max(len(data) - at, 0) // _shortest(lengths) + 1
    find = _compiled() if library.is_available() else _in_python
    return find(data, at, key >> 16, bool(key & 1), lengths, possible if most is None else min(most, possible))


@lru_cache(maxsize=64)
def _shortest(lengths: tuple[int, ...]) -> int:
    return min(length for length in lengths if length)


@lru_cache(maxsize=64)
def _as_array(lengths: tuple[int, ...]) -> ctypes.Array[ctypes.c_int32]:
    return (ctypes.c_int32 * len(lengths))(*lengths)


@cache
def _compiled() -> Any:
    function = library.function("mpeg_follow")
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = (
        *(ctypes.c_char_p, integer, integer),  # data, bytes, at
        *(ctypes.c_uint32, ctypes.c_int, pointer),  # second, mono, lengths
        *(pointer, integer, pointer),  # places, most, end
    )
    function.restype = integer

    def find(
        data: bytes, at: int, second: int, mono: bool, lengths: tuple[int, ...], most: int
    ) -> tuple[npt.NDArray[np.uint32], int]:
        places, end = np.empty(most, np.uint32), ctypes.c_int64(0)
        count = function(
            data, len(data), at, second, mono, _as_array(lengths), places.ctypes.data, most, ctypes.byref(end)
        )
        return places[:count], end.value

    return find


def _in_python(
    data: bytes, at: int, second: int, mono: bool, lengths: tuple[int, ...], most: int
) -> tuple[npt.NDArray[np.uint32], int]:
    places, last = list[int](), len(data) - HEADER_BYTES
    for _ in range(most):
        if at > last or data[at] != 0xFF or data[at + 1] | 1 != second or (data[at + 3] >= 0xC0) is not mono:
            break
        length = lengths[data[at + 2]]
        if not length:
            break
        places.append(at)
        at += length
    return np.array(places, np.uint32), at
