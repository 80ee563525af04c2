"""From a spectrum to samples: ISO/IEC 11172-3 clauses 2.4.3.4.10 and 2.4.3.2.2 by their formulas, in float64."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from layer3_side_info import Granule
from layer3_tables import ALIAS_C, synthesis_window

Array = npt.NDArray[np.float64]

SUBBANDS = 32
SLOTS = 18
"""samples of a subband in a granule"""


def num_long_subbands(granule: Granule, sample_rate: int) -> int:
    """Return how many of the lowest subbands have long, normal windows because of mixed_block_flag: 4 at 8 kHz."""
    if not (granule.window_switching_flag and granule.mixed_block_flag):
        return 0
    return 4 if sample_rate == 8_000 else 2


def reduce_aliases(spectrum: Array, granule: Granule, sample_rate: int) -> Array:
    """Apply the butterflies between neighbouring subbands, where both are long (clause 2.4.3.4.10.1)."""
    lines = spectrum.copy()
    num_edges = SUBBANDS - 1
    if granule.block_type == 2:
        num_edges = max(num_long_subbands(granule, sample_rate) - 1, 0)
    for edge in range(SLOTS, SLOTS * num_edges + 1, SLOTS):
        for i, c in enumerate(ALIAS_C):
            cs, ca = 1 / np.sqrt(1 + c**2), c / np.sqrt(1 + c**2)
            below, above = lines[edge - 1 - i], lines[edge + i]
            lines[edge - 1 - i], lines[edge + i] = below * cs - above * ca, above * cs + below * ca
    return lines


@cache
def imdct_matrix(n: int) -> Array:
    """Return the IMDCT from n/2 lines to n samples (clause 2.4.3.4.10.2)."""
    i, k = np.arange(n)[:, None], np.arange(n // 2)
    return np.cos(np.pi / (2 * n) * (2 * i + 1 + n // 2) * (2 * k + 1))


@cache
def window(block_type: int) -> Array:
    """Return the window of a block type (clause 2.4.3.4.10.3): 36 samples, or 12 for short blocks."""
    i = np.arange(36)
    long, short = np.sin(np.pi / 36 * (i + 0.5)), np.sin(np.pi / 12 * (np.arange(12) + 0.5))
    if block_type == 0:
        return long
    if block_type == 1:
        return np.concatenate([long[:18], np.ones(6), short[6:], np.zeros(6)])
    if block_type == 3:
        return np.concatenate([np.zeros(6), short[:6], np.ones(6), long[18:]])
    return short


def windowed_block(lines: Array, block_type: int) -> Array:
    """Return the 36 windowed samples of the 18 lines of a subband."""
    if block_type != 2:
        return imdct_matrix(36) @ lines * window(block_type)
    samples = np.zeros(36)
    for w in range(3):
        samples[6 + 6 * w : 18 + 6 * w] += imdct_matrix(12) @ lines[w::3] * window(2)
    return samples


def hybrid(spectrum: Array, granule: Granule, sample_rate: int, overlap: Array) -> tuple[Array, Array]:
    """Return the subband samples of a granule (clauses 2.4.3.4.10.2 to 2.4.3.4.10.5).

    Args:
        spectrum: xr[576] after reordering and alias reduction.
        granule: its side information.
        sample_rate: Hz.
        overlap: what the granule before left, of the shape (18, 32).

    Returns:
        Subband samples of the shape (18, 32), frequency inversion applied, and what the next granule adds.
    """
    blocks = np.empty((36, SUBBANDS))
    for subband in range(SUBBANDS):
        is_long = subband < num_long_subbands(granule, sample_rate)
        lines = spectrum[SLOTS * subband : SLOTS * (subband + 1)]
        blocks[:, subband] = windowed_block(lines, 0 if is_long else granule.block_type)
    samples = blocks[:SLOTS] + overlap
    samples[1::2, 1::2] *= -1
    return samples, blocks[SLOTS:]


def synthesize(subbands: Array, before: Array) -> Array:
    """Return the samples of some slots of subband samples (clause 2.4.3.2.2, figure A.2).

    Args:
        subbands: S, of the shape (slots, 32).
        before: the 15 slots before them, as (15, 32).

    Returns:
        32 samples for each slot, one after the other.
    """
    i, k = np.arange(64)[:, None], np.arange(SUBBANDS)
    matrix = np.cos((16 + i) * (2 * k + 1) * np.pi / 64)
    vectors = np.concatenate([before, subbands]) @ matrix.T  # V of each slot, 64 values
    newest, num_slots = len(before), len(subbands)
    d = synthesis_window()
    out = np.zeros((num_slots, 32))
    for age in range(16):  # U takes the first half of V for even ages, the last 32 values for odd ones
        half = slice(32, 64) if age % 2 else slice(0, 32)
        out += vectors[newest - age : newest - age + num_slots, half] * d[32 * age : 32 * age + 32]
    return out.ravel()
