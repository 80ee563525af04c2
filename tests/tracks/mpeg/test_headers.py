import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmo_data.tracks.mpeg.headers import FREE_FORMAT, length_table, packet_lengths, parse_header, stream_key


@pytest.mark.parametrize(
    ("header", "version", "layer", "bitrate", "rate", "channels", "samples", "length", "main_data"),
    [
        ("fffb9064", 1, 3, 128, 44_100, 2, 1_152, 417, 36),
        ("fffb9264", 1, 3, 128, 44_100, 2, 1_152, 418, 36),  # padding_bit
        ("fffa9064", 1, 3, 128, 44_100, 2, 1_152, 417, 38),  # a CRC
        ("fffbe4c4", 1, 3, 320, 48_000, 1, 1_152, 960, 21),
        ("fffda004", 1, 2, 192, 44_100, 2, 1_152, 626, 4),
        ("ffffe004", 1, 1, 448, 44_100, 2, 384, 484, 4),
        ("ffff9204", 1, 1, 288, 44_100, 2, 384, 316, 4),  # Layer I pads by four bytes
        ("fff380c4", 2, 3, 64, 22_050, 1, 576, 208, 13),
        ("fff38004", 2, 3, 64, 22_050, 2, 576, 208, 21),
        ("fff5e404", 2, 2, 160, 24_000, 2, 1_152, 960, 4),
        ("ffe348c4", 2, 3, 32, 8_000, 1, 576, 288, 13),  # MPEG-2.5
        ("fffb0004", 1, 3, 0, 44_100, 2, 1_152, 0, 36),  # free format
    ],
)  # fmt: skip
def test_headers_of_the_standard(header, version, layer, bitrate, rate, channels, samples, length, main_data):
    parsed = parse_header(bytes.fromhex(header))
    assert (parsed.version, parsed.layer, parsed.bitrate) == (version, layer, bitrate)
    assert (parsed.sample_rate, parsed.channels) == (rate, channels)
    assert (parsed.samples_per_packet, parsed.packet_bytes, parsed.main_data_offset) == (samples, length, main_data)


@pytest.mark.parametrize(
    "header",
    ["00fb9064", "ff1b9064", "ffe99064", "fff99064", "fffbf064", "fffb9c64", "ffe59064", "fffb90"],
    ids=["sync", "sync low", "version", "layer", "bitrate", "rate", "2.5 layer 2", "short"],
)
def test_what_is_no_header(header):
    assert parse_header(bytes.fromhex(header)) is None


@given(st.binary(min_size=4, max_size=4))
def test_the_tables_say_what_the_parser_says(data):
    data = b"\xff" + bytes([data[1] | 0xE0]) + data[2:]
    header = parse_header(data)
    length = packet_lengths(data[1])[data[2]]
    assert length == (0 if header is None else header.packet_bytes or FREE_FORMAT)
    assert length == length_table()[data[1] >> 1 & 15, data[2]]


@given(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4))
def test_one_key_is_one_stream(one, other):
    one, other = (b"\xff" + bytes([data[1] | 0xE0]) + data[2:] for data in (one, other))
    first, second = parse_header(one), parse_header(other)
    if first is None or second is None:
        return
    same = all(
        getattr(first, name) == getattr(second, name) for name in ("version", "layer", "sample_rate", "channels")
    )
    assert (stream_key(one, 0) == stream_key(other, 0)) == (same and (not first.bitrate) == (not second.bitrate))
