"""The decoder in C on damage: what it refuses, and that nothing else is lost."""

import copy

import numpy as np
import pytest
import torch
from builders import DATA, ZOO, needs_zoo, packets_of, walk_bytes
from hypothesis import example, given
from hypothesis import strategies as st
from layer3_cases import WHOLE_VECTORS
from layer3_random import BLOCKS, random_stream
from layer3_reference import decode
from layer3_side_info import Granule
from layer3_writer import (
    SINGLE_CHANNEL,
    STEREO,
    Format,
    Packet,
    Part,
    as_bytes,
    side_info_text,
    write_packets,
)
from native_cases import (
    CANCELLED,
    FEW,
    LOUDEST,
    MODES,
    SEEDS,
    assert_like_reference,
    refused_by,
    stream_once,
    window,
)
from native_stages import variants

from flowmo_data.decoding import native

pytestmark = [
    pytest.mark.skipif(not variants(), reason="the decoder in C is not built; it is optional"),
    pytest.mark.usefixtures("variant"),
]


@FEW
@given(seed=SEEDS, mode=st.sampled_from(MODES), rate=st.sampled_from([44_100, 12_000]), where=st.floats(0, 1))
def test_flipped_bits_cost_what_the_reference_loses(seed, mode, rate, where):
    """Anywhere but in headers."""
    draw = np.random.default_rng(seed)
    stream = random_stream(seed, Format(rate, mode[0]), mode_extension=mode[1], num_packets=4)
    for _ in range(draw.integers(1, 6)):
        packet = bytearray(stream[number := draw.integers(len(stream))])
        last = 36 if where < 0.5 else len(packet)
        packet[draw.integers(4, min(last, len(packet)))] ^= 1 << draw.integers(8)
        stream[number] = bytes(packet)
    assert_like_reference(stream)


@FEW
@given(seed=SEEDS, breaks=st.sets(st.integers(0, 5), max_size=3))
def test_lost_bytes_cost_the_packets_that_lean_on_them(seed, breaks):
    assert_like_reference(random_stream(seed, Format(44_100, STEREO), num_packets=6), breaks=sorted(breaks))


def tone(line, value, global_gain, *, block="long", table_select=7):
    """A packet of one value in each granule, at one line below 36."""
    switching, block_type, mixed = BLOCKS[block]
    part = Part(
        Granule(
            big_values=18, global_gain=global_gain, window_switching_flag=switching, block_type=block_type,
            mixed_block_flag=mixed, table_select=[table_select, table_select, 0], region0_count=15, region1_count=5,
        ),
        [0] * (21 if block_type != 2 else 35 if mixed else 36),
        [value * (number == line) for number in range(576)],
    )  # fmt: skip
    return Packet([[part], [copy.deepcopy(part)]])


MONO = Format(44_100, SINGLE_CHANNEL, reservoir=False)


@pytest.mark.parametrize(("line", "block"), [(0, "long"), (17, "long"), (35, "start"), (7, "short"), (20, "mixed")])
def test_loudness_is_judged_to_the_step_of_a_gain(line, block):
    verdicts = []
    for gain in range(225, 240):
        stream = write_packets([tone(line, 1, gain, block=block)], MONO)
        assert_like_reference(stream)
        verdicts.append(int(window(stream)[1][0]))
    assert verdicts == sorted(verdicts)
    assert set(verdicts) == {0, 7}


def refusal(change, packet=None):
    """The verdict on the second of three packets, with fields of its last granule changed after it was written."""
    packets_ = [tone(3, 1, 200), packet or tone(3, 1, 200), tone(3, 1, 200)]
    stream = write_packets(packets_, MONO)
    granule = packets_[1].parts[1][0].granule
    for name, value in change.items():
        setattr(granule, name, value(granule) if callable(value) else value)
    begin = change.get("main_data_begin", 0)
    side = as_bytes(side_info_text(packets_[1], MONO, begin))
    stream[1] = stream[1][:4] + side + stream[1][4 + len(side) :]
    verdicts = window(stream)[1]
    assert not verdicts[[0, 2]].any()
    assert_like_reference(stream)
    return int(verdicts[1])


def own_bits(granule):
    """Bits of main data that a packet of `tone`s has for its last granule."""
    packet = write_packets([tone(3, 1, 200)], MONO)[0]
    return 8 * (len(packet) - 4 - 17) - granule.part2_3_length


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, 0),
        ({"big_values": 288, "table_select": [0, 0, 0]}, 0),
        ({"big_values": 289, "table_select": [0, 0, 0]}, 2),
        ({"big_values": 511, "table_select": [0, 0, 0]}, 2),
        ({"window_switching_flag": 1, "block_type": 0}, 2),
        ({"window_switching_flag": 1, "block_type": 1}, 0),
        ({"part2_3_length": own_bits}, 0),
        ({"part2_3_length": lambda granule: own_bits(granule) + 1}, 4),
        ({"part2_3_length": 4_095}, 4),
        ({"scalefac_compress": 15}, 5),
        ({"part2_3_length": lambda granule: granule.part2_3_length - 1}, 6),
        ({"part2_3_length": 0}, 6),
        ({"global_gain": 255}, 7),
        ({"main_data_begin": 511}, 3),
    ],
)
def test_verdicts(change, verdict):
    assert refusal(change) == verdict
    assert len(native.VERDICTS) == 8


