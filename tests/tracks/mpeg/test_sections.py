import pytest
from builders import DATA, make_mp3, opened, packets, walk_bytes

from flowmo_data.tracks.mpeg import missing_packets


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_mp3(tmp_path_factory.mktemp("mp3") / "a.mp3", 4 * 44_100).read_bytes()


def damaged(data, *, begin, bad):
    """The file with noise in place of whole packets, and how many."""
    (section,) = walk_bytes(data).sections
    start, stop = section.offsets[begin], section.offsets[begin + bad]
    return data[:start] + b"\x55" * (stop - start) + data[stop:]


@pytest.mark.parametrize("with_info", [True, False])
@pytest.mark.parametrize("bad", [1, 2, 5])
def test_as_many_are_missing_as_were_overwritten(data, bad, with_info):
    mutated = damaged(data, begin=40, bad=bad)
    if not with_info:
        mutated = mutated[walk_bytes(data).sections[0].offsets[0] :]
    (section,) = walk_bytes(mutated).sections
    assert missing_packets(section) == {40: bad}


def test_bytes_that_were_put_in_cost_nothing_where_a_tag_tells(data):
    (section,) = walk_bytes(data).sections
    at = section.offsets[40]
    mutated = data[:at] + b"\x55" * 3_000 + data[at:]
    assert missing_packets(walk_bytes(mutated).sections[0]) == {}
    first = section.offsets[0]
    (untagged,) = walk_bytes(mutated[first:]).sections
    assert missing_packets(untagged) in ({40: 6}, {40: 7})


def test_what_is_cut_off_is_missing_at_the_end(data):
    (whole,) = walk_bytes(data).sections
    found = walk_bytes(data[: whole.offsets[50] + 100])
    (section,) = found.sections
    assert missing_packets(section, found.trailing_bytes) == {50: whole.num_packets - 50}
    found = walk_bytes(b"".join(packets(data))[:-100])
    (section,) = found.sections
    assert missing_packets(section, found.trailing_bytes) == {section.num_packets: 1}


def test_a_hole_and_an_end_cut_off(data):
    mutated = damaged(data, begin=20, bad=3)
    (whole,) = walk_bytes(data).sections
    found = walk_bytes(mutated[: whole.offsets[60]])
    (section,) = found.sections
    assert missing_packets(section, found.trailing_bytes) == {20: 3, 57: whole.num_packets - 60}


@pytest.mark.parametrize("lie", [1, 0xFFFF_FFFF])
def test_a_tag_that_the_bytes_contradict_is_not_believed(data, lie):
    at = data.index(b"Info") if b"Info" in data[:200] else data.index(b"Xing")
    mutated = bytearray(data)
    mutated[at + 8 : at + 12] = lie.to_bytes(4, "big")
    (section,) = walk_bytes(bytes(mutated)).sections
    assert missing_packets(section) == {}


def test_a_track_says_where_and_how_long(tmp_path, data):
    path = tmp_path / "a.mp3"
    path.write_bytes(damaged(data, begin=40, bad=5))
    (loss,) = opened(path).losses
    assert loss.packets == 5
    assert loss.seconds == pytest.approx(5 * 1_152 / 44_100)
    assert loss.start_seconds == pytest.approx((40 * 1_152 - 1_105) / 44_100)
    whole = DATA / "crc_protected.mp3"
    assert opened(whole).losses == ()


def test_what_stands_between_sections_is_missing_from_the_second(tmp_path, data):
    other = make_mp3(tmp_path / "b.mp3", 44_100, rate=48_000).read_bytes()
    first, second = (b"".join(packets(each)) for each in (data, other))
    _, section = walk_bytes(first + b"\x55" * 1_000 + second).sections
    assert missing_packets(section) == {0: round(1_000 / (len(second) / section.num_packets))}
