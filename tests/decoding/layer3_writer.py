"""A writer of Layer III bitstreams from given numbers: what is written is valid, and sounds of nothing.

It makes the cases that no file at hand has. There is no psychoacoustics: quantised values, scale factors, block types
and stereo modes are chosen by the caller, or drawn by `layer3_random.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from layer3_main_data import SCFSI_GROUPS, scale_factor_lengths
from layer3_side_info import Granule, granule_fields, layout_bits, region_edges
from layer3_tables import LINBITS, is_lsf, pair_codes, quad_codes

from flowmo_data.tracks.mpeg.headers import Header, parse_header

STEREO, JOINT_STEREO, DUAL_CHANNEL, SINGLE_CHANNEL = range(4)
"""mode"""
INTENSITY, MS = 1, 2
"""mode_extension"""


@dataclass
class Part:
    """What is to be written for one granule and channel."""

    granule: Granule
    factors: list[int]
    """the transmitted scale factors, one for each of `coded_bands`"""
    values: list[int]
    """is[576] in the order of the bitstream"""


@dataclass
class Packet:
    """What is to be written as one packet."""

    parts: list[list[Part]]
    """`[granule][channel]`"""
    mode_extension: int = 0
    scfsi: list[list[int]] = field(default_factory=lambda: [[0] * 4, [0] * 4])
    private_bits: int = 0


@dataclass(frozen=True)
class Format:
    """What the packets of a stream have in common."""

    sample_rate: int
    """Hz"""
    mode: int
    protected: bool = False
    """with a CRC"""
    free_bytes: int = 0
    """length of each packet in free format; 0 for the shortest bitrate that holds a packet's main data"""
    reservoir: bool = True
    """main data may start in packets before"""

    @property
    def channels(self) -> int:
        """1 or 2."""
        return 1 if self.mode == SINGLE_CHANNEL else 2

    @property
    def num_granules(self) -> int:
        """Granules of a packet."""
        return 1 if is_lsf(self.sample_rate) else 2


@cache
def _codes_of_pairs(table_select: int) -> dict[tuple[int, int], str]:
    return {pair: code for code, pair in pair_codes(table_select).items()}


@cache
def _codes_of_quads(count1table_select: int) -> dict[tuple[int, ...], str]:
    return {quad: code for code, quad in quad_codes(count1table_select).items()}


def _signed(value: int) -> str:
    return "" if value == 0 else "1" if value < 0 else "0"


def pair_text(x: int, y: int, table_select: int) -> str:
    """Return the bits of a pair of big values."""
    if table_select == 0:
        assert x == y == 0
        return ""
    linbits, codes = LINBITS[table_select], _codes_of_pairs(table_select)
    most = 15 if linbits else 99
    text = codes[min(abs(x), most), min(abs(y), most)]
    for value in (x, y):
        if linbits and abs(value) >= 15:
            assert abs(value) - 15 < 2**linbits
            text += f"{abs(value) - 15:0{linbits}b}"
        text += _signed(value)
    return text


def quad_text(values: Sequence[int], count1table_select: int) -> str:
    """Return the bits of a quadruple."""
    return _codes_of_quads(count1table_select)[tuple(map(abs, values))] + "".join(map(_signed, values))


def spectrum_text(part: Part, sample_rate: int) -> str:
    """Return the bits of part 3: big_values pairs, then quadruples as far as anything is not 0."""
    granule, values = part.granule, part.values
    edges, text = region_edges(granule, sample_rate), []
    for line in range(0, 2 * granule.big_values, 2):
        table_select = granule.table_select[sum(line >= edge for edge in edges)]
        text.append(pair_text(values[line], values[line + 1], table_select))
    last = max((line for line, value in enumerate(values) if value), default=-1)
    for line in range(2 * granule.big_values, last + 1, 4):
        quad = [*values[line : line + 4], 0, 0][:4]  # the last one may reach past the lines
        text.append(quad_text(quad, granule.count1table_select))
    return "".join(text)


def factors_text(part: Part, fmt: Format, *, scfsi: Sequence[int], intensity_channel: bool) -> str:
    """Return the bits of part 2."""
    lengths, _ = scale_factor_lengths(part.granule, fmt.sample_rate, intensity_channel=intensity_channel)
    shared = {band for flag, group in zip(scfsi, SCFSI_GROUPS, strict=True) if flag for band in range(*group)}
    return "".join(
        f"{factor:0{length}b}" if length else ""
        for band, (factor, length) in enumerate(zip(part.factors, lengths, strict=True))
        if band not in shared
    )


