import random

import pytest
from builders import DATA, make_mp3, packets, walk_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

FILES = [
    ("mpeg25_8000_mono.mp3", 41_472, 8_000, 1),
    ("seven_samples.mp3", 7, 44_100, 2),
    ("cbr32_low_bitrate.mp3", 235_008, 44_100, 2),
    ("crc_protected.mp3", 233_730, 44_100, 2),
    ("layer2_named_mp3.mp3", 233_856, 44_100, 2),
    ("freeformat_400k.mp3", 233_730, 44_100, 2),
    ("mpeg2_22050_stereo_vbr.mp3", 88_200, 22_050, 2),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_mp3(tmp_path_factory.mktemp("walk") / "a.mp3", 3 * 44_100).read_bytes()


@pytest.mark.parametrize(("name", "samples", "rate", "channels"), FILES)
def test_lengths_are_exact(name, samples, rate, channels):
    (section,) = walk_bytes((DATA / name).read_bytes()).sections
    header = section.header
    assert (section.num_samples, header.sample_rate, header.channels) == (samples, rate, channels)
    assert not section.gaps


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_every_sample_rate(tmp_path, rate, channels):
    data = make_mp3(tmp_path / "a.mp3", 9_999, rate=rate, channels=channels).read_bytes()
    (section,) = walk_bytes(data).sections
    assert (section.header.sample_rate, section.header.channels) == (rate, channels)
    if section.delay:  # LAME finds no room for its tag in the shortest packets
        assert section.num_samples == 9_999
    else:
        assert section.num_samples == section.num_packets * section.header.samples_per_packet


def test_layer_one():
    packet = bytes.fromhex("ffffc404") + bytes(12 * 384_000 // 48_000 * 4 - 4)
    (section,) = walk_bytes(packet * 25).sections
    assert (section.header.layer, section.num_samples) == (1, 25 * 384)


def test_without_a_tag_every_packet_counts(data):
    (section,) = walk_bytes(b"".join(packets(data))).sections
    assert section.num_samples == section.num_packets * 1_152
    assert section.delay == 0


def test_a_file_cut_off_is_as_long_as_what_is_there(data):
    (whole,) = walk_bytes(data).sections
    found = walk_bytes(data[: whole.offsets[50] + 100])
    (section,) = found.sections
    assert section.num_packets == 50
    assert section.num_samples == 50 * 1_152 - 1_105
    assert section.stated_packets == whole.num_packets
    assert (found.lost_bytes, found.trailing_bytes) == (0, 100)


def test_packets_beyond_those_of_the_tag_count(data):
    more = packets(data)[-20:]
    (section,) = walk_bytes(data + b"".join(more)).sections
    (whole,) = walk_bytes(data).sections
    assert section.num_packets == whole.num_packets + 20
    assert section.num_samples == section.num_packets * 1_152 - 1_105


@pytest.mark.parametrize("where", ["before", "inside", "between", "after"])
@pytest.mark.parametrize("size", [1, 7, 417, 5_000, 3_000_000])
def test_garbage_costs_nothing_but_what_it_covers(data, where, size):
    (whole,) = walk_bytes(data).sections
    noise = random.Random(size).randbytes(size)
    at = {"before": 0, "inside": whole.offsets[40] + 99, "between": whole.offsets[40], "after": len(data)}[where]
    found = walk_bytes(data[:at] + noise + data[at:])
    (section,) = found.sections
    inside = where in ("inside", "between")
    assert (found.lost_bytes, found.trailing_bytes) == (size if inside else 0, 0)
    assert section.num_packets == whole.num_packets
    assert len(section.gaps) == inside


def test_what_follows_the_last_packet_is_lost_unless_the_tag_says_that_all_are_there(data):
    assert walk_bytes(data + bytes(500)).trailing_bytes == 0
    assert walk_bytes(b"".join(packets(data)) + bytes(500)).trailing_bytes == 500


def test_a_packet_cut_off_after_a_gap_leaves_the_section_before_it(data):
    (whole,) = walk_bytes(data).sections
    broken = bytearray(data[: whole.offsets[60] + 200])
    broken[whole.offsets[59]] = 0
    found = walk_bytes(bytes(broken))
    (section,) = found.sections
    assert section.num_packets == 59
    assert section.end == whole.offsets[59]
    assert not section.gaps
    assert (found.lost_bytes, found.trailing_bytes) == (0, len(broken) - section.end)


def test_what_stands_between_sections_is_lost(data, tmp_path):
    other = make_mp3(tmp_path / "b.mp3", 50_000, rate=48_000).read_bytes()
    found = walk_bytes(data + bytes(700) + other)
    assert len(found.sections) == 2
    assert found.lost_bytes == 700


def test_one_broken_header_costs_one_packet(data):
    (whole,) = walk_bytes(data).sections
    broken = bytearray(data)
    for packet in (30, 32, 34, 60):
        broken[whole.offsets[packet]] ^= 0x10
    (section,) = walk_bytes(bytes(broken)).sections
    assert section.num_packets == whole.num_packets - 4
    assert set(whole.offsets) - set(section.offsets) == {whole.offsets[packet] for packet in (30, 32, 34, 60)}


def test_a_tag_inside_is_stepped_over_without_loss(data):
    (whole,) = walk_bytes(data).sections
    at = whole.offsets[40]
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    found = walk_bytes(data[:at] + tag + data[at:])
    (section,) = found.sections
    assert found.lost_bytes == 0
    assert [(gap.packet, gap.lost_bytes) for gap in section.gaps] == [(40, 0)]


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1), (22_050, 2)])
def test_another_rate_or_channel_count_is_another_section(data, tmp_path, rate, channels):
    other = make_mp3(tmp_path / "b.mp3", 50_000, rate=rate, channels=channels).read_bytes()
    first, second = walk_bytes(data + other).sections
    assert first.num_samples == 3 * 44_100
    assert (second.num_samples, second.header.sample_rate, second.header.channels) == (50_000, rate, channels)


