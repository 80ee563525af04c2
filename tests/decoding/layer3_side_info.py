"""Layer III side information, field by field: ISO/IEC 11172-3 clauses 2.4.1.7 and 2.4.2.7, 13818-3 clause 2.4.1.7."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from layer3_tables import LINES, is_lsf, long_edges, short_edges


class RefusedError(Exception):
    """A packet that cannot be decoded."""


class Bits:
    """A bitstream as a string of 0 and 1, and the place in it."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.pos = 0

    def read(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        if self.pos + count > len(self.text):
            raise RefusedError("a field past the end of the data")
        self.pos += count
        return int(self.text[self.pos - count : self.pos] or "0", 2)


@dataclass
class Granule:
    """The side information of one granule and channel."""

    part2_3_length: int = 0
    big_values: int = 0
    global_gain: int = 210
    scalefac_compress: int = 0
    window_switching_flag: int = 0
    block_type: int = 0
    mixed_block_flag: int = 0
    table_select: list[int] = field(default_factory=lambda: [0, 0, 0])
    subblock_gain: list[int] = field(default_factory=lambda: [0, 0, 0])
    region0_count: int = 0
    region1_count: int = 0
    preflag: int = 0
    scalefac_scale: int = 0
    count1table_select: int = 0

    @property
    def layout(self) -> int:
        """0 for long bands, 1 for short ones, 2 for long ones below short ones."""
        return 1 + self.mixed_block_flag if self.block_type == 2 else 0


@dataclass
class SideInfo:
    """The side information of one packet."""

    main_data_begin: int
    scfsi: list[list[int]]
    """`[channel][group of bands]`"""
    granules: list[list[Granule]]
    """`[granule][channel]`"""
    private_bits: int = 0


def granule_fields(granule: Granule, lsf: bool) -> Iterator[tuple[str, int | None, int]]:
    """Yield (field, index in it or None, bits) in the order of the bitstream; the flag decides what comes after it."""
    yield "part2_3_length", None, 12
    yield "big_values", None, 9
    yield "global_gain", None, 8
    yield "scalefac_compress", None, 9 if lsf else 4
    yield "window_switching_flag", None, 1
    if granule.window_switching_flag:
        yield "block_type", None, 2
        yield "mixed_block_flag", None, 1
        yield from (("table_select", region, 5) for region in range(2))
        yield from (("subblock_gain", window, 3) for window in range(3))
    else:
        yield from (("table_select", region, 5) for region in range(3))
        yield "region0_count", None, 4
        yield "region1_count", None, 3
    if not lsf:
        yield "preflag", None, 1
    yield "scalefac_scale", None, 1
    yield "count1table_select", None, 1


def layout_bits(lsf: bool, channels: int) -> tuple[int, int]:
    """Return the bits of main_data_begin and of private_bits."""
    if lsf:
        return 8, 1 if channels == 1 else 2
    return 9, 5 if channels == 1 else 3


def read_side_info(data: bytes, sample_rate: int, channels: int) -> SideInfo:
    """Read side information.

    Raises:
        RefusedError: a field has a value that the standard does not allow.
    """
    bits, lsf = Bits(data), is_lsf(sample_rate)
    begin_bits, private = layout_bits(lsf, channels)
    main_data_begin, private_bits = bits.read(begin_bits), bits.read(private)
    scfsi = [[0 if lsf else bits.read(1) for _ in range(4)] for _ in range(channels)]
    granules = [[read_granule(bits, lsf) for _ in range(channels)] for _ in range(1 if lsf else 2)]
    return SideInfo(main_data_begin, scfsi, granules, private_bits)


def read_granule(bits: Bits, lsf: bool) -> Granule:
    """Read the side information of one granule and channel."""
    granule = Granule()
    for name, index, count in granule_fields(granule, lsf):
        value = bits.read(count)
        if index is None:
            setattr(granule, name, value)
        else:
            getattr(granule, name)[index] = value
    if granule.big_values > LINES // 2:
        raise RefusedError(f"big_values is {granule.big_values}")
    if granule.window_switching_flag and granule.block_type == 0:
        raise RefusedError("block_type 0 is reserved where windows are switched")
    return granule


def region_edges(granule: Granule, sample_rate: int) -> tuple[int, int]:
    """Return the lines at which table_select[1] and table_select[2] begin (region0_count, region1_count).

    Where windows are switched there are two regions. The first has 36 lines for short blocks, mixed or not, and eight
    long bands for the others. At 8 kHz, where bands are twice as wide, it has 72 lines for short blocks.
    """
    edges = long_edges(sample_rate)
    if granule.block_type == 2:
        return 3 * short_edges(sample_rate)[3], LINES
    if granule.window_switching_flag:
        return edges[8], LINES
    first = granule.region0_count + 1
    return edges[first], edges[min(first + granule.region1_count + 1, 22)]


@dataclass(frozen=True)
class Band:
    """A scale factor band, or one window of it, as the lines `[start, stop)` in the order of the bitstream."""

    start: int
    stop: int
    sfb: int
    """number of the scale factor band"""
    window: int | None
    """0 to 2 in short blocks"""


def coded_bands(granule: Granule, sample_rate: int) -> list[Band]:
    """Return the bands of a granule in the order of the bitstream: short ones band by band, window by window.

    Mixed blocks have the long bands below line 36 (72 at 8 kHz), and the short ones from band 3 on.
    """
    long, short = long_edges(sample_rate), short_edges(sample_rate)
    num_long = (22, 0, 6 if is_lsf(sample_rate) else 8)[granule.layout]
    bands = [Band(long[sfb], long[sfb + 1], sfb, None) for sfb in range(num_long)]
    if granule.layout == 0:
        return bands
    for sfb in range(3 if granule.mixed_block_flag else 0, 13):
        width = short[sfb + 1] - short[sfb]
        for window in range(3):
            start = 3 * short[sfb] + window * width
            bands.append(Band(start, start + width, sfb, window))
    return bands