def main_data_text(packet: Packet, fmt: Format) -> str:
    """Return the bits of a packet's main data, and note their lengths in its side information."""
    text = ""
    for number, parts in enumerate(packet.parts):
        for channel, part in enumerate(parts):
            scfsi = packet.scfsi[channel] if number else [0] * 4
            intensity_channel = bool(packet.mode_extension & INTENSITY) and channel == 1
            bits = factors_text(part, fmt, scfsi=scfsi, intensity_channel=intensity_channel)
            bits += spectrum_text(part, fmt.sample_rate)
            part.granule.part2_3_length = len(bits)
            text += bits
    return text


def side_info_text(packet: Packet, fmt: Format, main_data_begin: int) -> str:
    """Return the bits of the side information."""
    lsf = is_lsf(fmt.sample_rate)
    begin_bits, private_bits = layout_bits(lsf, fmt.channels)
    text = f"{main_data_begin:0{begin_bits}b}{packet.private_bits:0{private_bits}b}"
    if not lsf:
        text += "".join(str(flag) for channel in range(fmt.channels) for flag in packet.scfsi[channel])
    for parts in packet.parts:
        for part in parts:
            for name, index, count in granule_fields(part.granule, lsf):
                value = getattr(part.granule, name)
                text += f"{value if index is None else value[index]:0{count}b}"
    return text


def as_bytes(text: str) -> bytes:
    """Return bits as bytes, with zeros to the end of the last."""
    text += "0" * (-len(text) % 8)
    return int(text or "0", 2).to_bytes(len(text) // 8, "big")


def crc(data: bytes) -> int:
    """Return the CRC-16 of clause 2.4.3.1: of the last two bytes of the header, and of the side information."""
    register = 0xFFFF
    for bit in "".join(f"{byte:08b}" for byte in data):
        register = register << 1 ^ (0x8005 if register >> 15 != int(bit) else 0)
        register &= 0xFFFF
    return register


def header_bytes(fmt: Format, bitrate_index: int, mode_extension: int) -> bytes:
    """Return the four bytes of a header."""
    rates = ((44_100, 48_000, 32_000), (22_050, 24_000, 16_000), (11_025, 12_000, 8_000))
    (family,) = (number for number, row in enumerate(rates) if fmt.sample_rate in row)
    second = 0xE0 | (0x18, 0x10, 0x00)[family] | 0x02 | (not fmt.protected)
    third = bitrate_index << 4 | rates[family].index(fmt.sample_rate) << 2
    return bytes((0xFF, second, third, fmt.mode << 6 | mode_extension << 4))


def _header(fmt: Format, bitrate_index: int) -> Header:
    header = parse_header(header_bytes(fmt, bitrate_index, 0))
    assert header is not None
    return header


def longest_main_data(fmt: Format) -> int:
    """Return the bytes of main data that a packet holds at most."""
    header = _header(fmt, 0 if fmt.free_bytes else 14)
    return (fmt.free_bytes or header.packet_bytes) - header.main_data_offset


def write_packets(packets: Sequence[Packet], fmt: Format) -> list[bytes]:
    """Write packets, each of the lowest bitrate that holds its main data.

    Main data follow one another without a gap, except where more would lie in the reservoir than main_data_begin can
    tell.
    """
    stream = bytearray()  # main data of all packets
    begins, sizes, indices = [], [], []
    room = 0  # bytes of main data in the packets so far
    for packet in packets:
        data = as_bytes(main_data_text(packet, fmt))
        limit = _header(fmt, 1).reservoir_bytes if fmt.reservoir else 0
        begin = max(len(stream), room - limit)
        stream += bytes(begin - len(stream)) + data
        begins.append(room - begin)
        for index in [0] if fmt.free_bytes else range(1, 15):
            header = _header(fmt, index)
            size = (fmt.free_bytes or header.packet_bytes) - header.main_data_offset
            if size >= 0 and room + size >= len(stream):
                break
        else:
            raise ValueError(f"{len(data)} bytes of main data do not fit into a packet")
        indices.append(index)
        sizes.append(size)
        room += size
    stream += bytes(room - len(stream))
    written, pos = [], 0
    for packet, begin, size, index in zip(packets, begins, sizes, indices, strict=True):
        header = header_bytes(fmt, index, packet.mode_extension)
        side = as_bytes(side_info_text(packet, fmt, begin))
        check = crc(header[2:] + side).to_bytes(2, "big") if fmt.protected else b""
        written.append(header + check + side + bytes(stream[pos : pos + size]))
        pos += size
    return written