def test_an_untrue_tag_size_does_not_hide_the_audio(data):
    tag = b"ID3\x04\x00\x00\x00\x7f\x7f\x7f"
    assert walk_bytes(tag + data).sections[0].num_samples == 3 * 44_100


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 300])
def test_less_than_a_packet_is_nothing(data, size):
    (section,) = walk_bytes(data).sections
    start = section.offsets[3]
    assert walk_bytes(data[start : start + size]).sections == ()


def test_one_packet_alone_is_found(data):
    (section,) = walk_bytes(packets(data)[3]).sections
    assert section.num_packets == 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3_000))
def test_any_bytes_give_a_table(junk):
    found = walk_bytes(junk)
    assert 0 <= found.lost_bytes <= len(junk)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_and_spliced_files_keep_packets_in_order(data, draw):
    whole = packets(data)
    pieces = draw.draw(
        st.lists(
            st.one_of(st.binary(max_size=600), st.integers(0, len(whole) - 1).map(lambda i: whole[i])), max_size=30
        )
    )
    spliced = b"".join(pieces)
    for section in walk_bytes(spliced).sections:
        offsets = list(section.offsets)
        assert offsets == sorted(set(offsets))
        assert section.end <= len(spliced)
        for start, stop in zip(offsets, [*offsets[1:], section.end], strict=True):
            assert stop - start >= section.lengths[spliced[start + 2]] > 0


@pytest.mark.parametrize(
    "unit", [b"\xff", b"\xff\xfb", b"\xff\xfb\x90\x64", b"\xff\xfb\x00\x64", b"\xff\xfb\x90\xff\xf3\x80"]
)
def test_hostile_bytes_are_walked(unit):
    walk_bytes(unit * (200_000 // len(unit)))


# Claims that cannot be true, and a count that includes the packet that states it


def info_place(data):
    return max(data.find(b"Info"), data.find(b"Xing"))


def with_delays(data, delay, padding):
    at = info_place(data) + 8 + 4 + 4 + 100 + 4 + 21
    return data[:at] + (delay << 12 | padding).to_bytes(3, "big") + data[at + 3 :]


def with_count(data, more, *, num_bytes=0):
    """The file with another number of packets in its Info packet, and other or (None) no bytes."""
    at = info_place(data)
    count = (int.from_bytes(data[at + 8 : at + 12], "big") + more).to_bytes(4, "big")
    if num_bytes is not None:
        size = (int.from_bytes(data[at + 12 : at + 16], "big") + num_bytes).to_bytes(4, "big")
        return data[: at + 8] + count + size + data[at + 16 :]
    flags = (int.from_bytes(data[at + 4 : at + 8], "big") & ~2).to_bytes(4, "big")
    moved = data[at + 16 : at + 16 + 100 + 4 + 24]  # seek table, quality and LAME's fields
    return data[: at + 4] + flags + count + moved + data[at + 12 + len(moved) :]


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (44_100, 1), (22_050, 2)])
@pytest.mark.parametrize("num_samples", [100, 1_500, 4_000])
@pytest.mark.parametrize("delays", [(4_095, 4_095), (4_095, 0), (576, 4_095)])
def test_delays_that_leave_nothing_are_not_believed(tmp_path, rate, channels, num_samples, delays):
    data = make_mp3(tmp_path / "a.mp3", num_samples, rate=rate, channels=channels).read_bytes()
    decoded = len(packets(data)) * (1_152 if rate == 44_100 else 576)
    (section,) = walk_bytes(with_delays(data, *delays)).sections
    left = decoded - (delays[0] + 529) - max(delays[1] - 529, 0)
    assert section.num_samples == (left if left > 0 else decoded)


@pytest.mark.parametrize("num_bytes", [0, None, -417])
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (44_100, 1), (22_050, 2)])
def test_a_count_may_include_the_packet_that_states_it(tmp_path, rate, channels, num_bytes):
    data = make_mp3(tmp_path / "a.mp3", 60_000, rate=rate, channels=channels).read_bytes()
    (whole,) = walk_bytes(data).sections
    found = walk_bytes(with_count(data, 1, num_bytes=num_bytes))
    (section,) = found.sections
    assert section.num_samples == whole.num_samples == 60_000
    assert section.stated_packets == section.num_packets == whole.num_packets
    assert found.trailing_bytes == 0


@pytest.mark.parametrize("num_bytes", [0, None])
def test_a_packet_that_is_missing_is_missed(data, num_bytes):
    (whole,) = walk_bytes(data).sections
    last, gap = whole.offsets[-1], slice(whole.offsets[50], whole.offsets[51])
    same = with_count(data, 0, num_bytes=num_bytes)
    for cut in (
        same[: last + 100],
        same[: gap.start + 60] + same[gap.stop :],
        *([same[:last]] if num_bytes == 0 else []),
    ):
        (section,) = walk_bytes(cut).sections
        assert section.stated_packets == whole.num_packets
        assert section.num_packets < whole.num_packets
    (section,) = walk_bytes(with_count(data, 2, num_bytes=num_bytes)).sections
    assert section.stated_packets == whole.num_packets + 2
