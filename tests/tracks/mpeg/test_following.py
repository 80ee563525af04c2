import numpy as np
import pytest
from builders import make_mp3
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmo_data.runtime import library
from flowmo_data.tracks.mpeg import following
from flowmo_data.tracks.mpeg.following import follow
from flowmo_data.tracks.mpeg.headers import packet_lengths, stream_key

HEADER = bytes.fromhex("fffb9064")
LENGTHS = packet_lengths(HEADER[1])
KEY = stream_key(HEADER, 0)
LENGTH = LENGTHS[HEADER[2]]


def packets(count):
    return (HEADER + bytes(LENGTH - 4)) * count


@pytest.fixture(params=["in C", "in Python"])
def find(request, monkeypatch):
    """Both ways of following."""
    if request.param == "in Python":
        monkeypatch.setattr(library, "is_available", lambda: False)
    elif not library.is_available():
        pytest.skip("the C library is optional, and was not built")


@pytest.mark.usefixtures("find")
def test_packets_are_followed_to_the_first_other_header():
    for after in (b"", b"\xff\xfb\x90", b"noise", bytes.fromhex("fffb90c4"), bytes.fromhex("fff39064")):
        places, end = follow(b"xyz" + packets(5) + after, 3, key=KEY, lengths=LENGTHS)
        assert places.tolist() == [3 + LENGTH * number for number in range(5)]
        assert end == 3 + 5 * LENGTH


@pytest.mark.usefixtures("find")
def test_protection_may_differ_and_a_packet_may_be_cut_off():
    data = packets(1) + bytes.fromhex("fffa9064")
    assert follow(data, 0, key=KEY, lengths=LENGTHS)[1] == 2 * LENGTH


@pytest.mark.usefixtures("find")
def test_no_more_than_wanted():
    places, end = follow(packets(5), 0, key=KEY, lengths=LENGTHS, most=2)
    assert (places.tolist(), end) == ([0, LENGTH], 2 * LENGTH)


@pytest.mark.usefixtures("find")
@pytest.mark.parametrize("at", [0, 5, LENGTH, LENGTH - 3, 10 * LENGTH])
def test_no_packet(at):
    places, end = follow(packets(1), at, key=stream_key(bytes.fromhex("fffb9094"), 0) ^ 1, lengths=LENGTHS)
    assert (len(places), end) == (0, at)


@pytest.mark.skipif(not library.is_available(), reason="the C library is optional, and was not built")
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_both_ways_give_the_same(data):
    stream = bytearray(packets(6))
    for _ in range(data.draw(st.integers(0, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    at, most = data.draw(st.integers(0, 3)) * LENGTH, data.draw(st.integers(0, 8))
    arguments = bytes(stream[: data.draw(st.integers(0, len(stream)))]), at, KEY >> 16, bool(KEY & 1), tuple(LENGTHS)
    compiled, end = following._compiled()(*arguments, most)
    places, other_end = following._in_python(*arguments, most)
    assert np.array_equal(compiled, places)
    assert end == other_end


def test_whole_files_are_followed_alike(tmp_path, monkeypatch):
    data = make_mp3(tmp_path / "a.mp3", 44_100).read_bytes()
    start = data.index(b"\xff\xfb")
    arguments = {"key": stream_key(data, start), "lengths": packet_lengths(data[start + 1])}
    places, end = follow(data, start, **arguments)
    monkeypatch.setattr(library, "is_available", lambda: False)
    assert follow(data, start, **arguments)[0].tolist() == places.tolist()
    assert end == len(data)
    assert len(places) > 30
