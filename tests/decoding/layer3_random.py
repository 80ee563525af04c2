"""Random packets for `layer3_writer.py`: every block type, table, stereo mode and sample rate."""

from __future__ import annotations

import numpy as np
from layer3_main_data import SCFSI_GROUPS, scale_factor_lengths
from layer3_side_info import Granule, region_edges
from layer3_tables import LINBITS, LINES, is_lsf, pair_codes
from layer3_writer import INTENSITY, Format, Packet, Part, longest_main_data, spectrum_text, write_packets

BLOCKS = {  # name -> window_switching_flag, block_type, mixed_block_flag
    "long": (0, 0, 0),
    "start": (1, 1, 0),
    "short": (1, 2, 0),
    "mixed": (1, 2, 1),
    "stop": (1, 3, 0),
    "start mixed": (1, 1, 1),
    "stop mixed": (1, 3, 1),
}
TABLES = [table for table in range(32) if table not in {4, 14}]
MOST_BITS = 4_095
"""part2_3_length"""


def largest_value(table_select: int) -> int:
    """Return the largest value that a table can code."""
    if LINBITS[table_select]:
        return 14 + 2 ** LINBITS[table_select]
    return max((max(pair) for pair in pair_codes(table_select).values()), default=0)


def random_granule(draw: np.random.Generator, fmt: Format, block: str, *, tables: list[int] = TABLES) -> Granule:
    """Draw side information, but for the gain and what the values decide."""
    granule = Granule()
    granule.window_switching_flag, granule.block_type, granule.mixed_block_flag = BLOCKS[block]
    lsf = is_lsf(fmt.sample_rate)
    granule.scalefac_compress = int(draw.integers(512 if lsf else 16))
    granule.table_select = [int(table) for table in draw.choice(tables, 3)]
    if granule.window_switching_flag:
        granule.table_select[2] = 0
        granule.subblock_gain = draw.integers(0, 8, 3).tolist()
    else:
        granule.region0_count, granule.region1_count = int(draw.integers(16)), int(draw.integers(8))
        while granule.region0_count + granule.region1_count > 20:
            granule.region1_count -= 1
    granule.preflag = 0 if lsf or granule.block_type == 2 else int(draw.integers(2))
    granule.scalefac_scale, granule.count1table_select = draw.integers(0, 2, 2).tolist()
    return granule


