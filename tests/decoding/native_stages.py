"""The stages of the decoder in C, one by one, as Python functions: see `flowmo_data/decoding/layer3/stages.c`."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import numpy.typing as npt
from layer3_main_data import ScaleFactors
from layer3_side_info import Granule
from layer3_tables import LINES

from flowmo_data.runtime import library

Floats = npt.NDArray[np.float32]

SPARE_BYTES = 2_048
"""readable behind the main data of a granule"""
RATES = {44_100: 0, 48_000: 1, 32_000: 2, 22_050: 3, 24_000: 4, 16_000: 5, 11_025: 6, 12_000: 6, 8_000: 7}
DTYPES = {"float32": 0, "float16": 1, "bfloat16": 2, "int16": 3}


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(library.LIBRARY))


@cache
def variants() -> tuple[str, ...]:
    """Return the instruction sets of this machine; none if the decoder is not built."""
    if not library.is_available():
        return ()
    opened = _library().layer3_open
    opened.restype = ctypes.c_char_p
    return tuple(opened().decode().split())


def aligned(count: int, values: npt.ArrayLike = ()) -> Floats:
    """Return float32 zeros at a multiple of 64 bytes, and `values` at their beginning."""
    memory = np.zeros(count + 16, np.float32)
    array = memory[-memory.ctypes.data % 64 // 4 :][:count]
    array[: np.size(values)] = np.ravel(values)
    return array


def _pointer(array: npt.NDArray | None) -> ctypes.c_void_p | None:
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)  # keeps the array alive


def _integers(*values: int) -> ctypes.Array[ctypes.c_int]:
    return (ctypes.c_int * len(values))(*values)


def _fields(granule: Granule, preflag: int) -> ctypes.Array[ctypes.c_int]:
    return _integers(
        granule.block_type, granule.mixed_block_flag, granule.global_gain, granule.scalefac_scale, preflag,
        *granule.subblock_gain, granule.scalefac_compress, granule.window_switching_flag,
    )  # fmt: skip


def _factors(factors: ScaleFactors) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    values, illegal = np.zeros((2, 40), np.uint8)
    values[: len(factors.values)], illegal[: len(factors.illegal)] = factors.values, factors.illegal
    return values, illegal


class Stages:
    """The stages, compiled for one instruction set."""

    def __init__(self, variant: str) -> None:
        assert variant in variants()
        self._variant = variant

    def _call(self, stage: str, *args: object) -> int:
        result: int = _library()[f"layer3_test_{stage}_{self._variant}"](*args)
        return result

    def huffman(
        self, data: bytes, position: int, end: int, granule: Granule, region_edges: tuple[int, int], *, twice: bool
    ) -> Floats | None:
        """Decode the codes of bits `[position, end)`: 576 values raised to 4/3, or None where they end too late.

        With `twice`, the granule is decoded in turns with itself, and both results must be alike.
        """
        main_data = np.frombuffer(data + b"\xa5" * SPARE_BYTES, np.uint8)
        lines, twin = aligned(592, np.full(592, np.nan)), aligned(592, np.full(592, np.nan)) if twice else None
        stop = self._call(
            "huffman", _pointer(main_data), position, end, granule.big_values, _integers(*granule.table_select),
            _integers(*region_edges), granule.count1table_select, _pointer(lines), _pointer(twin),
        )  # fmt: skip
        if stop < 0:
            return None
        assert twin is None or np.array_equal(lines[:stop], twin[:stop])
        return aligned(LINES, lines[:stop])

    def scale_factors(
        self, data: bytes, granule: Granule, *, lsf: bool, intensity_channel: bool
    ) -> tuple[list[int], list[bool], int, int]:
        """Read scale factors: the values of 40 bands, which are illegal positions, preflag, and the bits read."""
        main_data = np.frombuffer(data + bytes(SPARE_BYTES), np.uint8)
        (values, illegal), preflag = np.zeros((2, 40), np.uint8), ctypes.c_int()
        count = self._call(
            "scale_factors", _pointer(main_data), _fields(granule, granule.preflag), ctypes.c_bool(lsf),
            ctypes.c_bool(intensity_channel), _pointer(values), _pointer(illegal), ctypes.byref(preflag),
        )  # fmt: skip
        return values.tolist(), illegal.astype(bool).tolist(), preflag.value, count

    def requantize(self, lines: Floats, granule: Granule, factors: ScaleFactors, sample_rate: int) -> Floats:
        """Return lines times the gains of their bands."""
        result = aligned(LINES, lines)
        values, _ = _factors(factors)
        self._call(
            "requantize", _fields(granule, factors.preflag), RATES[sample_rate], _pointer(values), _pointer(result)
        )
        return result

    def stereo(
        self,
        left: npt.ArrayLike,
        right: npt.ArrayLike,
        *,
        granule: Granule,
        factors: ScaleFactors,
        sample_rate: int,
        mode_extension: int,
    ) -> tuple[Floats, Floats]:
        """Undo joint stereo. Where it is MS stereo, everything is larger by the root of two, which gains undo."""
        results = aligned(LINES, left), aligned(LINES, right)
        values, illegal = _factors(factors)
        self._call(
            "stereo", _fields(granule, factors.preflag), RATES[sample_rate], ctypes.c_bool(mode_extension & 2 > 0),
            ctypes.c_bool(mode_extension & 1 > 0), _pointer(values), _pointer(illegal), *map(_pointer, results),
        )  # fmt: skip
        return results

    def imdct(
        self, lines: npt.ArrayLike, num_lines: int, granule: Granule, sample_rate: int, overlap: Floats
    ) -> Floats:
        """Return the subband samples of a granule as `(18, 32)`; `overlap`, of as many, is read and written."""
        spectrum, slots = aligned(LINES, lines), aligned(18 * 32)
        self._call(
            "imdct", _fields(granule, granule.preflag), RATES[sample_rate], _pointer(spectrum), num_lines,
            _pointer(overlap), _pointer(slots),
        )  # fmt: skip
        return slots.reshape(18, 32)

    def synthesis(self, slots: npt.ArrayLike) -> Floats:
        """Return the samples of `(slots, 32)` subband samples, from silence on. Slots are a multiple of 24."""
        count = len(np.asarray(slots))
        samples = aligned(32 * count)
        self._call("synthesis", _pointer(aligned(32 * count, slots)), count, _pointer(samples))
        return samples

    def output(self, samples: npt.NDArray[np.float32], dtype: str) -> npt.NDArray:
        """Return samples as a dtype's bits: float32, or integers of 16 bits."""
        result = np.zeros(len(samples), np.float32 if dtype == "float32" else np.int16)
        self._call(
            "output", _pointer(aligned(len(samples) + 8, samples)), _pointer(result), len(samples), DTYPES[dtype]
        )
        return result
