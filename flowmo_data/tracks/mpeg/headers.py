"""The four-byte header of an MPEG audio packet: its fields, and the length of its packet.

The standard calls a packet a frame (ISO/IEC 11172-3, clause 2.4.1.3); here a frame is a training example.
Field names come from clause 2.4.2.3. MPEG-2 is ISO/IEC 13818-3; MPEG-2.5 is Fraunhofer's extension of it.

    byte 0     1            2              3
    11111111   111vvllp     bbbbrrPx       mm......
    syncword   version      bitrate_index  mode (3: single channel)
               layer        sampling_frequency
               protection   padding_bit, private_bit
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 4
LONGEST_FREE_PACKET = 4_608
"""bytes; free format sets no limit: this is 1,411 kbit/s at 44.1 kHz. With a bitrate, 1,729 is the longest"""

FREE_FORMAT = 1
"""value in `packet_lengths` if bitrate_index is 0: the header does not give the length"""

_BITRATES = {  # (MPEG-1?, layer) -> kbit/s by bitrate_index, clause 2.4.2.3 and 13818-3 clause 2.4.2.3
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {  # ID bits (with 2.5's) -> Hz by sampling_frequency
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_LAYERS = {3: 1, 2: 2, 1: 3}


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a packet's header. Made by `parse_header`."""

    version: int
    """1 for MPEG-1, 2 for MPEG-2 and MPEG-2.5 (the low sampling rates)"""
    layer: int
    """1, 2 or 3"""
    protected: bool
    """True if a 16-bit CRC follows the header"""
    bitrate: int
    """kbit/s; 0 for free format"""
    sample_rate: int
    """Hz"""
    padding: int
    """bytes that padding_bit adds to this packet"""
    channels: int
    """1 or 2"""

    @property
    def samples_per_packet(self) -> int:
        """Samples per channel that a packet decodes to: 384, 576 or 1,152."""
        return {1: 384, 2: 1_152, 3: 1_152 if self.version == 1 else 576}[self.layer]

    @property
    def packet_bytes(self) -> int:
        """Length of the packet with its header, in bytes; 0 for free format (clause 2.4.3.1)."""
        if not self.bitrate:
            return 0
        if self.layer == 1:
            return 12_000 * self.bitrate // self.sample_rate * 4 + self.padding
        return self.samples_per_packet // 8 * 1_000 * self.bitrate // self.sample_rate + self.padding

    @property
    def side_info_bytes(self) -> int:
        """Length of Layer III's side information (clause 2.4.1.7); 0 for the other layers."""
        if self.layer != 3:
            return 0
        if self.version == 1:
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17

    @property
    def main_data_offset(self) -> int:
        """Bytes of a packet before its main data: header, CRC, side information."""
        return HEADER_BYTES + 2 * self.protected + self.side_info_bytes

    @property
    def reservoir_bytes(self) -> int:
        """Largest possible main_data_begin, in bytes: it has 9 bits, or 8 for the low sampling rates."""
        if self.layer != 3:
            return 0
        return 511 if self.version == 1 else 255


def parse_header(data: bytes | bytearray | memoryview, pos: int = 0) -> Header | None:
    """Return the header at `data[pos:pos + 4]`, or None if these bytes are not a valid header."""
    if pos + HEADER_BYTES > len(data) or data[pos] != 0xFF or data[pos + 1] < 0xE0:
        return None
    version_bits, layer = data[pos + 1] >> 3 & 3, _LAYERS.get(data[pos + 1] >> 1 & 3)
    bitrate_index, rate_index = data[pos + 2] >> 4, data[pos + 2] >> 2 & 3
    if layer is None or version_bits == 1 or bitrate_index == 15 or rate_index == 3:
        return None
    if version_bits == 0 and layer != 3:  # MPEG-2.5 has only Layer III
        return None
    return Header(
        version=1 if version_bits == 3 else 2,
        layer=layer,
        protected=not data[pos + 1] & 1,
        bitrate=_BITRATES[version_bits == 3, layer][bitrate_index],
        sample_rate=_SAMPLE_RATES[version_bits][rate_index],
        padding=(data[pos + 2] >> 1 & 1) * (4 if layer == 1 else 1),
        channels=1 if data[pos + 3] >> 6 == 3 else 2,
    )


def stream_key(data: bytes, pos: int) -> int:
    """Return a number that all packets of one stream share.

    It combines version, layer, sample rate, free format or not, and one channel or two.
    The bytes at `pos` must be a valid header.
    """
    b1, b2, b3 = data[pos + 1 : pos + 4]
    return (b1 | 1) << 16 | (b2 & 0x0C) << 8 | (b2 < 0x10) << 1 | (b3 >= 0xC0)


def packet_lengths(second_byte: int) -> list[int]:
    """Return the packet length in bytes by a header's third byte, for headers with this second byte.

    Returns:
        256 numbers: 0 if the header is not valid, `FREE_FORMAT` if it does not give the length.
    """
    return _length_rows()[second_byte >> 1 & 15]


@cache
def length_table() -> npt.NDArray[np.int64]:
    """Return `packet_lengths` for all headers: shape (16, 256), by bits 1 to 4 of byte 1, and byte 2."""
    return np.array(_length_rows(), dtype=np.int64)


@cache
def _length_rows() -> list[list[int]]:
    rows = []
    for second in range(16):
        headers = (parse_header(bytes((0xFF, 0xE1 | second << 1, third, 0))) for third in range(256))
        rows.append([0 if header is None else header.packet_bytes or FREE_FORMAT for header in headers])
    return rows
