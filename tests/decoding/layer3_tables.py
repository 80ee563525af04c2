"""The numbers of ISO/IEC 11172-3 and 13818-3 that Layer III needs, for the reference decoder and the bitstream writer.

Band edges are those of table B.8 and of 13818-3 table B.2; MPEG-2.5's are Fraunhofer's. Codes and window lie in
`tests/data/layer3`.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

DATA = Path(__file__).parents[1] / "data" / "layer3"

LINES = 576
"""frequency lines of a granule and channel"""

_LONG_16000 = (6, 6, 6, 6, 6, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 38, 46, 52, 60, 68, 58, 54)
_SHORT_16000 = (4, 4, 4, 6, 8, 10, 12, 14, 18, 24, 30, 40, 18)
LONG_WIDTHS = {  # Hz -> width in lines of the scale factor bands 0 to 21
    44_100: (4, 4, 4, 4, 4, 4, 6, 6, 8, 8, 10, 12, 16, 20, 24, 28, 34, 42, 50, 54, 76, 158),
    48_000: (4, 4, 4, 4, 4, 4, 6, 6, 6, 8, 10, 12, 16, 18, 22, 28, 34, 40, 46, 54, 54, 192),
    32_000: (4, 4, 4, 4, 4, 4, 6, 6, 8, 10, 12, 16, 20, 24, 30, 38, 46, 56, 68, 84, 102, 26),
    22_050: _LONG_16000,
    24_000: (6, 6, 6, 6, 6, 6, 8, 10, 12, 14, 16, 18, 22, 26, 32, 38, 46, 54, 62, 70, 76, 36),
    16_000: _LONG_16000,
    11_025: _LONG_16000,
    12_000: _LONG_16000,
    8_000: (12, 12, 12, 12, 12, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 76, 90, 2, 2, 2, 2, 2),
}
SHORT_WIDTHS = {  # Hz -> width in lines of each of the three windows, for the bands 0 to 12
    44_100: (4, 4, 4, 4, 6, 8, 10, 12, 14, 18, 22, 30, 56),
    48_000: (4, 4, 4, 4, 6, 6, 10, 12, 14, 16, 20, 26, 66),
    32_000: (4, 4, 4, 4, 6, 8, 12, 16, 20, 26, 34, 42, 12),
    22_050: (4, 4, 4, 6, 6, 8, 10, 14, 18, 26, 32, 42, 18),
    24_000: (4, 4, 4, 6, 8, 10, 12, 14, 18, 24, 32, 44, 12),
    16_000: _SHORT_16000,
    11_025: _SHORT_16000,
    12_000: _SHORT_16000,
    8_000: (8, 8, 8, 12, 16, 20, 24, 28, 36, 2, 2, 2, 26),
}
SAMPLE_RATES = tuple(LONG_WIDTHS)

PRETAB = (0,) * 11 + (1, 1, 1, 1, 2, 2, 3, 3, 3, 2, 0)  # table B.6
SLEN = tuple(  # scalefac_compress -> slen1, slen2 (clause 2.4.2.7)
    zip((0, 0, 0, 0, 3, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4), (0, 1, 2, 3, 0, 1, 2, 3, 1, 2, 3, 1, 2, 3, 2, 3), strict=True)
)
LSF_BANDS = (  # 13818-3 clause 2.4.3.2: scale factors with slen1 to slen4, for long, short and mixed blocks
    ((6, 5, 5, 5), (9, 9, 9, 9), (6, 9, 9, 9)),
    ((6, 5, 7, 3), (9, 9, 12, 6), (6, 9, 12, 6)),
    ((11, 10, 0, 0), (18, 18, 0, 0), (15, 18, 0, 0)),
    ((7, 7, 7, 0), (12, 12, 12, 0), (6, 15, 12, 0)),
    ((6, 6, 6, 3), (12, 9, 9, 6), (6, 12, 9, 6)),
    ((8, 8, 5, 0), (15, 12, 9, 0), (6, 18, 9, 0)),
)
LINBITS = (0,) * 16 + (1, 2, 3, 4, 6, 8, 10, 13, 4, 5, 6, 7, 8, 9, 11, 13)  # table B.7, by table_select

ALIAS_C = (-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037)  # table B.9


def is_lsf(sample_rate: int) -> bool:
    """Whether a sample rate in Hz is one of the low sampling frequencies: MPEG-2's and MPEG-2.5's."""
    return sample_rate < 32_000


@cache
def long_edges(sample_rate: int) -> tuple[int, ...]:
    """First line of each long scale factor band, and 576."""
    return tuple(accumulate(LONG_WIDTHS[sample_rate], initial=0))


@cache
def short_edges(sample_rate: int) -> tuple[int, ...]:
    """First line of each short scale factor band in its window, and 192."""
    return tuple(accumulate(SHORT_WIDTHS[sample_rate], initial=0))


@cache
def _codes() -> dict[str, tuple[int, list[str]]]:
    """Table name -> its size and its codes."""
    tables: dict[str, tuple[int, list[str]]] = {}
    for line in (DATA / "huffman_codes.txt").read_text().splitlines():
        if line.startswith("table"):
            _, name, size = line.split()
            tables[name] = int(size), []
        elif not line.startswith("#"):
            tables[name][1].extend(line.split())
    return tables


@cache
def pair_codes(table_select: int) -> dict[str, tuple[int, int]]:
    """Code -> (x, y) of a table of pairs, without linbits and signs; empty where there is no such table."""
    name = str(table_select if table_select < 16 else 16 if table_select < 24 else 24)
    size, codes = _codes().get(name, (0, []))
    return {code: divmod(index, size) for index, code in enumerate(codes)}


@cache
def quad_codes(count1table_select: int) -> dict[str, tuple[int, int, int, int]]:
    """Code -> (v, w, x, y) of a table of quadruples, without signs."""
    codes = _codes()["AB"[count1table_select]][1]
    return {code: (n >> 3 & 1, n >> 2 & 1, n >> 1 & 1, n & 1) for n, code in enumerate(codes)}


@cache
def synthesis_window() -> npt.NDArray[np.float64]:
    """The 512 coefficients D[i] of table B.3."""
    lines = (DATA / "synthesis_window.txt").read_text().splitlines()
    half = [int(number) for line in lines if not line.startswith("#") for number in line.split()]
    mirrored = [half[i] if i % 64 == 0 else -half[i] for i in range(255, 0, -1)]
    return np.array(half + mirrored) / 65_536