@given(seed=SEEDS, mode=st.sampled_from(MODES))
@FEW
def test_one_row_refuses_no_more_than_two(seed, mode):
    """A side channel that is not decoded has no say, and the mean of both is quieter than they are."""
    stream = random_stream(seed, Format(44_100, mode[0]), mode_extension=mode[1], num_packets=3, global_gain=170)
    packet = bytearray(stream[1])
    packet[np.random.default_rng(seed).integers(6, 30)] ^= 0x11
    stream[1] = bytes(packet)
    both, one = window(stream, channels=2), window(stream, channels=1)
    assert refused_by(one[1]) <= refused_by(both[1])
    if refused_by(one[1]) == refused_by(both[1]):
        assert (both[0].mean(0) - one[0][0]).abs().max() < CANCELLED * max(float(both[0].abs().max()), 1)


def test_a_packet_of_another_stream_is_refused():
    stream = stream_once(0, Format(44_100, STEREO, reservoir=False), num_packets=5)
    for other in (Format(48_000, STEREO), Format(44_100, SINGLE_CHANNEL), Format(22_050, STEREO)):
        mixed = [*stream[:2], random_stream(0, other)[0], *stream[3:]]
        samples, verdicts = window(mixed)
        assert refused_by(verdicts) == {2}
        assert torch.equal(samples[:, : 2 * 1_152], window(stream)[0][:, : 2 * 1_152])
        assert torch.equal(samples[:, 5 * 1_152 :], window(stream)[0][:, 5 * 1_152 :])
        assert "header" in native.VERDICTS[verdicts[2]]


def test_a_refused_packet_still_hands_on_its_main_data():
    stream = stream_once(0, Format(44_100, STEREO), num_packets=8)
    broken = bytearray(stream[3])
    broken[9] |= 0xC0  # big_values
    broken[8] |= 0x01
    damaged = [*stream[:3], bytes(broken), *stream[4:]]
    samples, verdicts = window(damaged)
    assert refused_by(verdicts) <= {3}
    assert_like_reference(damaged)
    assert torch.equal(samples[:, 6 * 1_152 :], window(stream)[0][:, 6 * 1_152 :])


@FEW
@given(
    data=st.binary(min_size=40, max_size=3_000),
    cuts=st.lists(st.integers(0, 3_000), max_size=6),
    channels=st.integers(1, 2),
)
@example(data=b"\xff\xfb\x90\x00" * 300, cuts=[], channels=2)
@example(data=b"\xff\xfb\x90\x00" + b"\xff" * 2_000, cuts=[417, 834], channels=1)
def test_any_bytes_decode_to_numbers(data, cuts, channels):
    header = b"\xff\xfb\x90\x40"
    starts = np.array(sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)}), np.uint32)
    damaged = bytearray(data)
    for start in starts[:-1]:
        damaged[start : start + 4] = header
    out = torch.full((channels, 1_152 * (len(starts) - 1)), float("nan"))
    try:
        native.decode_window(bytes(damaged[: len(data)]), starts, skip=0, out=out)
    except ValueError:
        return  # the first packet is shorter than what a header asks for
    assert out.isfinite().all()
    assert out.abs().max() <= LOUDEST


@FEW
@given(seed=SEEDS, mode=st.sampled_from(MODES), gain=st.integers(0, 255))
def test_nothing_is_louder_than_it_may_be(seed, mode, gain):
    stream = random_stream(seed, Format(44_100, mode[0]), mode_extension=mode[1], num_packets=3, global_gain=gain)
    samples, verdicts = window(stream)
    assert samples.isfinite().all()
    assert samples.abs().max() <= LOUDEST
    assert refused_by(verdicts) == set(decode(stream).refused)


@pytest.mark.parametrize("path", sorted((DATA / "damaged").glob("*.mp3")), ids=lambda path: path.stem)
def test_damaged_files(path):
    data = path.read_bytes()
    for section in walk_bytes(data).sections:
        gaps = [gap.packet for gap in section.gaps]
        assert_like_reference(packets_of(data, section), breaks=gaps)


@needs_zoo
@pytest.mark.parametrize("path", sorted(ZOO.glob("*.mp3")), ids=lambda path: path.stem)
def test_the_zoo(path):
    """The beginning of each section of each file, undamaged or not."""
    data = path.read_bytes()
    for section in walk_bytes(data).sections:
        if section.header.layer == 3:
            stop = min(section.num_packets, 12)
            gaps = [gap.packet for gap in section.gaps if gap.packet < stop]
            assert_like_reference(packets_of(data, section)[:stop], breaks=gaps)


@pytest.mark.skipif(not WHOLE_VECTORS.is_dir(), reason="the whole vectors lie beside the checkout, not in it")
@pytest.mark.parametrize("path", sorted(WHOLE_VECTORS.glob("*.bit")), ids=lambda path: path.stem)
def test_whole_vectors(path):
    """Those that break the standard too: they decode to numbers."""
    data = path.read_bytes()
    sections = walk_bytes(data).sections
    for section in sections:
        stream = packets_of(data, section)
        samples, _ = window(stream, breaks=[gap.packet for gap in section.gaps])
        assert samples.isfinite().all()
        assert samples.abs().max() <= LOUDEST
