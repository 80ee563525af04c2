import pytest
from builders import DATA, make_mp3, walk_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmo_data.tracks.mpeg.headers import parse_header
from flowmo_data.tracks.mpeg.tags import audio_end, in_blocks, parse_info_packet, tag_end


def reader(data):
    return lambda start, stop: data[start:stop]


def id3v2(size, *, footer=False):
    syncsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00" + (b"\x10" if footer else b"\x00") + syncsafe + bytes(size) + (b"3DI" + bytes(7)) * footer


def ape(items, *, header):
    footer = b"APETAGEX" + (2_000).to_bytes(4, "little") + (items + 32).to_bytes(4, "little") + bytes(4)
    flags = (0x80 << 24 if header else 0).to_bytes(4, "little")
    item = max(items - 14, 0).to_bytes(4, "little") + bytes(4) + b"Title\0" + bytes(max(items - 14, 0))
    return (footer + flags + bytes(8)) * header + item[:items] + footer + flags + bytes(8)


LYRICS = b"LYRICSBEGIN" + b"IND00002" + b"10" + b"%06d" % 21 + b"LYRICS200"
ID3V1 = b"TAG" + bytes(125)


@pytest.mark.parametrize(
    "tags", [b"", id3v2(0), id3v2(300), id3v2(300, footer=True), id3v2(20) + id3v2(40), ID3V1, ape(100, header=True)]
)
def test_tags_in_front_are_stepped_over(tags):
    data = tags + b"\xff\xfb\x90\x64" + bytes(500)
    assert tag_end(reader(data), 0, len(data)) == len(tags)


@pytest.mark.parametrize(
    "tag", [b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"ID3\x04\x00\x00\xff\x00\x00\x00", b"ID3", b"TAG"]
)
def test_a_tag_whose_size_is_not_true_is_no_tag(tag):
    data = tag + b"\xff\xfb\x90\x64"
    assert tag_end(reader(data), 0, len(data)) == 0


@pytest.mark.parametrize(
    "tags",
    [
        b"", ID3V1, ape(100, header=True), ape(0, header=False), LYRICS,
        ape(64, header=True) + ID3V1, LYRICS + ID3V1, ape(64, header=False) + LYRICS + ID3V1,
    ],
)  # fmt: skip
def test_tags_behind_are_cut_off(tags):
    data = bytes(range(1, 200)) + tags
    assert audio_end(reader(data), len(data)) == 199


def test_a_tag_larger_than_the_file_is_not_cut_off():
    data = bytes(50) + ape(100, header=False)[-32:]
    assert audio_end(reader(data), len(data)) == len(data)


def test_a_size_that_does_not_lead_to_the_tags_start_is_not_believed():
    for tag in (ape(100, header=True), LYRICS):
        data = bytes(500) + tag[20:]
        assert audio_end(reader(data), len(data)) == len(data)


def test_a_footer_without_a_header_whose_size_is_not_true_hides_no_audio(tmp_path):
    data = make_mp3(tmp_path / "a.mp3", 44_100).read_bytes()
    footer = b"APETAGEX" + (1_000).to_bytes(4, "little") + (5_000).to_bytes(4, "little") + bytes(16)
    assert audio_end(reader(data + footer), len(data + footer)) == len(data + footer)
    whole, tagged = walk_bytes(data), walk_bytes(data + footer)
    assert [section.num_samples for section in tagged.sections] == [section.num_samples for section in whole.sections]


def test_tags_are_read_in_blocks():
    data = b"TAG" + bytes(125)
    data, reads = data * 1_000, []

    def read(start, stop):
        reads.append(stop - start)
        return data[start:stop]

    assert audio_end(in_blocks(read, len(data)), len(data)) == 0
    assert tag_end(in_blocks(read, len(data)), 0, len(data)) == len(data)
    assert len(reads) < 200
    blocks = in_blocks(read, len(data))
    for start in (0, 5_000, 3_000, 127_990, 0):
        assert blocks(start, start + 20) == data[start : start + 20]


@pytest.mark.parametrize("size", [0, 1, 31])
@pytest.mark.parametrize("flags", [0, 0x80 << 24])
def test_a_footer_that_is_smaller_than_itself_is_no_footer(size, flags):
    footer = b"APETAGEX" + bytes(4) + size.to_bytes(4, "little") + bytes(4) + flags.to_bytes(4, "little") + bytes(8)
    data = bytes(500) + footer
    assert audio_end(reader(data), len(data)) == len(data)


MAGICS = [
    b"ID3",
    b"TAG",
    b"APETAGEX",
    b"LYRICSBEGIN",
    b"LYRICS200",
    b"000021LYRICS200",
    b"\xff\xfb\x90\x64",
    b"Xing",
    b"VBRI",
]


@settings(max_examples=300, deadline=2_000)
@given(st.lists(st.one_of(st.sampled_from(MAGICS), st.binary(max_size=40)), max_size=25).map(b"".join))
def test_tags_of_any_make_end_the_walk(data):
    assert 0 <= audio_end(reader(data), len(data)) <= len(data)
    assert 0 <= tag_end(reader(data), 0, len(data)) <= len(data)
    walk_bytes(data)


def test_the_gapless_fields_are_lames(tmp_path):
    data = make_mp3(tmp_path / "a.mp3", 44_100).read_bytes()
    (section,) = walk_bytes(data).sections
    packet = data[: section.offsets[0]]
    info = parse_info_packet(packet, parse_header(packet))
    assert info.num_packets == section.num_packets
    assert info.num_bytes == len(data)
    assert info.delay == 576 + 529
    assert section.num_packets * 1_152 - info.delay - info.padding == 44_100


def test_the_tag_is_found_behind_a_crc():
    data = (DATA / "crc_protected.mp3").read_bytes()
    assert walk_bytes(data).sections[0].delay == 576 + 529


def test_vbri_states_packets_and_no_delay():
    header = bytes.fromhex("fffb9064")
    packet = header + bytes(32) + b"VBRI" + bytes(6) + (999).to_bytes(4, "big") + (7).to_bytes(4, "big") + bytes(363)
    info = parse_info_packet(packet, parse_header(packet))
    assert (info.num_bytes, info.num_packets, info.delay, info.padding) == (999, 7, 0, 0)


def test_plain_audio_is_no_info_packet():
    packet = bytes.fromhex("fffb9064") + bytes(413)
    assert parse_info_packet(packet, parse_header(packet)) is None


@pytest.mark.parametrize("length", [40, 44, 48, 160, 170])
def test_a_short_info_packet_is_read_as_far_as_it_goes(length):
    packet = (bytes.fromhex("fffb9064") + bytes(32) + b"Info" + b"\0\0\0\x0f" + b"\0\0\0\x05" * 40)[:length]
    info = parse_info_packet(packet, parse_header(packet))
    assert (info.delay, info.padding) == (0, 0)
