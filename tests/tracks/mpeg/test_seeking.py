import random

import pytest
from builders import DATA, RATE, make_mp3, walk_bytes

from flowmo_data.tracks.mpeg import MovedPacketsError, SeekOffsets, seek_points


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_mp3(tmp_path_factory.mktemp("seeking") / "a.mp3", 8 * RATE).read_bytes()


def reopened(data, section, changed=None):
    """A section's offsets from its points alone."""
    bytes_now = data if changed is None else changed
    return SeekOffsets(
        seek_points(section),
        num_packets=section.num_packets,
        end=section.end,
        gaps={gap.packet: (gap.start, section.offsets[gap.packet]) for gap in section.gaps},
        lengths=section.lengths,
        read=lambda start, stop: bytes_now[start:stop],
    )


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.mp3")))
def test_all_offsets_are_found_again(name):
    data = (DATA / name).read_bytes()
    for section in walk_bytes(data).sections:
        assert list(reopened(data, section)) == list(section.offsets)


def test_gaps_are_stepped_over(data):
    (whole,) = walk_bytes(data).sections
    for packets in [(3,), (63,), (64,), (65,), (10, 64, 128, 200), tuple(range(60, 90, 5))]:
        broken = data
        for packet in reversed(packets):
            at = whole.offsets[packet]
            broken = broken[:at] + random.Random(packet).randbytes(100 + packet) + broken[at:]
        (section,) = walk_bytes(broken).sections
        assert len(section.gaps) == len(packets)
        offsets = reopened(broken, section)
        assert list(offsets) == list(section.offsets)
        assert offsets[5:150:7] == list(section.offsets[5:150:7])


def test_one_packet_costs_one_stretch(data):
    (section,) = walk_bytes(data).sections
    reads = []
    offsets = reopened(data, section)
    offsets._read = lambda start, stop: reads.append(stop - start) or data[start:stop]
    assert offsets[100] == section.offsets[100]
    assert offsets[127] == section.offsets[127]
    assert len(reads) == 1
    assert reads[0] == section.offsets[128] - section.offsets[64]
    with pytest.raises(IndexError, match="packets, none at"):
        offsets[len(offsets)]


@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_loaded_is_what_is_found_one_by_one(data, damaged):
    if damaged:
        at = walk_bytes(data).sections[0].offsets[100]
        data = data[:at] + b"noise" + data[at:]
    (section,) = walk_bytes(data).sections
    last = section.num_packets
    for first, stop in ((0, 1), (63, 64), (64, 65), (70, 200), (last - 1, last), (0, last)):
        offsets = reopened(data, section)
        offsets.load(first, stop)
        assert offsets.as_array(first, stop).tolist() == list(section.offsets[first:stop])
        assert [offsets[first], offsets[stop - 1]] == [section.offsets[first], section.offsets[stop - 1]]
        assert list(offsets) == list(section.offsets)


def test_other_bytes_are_noticed(data):
    (section,) = walk_bytes(data).sections
    longer = data[: section.offsets[70]] + b"\0" + data[section.offsets[70] : -1]
    offsets = reopened(data, section, longer)
    assert offsets[10] == section.offsets[10]
    with pytest.raises(MovedPacketsError, match="packets 64 to 128 do not lead from byte"):
        offsets[80]
    with pytest.raises(MovedPacketsError, match="packets 64 to 128 do not lead"):
        reopened(data, section, longer).load(10, 150)
    with pytest.raises(MovedPacketsError, match="do not lead"):
        reopened(data, section, data[: section.offsets[70]])[80]