def random_values(draw: np.random.Generator, granule: Granule, sample_rate: int, *, num_lines: int) -> list[int]:
    """Draw values for `num_lines` lines at most, and set big_values."""
    num_big = int(draw.integers(0, num_lines // 2 + 1))
    granule.big_values = num_big
    values, edges = np.zeros(LINES, np.int64), (0, *region_edges(granule, sample_rate), LINES)
    for region, table_select in enumerate(granule.table_select):
        lines = slice(min(edges[region], 2 * num_big), min(edges[region + 1], 2 * num_big))
        largest = largest_value(table_select)
        most = draw.integers(1, largest, endpoint=True) if largest and draw.integers(2) else largest
        count = max(lines.stop - lines.start, 0)
        values[lines] = np.round(most * draw.uniform(-1, 1, count) ** draw.choice([1, 3, 9]))
    last = 2 * num_big + int(draw.integers(0, -(-(num_lines - 2 * num_big) // 4), endpoint=True)) * 4
    last = min(last, LINES)  # where big_values is odd, half of the last quadruple is behind the lines
    values[2 * num_big : last] = draw.integers(-1, 2, last - 2 * num_big)
    return values.tolist()


def random_part(
    draw: np.random.Generator,
    fmt: Format,
    block: str,
    *,
    most_bits: int = MOST_BITS,
    intensity_channel: bool = False,
    tables: list[int] = TABLES,
) -> Part:
    """Draw a granule and channel that takes at most `most_bits`."""
    granule = random_granule(draw, fmt, block, tables=tables)
    lengths, _ = scale_factor_lengths(granule, fmt.sample_rate, intensity_channel=intensity_channel)
    factors = [int(draw.integers(2**length)) for length in lengths]
    num_lines = int(draw.integers(0, LINES // (4 if intensity_channel else 1), endpoint=True))
    while True:
        part = Part(granule, factors, random_values(draw, granule, fmt.sample_rate, num_lines=num_lines))
        if sum(lengths) + len(spectrum_text(part, fmt.sample_rate)) <= most_bits:
            break
        num_lines = num_lines * 3 // 4
    energy = max(sum(abs(value) ** (8 / 3) for value in part.values), 1e-9)
    granule.global_gain = int(np.clip(210 - 2 * np.log2(energy) - draw.uniform(0, 16), 0, 255))  # at most full scale
    return part


def random_packet(draw: np.random.Generator, fmt: Format, blocks: list[list[str]], mode_extension: int = 0) -> Packet:
    """Draw a packet.

    Args:
        draw: a generator.
        fmt: the stream's format.
        blocks: names of `BLOCKS`, `[granule][channel]`.
        mode_extension: of joint stereo.
    """
    room = longest_main_data(fmt) * 8 // (fmt.num_granules * fmt.channels)
    most_bits = min(room, MOST_BITS)
    parts = [
        [
            random_part(
                draw, fmt, block, most_bits=most_bits,
                intensity_channel=bool(mode_extension & INTENSITY) and channel == 1,
            )
            for channel, block in enumerate(row)
        ]
        for row in blocks
    ]  # fmt: skip
    packet = Packet(parts, mode_extension)
    for channel in range(fmt.channels):
        if fmt.num_granules == 2 and all(row[channel].granule.layout == 0 for row in parts):
            _share_factors(draw, packet, channel)
    return packet


def _share_factors(draw: np.random.Generator, packet: Packet, channel: int) -> None:
    """Let the second granule take some of its scale factors from the first (scfsi)."""
    packet.scfsi[channel] = draw.integers(0, 2, 4).tolist()
    first, second = (row[channel].factors for row in packet.parts)
    for flag, group in zip(packet.scfsi[channel], SCFSI_GROUPS, strict=True):
        if flag:
            second[slice(*group)] = first[slice(*group)]


FOLLOWING = {  # blocks -> those whose windows fit behind them
    "long": ["long", "start", "start mixed"],
    "start": ["short"],
    "start mixed": ["mixed"],
    "short": ["short", "stop"],
    "mixed": ["mixed", "stop mixed"],
    "stop": ["long", "start", "start mixed"],
    "stop mixed": ["long", "start", "start mixed"],
}


def random_blocks(draw: np.random.Generator, count: int, *, fitting: bool, mixed: bool) -> list[str]:
    """Draw the blocks of `count` granules, from a long one on.

    Args:
        draw: a generator.
        count: how many.
        fitting: their windows cancel each other's aliasing, as those of an encoder do.
        mixed: there are mixed blocks.
    """
    blocks = ["long"]
    for _ in range(count):
        choice = FOLLOWING[blocks[-1]] if fitting else list(BLOCKS)
        blocks.append(str(draw.choice([block for block in choice if mixed or "mixed" not in block])))
    return blocks[1:]


def random_stream(
    seed: int,
    fmt: Format,
    *,
    num_packets: int = 5,
    mode_extension: int = 0,
    fitting: bool = True,
    mixed: bool = True,
    same_blocks: bool = True,
    private_bits: int = 0,
    global_gain: int | None = None,
) -> list[bytes]:
    """Return random packets of one stream.

    Args:
        seed: of everything random.
        fmt: the stream's format.
        num_packets: how many.
        mode_extension: of joint stereo, the same for all.
        fitting: see `random_blocks`.
        mixed: see `random_blocks`.
        same_blocks: both channels have the same block types.
        private_bits: of every packet.
        global_gain: of every granule, however loud; without it, granules stay within full scale.
    """
    draw = np.random.default_rng(seed)
    count = num_packets * fmt.num_granules
    sequences = [random_blocks(draw, count, fitting=fitting, mixed=mixed) for _ in range(fmt.channels)]
    if same_blocks:
        sequences = sequences[:1] * fmt.channels
    rows = [list(row) for row in zip(*sequences, strict=True)]
    packets = []
    for number in range(num_packets):
        of_packet = rows[number * fmt.num_granules :][: fmt.num_granules]
        packets.append(random_packet(draw, fmt, of_packet, mode_extension))
        packets[-1].private_bits = private_bits
        for part in (part for row in packets[-1].parts for part in row if global_gain is not None):
            part.granule.global_gain = global_gain
    return write_packets(packets, fmt)
