"""Layer III main data: scale factors and Huffman codes (ISO/IEC 11172-3 clause 2.4.1.7, 13818-3 clause 2.4.3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from layer3_side_info import Bits, Granule, RefusedError, coded_bands, region_edges
from layer3_tables import LINBITS, LINES, LSF_BANDS, SLEN, is_lsf, pair_codes, quad_codes

SCFSI_GROUPS = ((0, 6), (6, 11), (11, 16), (16, 21))
"""long bands that each bit of scfsi stands for"""


@dataclass
class ScaleFactors:
    """The scale factors of one granule and channel, one for each of `coded_bands`."""

    values: list[int]
    """those of the uppermost bands are not transmitted and 0"""
    illegal: list[bool]
    """whether the value, read as an intensity position, says that the band is not coded in intensity stereo"""
    preflag: int
    num_coded: int
    """those that are transmitted"""


def scale_factor_lengths(
    granule: Granule, sample_rate: int, *, intensity_channel: bool = False
) -> tuple[list[int], int]:
    """Return the bits of each transmitted scale factor, and preflag.

    Args:
        granule: its side information.
        sample_rate: Hz.
        intensity_channel: it is the right channel of a packet in intensity stereo.
    """
    if not is_lsf(sample_rate):
        slen1, slen2 = SLEN[granule.scalefac_compress]
        first, second = ((11, 10), (18, 18), (17, 18))[granule.layout]
        return [slen1] * first + [slen2] * second, granule.preflag
    value = granule.scalefac_compress
    if intensity_channel:  # 13818-3 clause 2.4.3.2, intensity_scale is the lowest bit
        value >>= 1
        if value < 180:
            kind, slen = 3, (value // 36, value % 36 // 6, value % 36 % 6, 0)
        elif value < 244:
            kind, slen = 4, ((value - 180) % 64 >> 4, (value - 180) % 16 >> 2, (value - 180) % 4, 0)
        else:
            kind, slen = 5, ((value - 244) // 3, (value - 244) % 3, 0, 0)
    elif value < 400:
        kind, slen = 0, ((value >> 4) // 5, (value >> 4) % 5, value % 16 >> 2, value % 4)
    elif value < 500:
        kind, slen = 1, ((value - 400 >> 2) // 5, (value - 400 >> 2) % 5, (value - 400) % 4, 0)
    else:
        kind, slen = 2, ((value - 500) // 3, (value - 500) % 3, 0, 0)
    counts = LSF_BANDS[kind][granule.layout]
    return [bits for bits, count in zip(slen, counts, strict=True) for _ in range(count)], int(kind == 2)


def read_scale_factors(
    bits: Bits,
    granule: Granule,
    sample_rate: int,
    *,
    scfsi: list[int],
    before: ScaleFactors | None = None,
    intensity_channel: bool = False,
) -> ScaleFactors:
    """Read part 2 of a granule and channel.

    Args:
        bits: where it starts.
        granule: its side information.
        sample_rate: Hz.
        scfsi: four bits, zeros in the first granule.
        before: the first granule's scale factors.
        intensity_channel: it is the right channel of a packet in intensity stereo.
    """
    lengths, preflag = scale_factor_lengths(granule, sample_rate, intensity_channel=intensity_channel)
    shared = set[int]()
    if before is not None and granule.layout == 0:
        shared = {band for flag, group in zip(scfsi, SCFSI_GROUPS, strict=True) if flag for band in range(*group)}
    values, illegal = [], []
    for band, length in enumerate(lengths):
        value = before.values[band] if before is not None and band in shared else bits.read(length)
        values.append(value)
        # MPEG-1: 7; what is above has no meaning. LSF: the largest of its length, and none where it has no bits.
        illegal.append(length > 0 and value == 2**length - 1 if is_lsf(sample_rate) else value >= 7)
    num_missing = len(coded_bands(granule, sample_rate)) - len(values)
    return ScaleFactors(values + [0] * num_missing, illegal + [False] * num_missing, preflag, len(values))


def read_code(bits: Bits, codes: dict) -> tuple[int, ...]:
    """Read bits one by one until they are a code."""
    for length in range(1, 20):
        symbol = codes.get(bits.text[bits.pos : bits.pos + length])
        if symbol is not None:
            bits.pos += length
            return symbol
    raise RefusedError("no code")


def read_pair(bits: Bits, table_select: int) -> tuple[int, int]:
    """Read a pair of big values: its code, then for each value its linbits and its sign."""
    if table_select in {0, 4, 14}:  # 4 and 14 do not exist; decoders take them for 0
        return 0, 0
    pair, linbits = [], LINBITS[table_select]
    for value in read_code(bits, pair_codes(table_select)):
        if linbits and value == 15:
            value += bits.read(linbits)
        pair.append(-value if value and bits.read(1) else value)
    return pair[0], pair[1]


def read_quadruple(bits: Bits, count1table_select: int) -> list[int]:
    """Read four values of at most 1: their code, then their signs."""
    return [-1 if value and bits.read(1) else value for value in read_code(bits, quad_codes(count1table_select))]


def read_spectrum(bits: Bits, granule: Granule, sample_rate: int, end: int) -> npt.NDArray[np.int64]:
    """Read part 3 of a granule and channel, which ends before bit `end`.

    Returns:
        is[576] in the order of the bitstream (huffmancodebits()).

    Raises:
        RefusedError: the big values go on past the end.
    """
    spectrum = np.zeros(LINES, np.int64)
    edges, line = region_edges(granule, sample_rate), 0
    while line < 2 * granule.big_values:
        region = sum(line >= edge for edge in edges)
        spectrum[line : line + 2] = read_pair(bits, granule.table_select[region])
        line += 2
    if bits.pos > end:
        raise RefusedError("big values past the end")
    while bits.pos < end and line < LINES:
        try:
            values = read_quadruple(bits, granule.count1table_select)
        except RefusedError:  # the last bits are stuffing
            break
        if bits.pos > end:  # what is left is no whole quadruple
            break
        spectrum[line : line + 4] = values[: LINES - line]  # big_values may be odd
        line += 4
    bits.pos = end
    return spectrum
