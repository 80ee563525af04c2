"""The decoder in C as a whole, for each instruction set: against ISO's vectors, the reference, and itself."""

import copy
import threading
from functools import cache

import numpy as np
import pytest
import torch
from builders import DATA, ZOO, needs_zoo, packets, packets_of, walk_bytes
from flowmo_data.mpeg.headers import packet_lengths, parse_header
from hypothesis import example, given, settings
from hypothesis import strategies as st
from layer3_cases import FULL_ACCURACY, ROUNDING, VECTORS, WHOLE_VECTORS, load_vector, run_of, vector_error
from layer3_random import BLOCKS, random_stream
from layer3_reference import decode
from layer3_side_info import Granule
from layer3_tables import SAMPLE_RATES
from layer3_writer import (
    DUAL_CHANNEL,
    JOINT_STEREO,
    SINGLE_CHANNEL,
    STEREO,
    Format,
    Packet,
    Part,
    as_bytes,
    side_info_text,
    write_packets,
)
from native_stages import variants

from flowmo_data import MissingPackageError, OptionError
from flowmo_data.decoding import native

pytestmark = pytest.mark.skipif(not variants(), reason="the decoder in C is not built; it is optional")

SEEDS = st.integers(0, 2**32 - 1)
MODES = [(STEREO, 0), (DUAL_CHANNEL, 0), (SINGLE_CHANNEL, 0), *((JOINT_STEREO, extension) for extension in range(4))]
FEW = settings(max_examples=15, deadline=None)
"""for what takes the reference tenths of a second"""
ERROR = 3e-6
"""of samples within full scale, where float32 is not the double of the reference"""
CANCELLED = 1e-5
"""of samples that are what is left of larger ones: where windows do not fit, as in damaged streams"""
LOUDEST = 100
LEAD_IN = 2


@pytest.fixture(params=variants(), autouse=True, scope="module")
def variant(request):
    """Every test runs with every instruction set of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(native.VARIANT_VARIABLE, request.param)
        patch.setattr(native, "_local", threading.local())
        native._library.cache_clear()
        assert native.variant() == request.param
        yield request.param
    native._library.cache_clear()


@cache
def stream_once(seed, fmt, **options):
    """A random stream, made once for all instruction sets."""
    return tuple(random_stream(seed, fmt, **options))


def samples_of(stream):
    """Samples per channel that packets decode to."""
    header = parse_header(stream[0])
    return len(stream) * header.samples_per_packet


def window(stream, skip=0, stop=None, *, channels=None, dtype=torch.float32, breaks=None):
    """The samples `[skip, stop)` of packets, and the verdicts; what is not written is not a number."""
    stop = samples_of(stream) if stop is None else stop
    channels = channels or parse_header(stream[0]).channels
    out = torch.full((channels, stop - skip), -12_345, dtype=dtype)
    starts = np.cumsum([0, *map(len, stream)]).astype(np.uint32)
    lost = None if breaks is None else np.isin(np.arange(len(stream)), breaks).astype(np.uint8)
    verdicts = native.decode_window(b"".join(stream), starts, skip=skip, out=out, breaks=lost)
    return out, verdicts


def refused_by(verdicts):
    return set(np.flatnonzero(verdicts).tolist())


@cache
def decode_once(stream, breaks):
    return decode(stream, breaks)


def assert_like_reference(stream, *, error=CANCELLED, breaks=()):
    """The same packets are refused, and the samples are those of the formulas."""
    expected = decode_once(tuple(stream), tuple(breaks))
    found, verdicts = window(stream, breaks=breaks)
    assert refused_by(verdicts) == set(expected.refused)
    loudest = max(np.abs(expected.samples).max(), 1)
    assert np.abs(found.numpy() - expected.samples).max() < error * loudest


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name):
    error = vector_error(name, window(load_vector(name)[0])[0].numpy())
    assert np.sqrt((error**2).mean()) < FULL_ACCURACY * ROUNDING
    assert np.abs(error).max() < 0.6 / 32_768


@FEW
@given(
    seed=SEEDS, rate=st.sampled_from(SAMPLE_RATES), mode=st.sampled_from(MODES), fitting=st.booleans(),
    same_blocks=st.booleans(), protected=st.booleans(), reservoir=st.booleans(), private_bits=st.integers(0, 1),
)  # fmt: skip
def test_random_streams(seed, rate, mode, fitting, same_blocks, protected, reservoir, private_bits):
    fmt = Format(rate, mode[0], protected=protected, reservoir=reservoir)
    assert_like_reference(
        random_stream(
            seed, fmt, mode_extension=mode[1], num_packets=3, fitting=fitting, same_blocks=same_blocks,
            private_bits=private_bits,
        ),
        error=ERROR if fitting else CANCELLED,
    )  # fmt: skip


@pytest.mark.parametrize("free_bytes", [100, 417, 1_500, 4_608, 8_000])
def test_free_format(free_bytes):
    assert_like_reference(stream_once(0, Format(44_100, STEREO, free_bytes=free_bytes)), error=ERROR)


@FEW
@given(seed=SEEDS, mode=st.sampled_from(MODES), rate=st.sampled_from([44_100, 22_050]), channels=st.integers(1, 2))
def test_a_window_is_a_slice_of_the_whole(seed, mode, rate, channels):
    """To the bit, wherever the run begins that has what the window needs."""
    draw = np.random.default_rng(seed)
    stream = random_stream(seed, Format(rate, mode[0]), mode_extension=mode[1], num_packets=12, same_blocks=seed % 2)
    whole, verdicts = window(stream, channels=channels)
    assert not verdicts.any()
    per_packet = samples_of(stream[:1])
    for _ in range(8):
        skip, stop = np.sort(draw.integers(0, whole.shape[1] + 1, 2)).tolist()
        part, _ = window(stream, skip, stop, channels=channels)
        assert torch.equal(part, whole[:, skip:stop])
        first = max(skip // per_packet - LEAD_IN, 0)
        reservoir = 511
        while first and reservoir > 0:
            first -= 1
            reservoir -= len(stream[first]) - 38
        before = first * per_packet
        part, verdicts = window(stream[first:], skip - before, stop - before, channels=channels)
        assert torch.equal(part, whole[:, skip:stop])
        assert not verdicts[max(skip // per_packet - first, 0) :].any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate", [48_000, 16_000])
@pytest.mark.parametrize("same_blocks", [True, False])
def test_one_row_of_stereo_is_the_mean_of_both(rate, mode, same_blocks):
    for seed in range(2):
        stream = stream_once(seed, Format(rate, mode[0]), mode_extension=mode[1], same_blocks=same_blocks)
        both, _ = window(stream, channels=2)
        mean, _ = window(stream, channels=1)
        assert (both.mean(0) - mean[0]).abs().max() < 5e-6
        assert mode[0] != SINGLE_CHANNEL or torch.equal(both[0], both[1])


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_to_one_row(name):
    stream, _ = load_vector(name)
    both, one = window(stream, channels=2)[0], window(stream, channels=1)[0]
    assert (both.mean(0) - one[0]).abs().max() < 5e-6 * max(float(both.abs().max()), 1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", [(STEREO, 0), (SINGLE_CHANNEL, 0)])
def test_types_of_samples(mode, channels):
    stream = stream_once(1, Format(44_100, mode[0]))
    for skip, stop in ((0, samples_of(stream)), (577, 2_001), (1_151, 1_152), (5, 5)):
        floats = window(stream, skip, stop, channels=channels)[0]
        integers = (floats.double() * 32_768).round().clamp(-32_768, 32_767).to(torch.int16)
        assert torch.equal(window(stream, skip, stop, channels=channels, dtype=torch.int16)[0], integers)
        for dtype in (torch.float16, torch.bfloat16):
            assert torch.equal(window(stream, skip, stop, channels=channels, dtype=dtype)[0], floats.to(dtype))


def test_nothing_but_the_window_is_written():
    stream = stream_once(1, Format(44_100, STEREO))
    whole, _ = window(stream)
    starts = np.cumsum([0, *map(len, stream)]).astype(np.uint32)
    for dtype in (np.float32, np.int16):
        memory = np.full((2, 400), 77, dtype)
        native.decode_window(b"".join(stream), starts, skip=1_000, out=memory[:, 100:301])
        assert (memory[:, :100] == 77).all()
        assert (memory[:, 301:] == 77).all()
        if dtype is np.float32:
            assert np.array_equal(memory[:, 100:301], whole[:, 1_000:1_201].numpy())


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


@pytest.mark.parametrize("name", ["mpeg25_8000_mono", "mpeg2_22050_stereo_vbr", "seven_samples", "cbr32_low_bitrate"])
def test_small_files(name):
    assert_like_reference(packets((DATA / f"{name}.mp3").read_bytes())[:30])


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


def test_threads_do_not_disturb_each_other():
    streams = [random_stream(seed, Format(44_100, STEREO), num_packets=6) for seed in range(4)]
    expected = [window(stream)[0] for stream in streams]
    wrong = []

    def work(number):
        for _ in range(50):
            if not torch.equal(window(streams[number])[0], expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_arrays_are_taken_as_tensors_are():
    stream = stream_once(0, Format(44_100, STEREO))
    data, starts = b"".join(stream), np.cumsum([0, *map(len, stream)])
    for given_data in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        out = np.empty((2, 3_000), np.float32)
        native.decode_window(given_data, starts.astype(np.uint32), skip=500, out=out)
        assert np.array_equal(out, window(stream, 500, 3_500)[0].numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skip": -1}, "window is not within the run"),
        ({"skip": 5 * 1_152 - 9}, "window is not within the run"),
        ({"starts": [0, 400, 300, 1_000]}, "starts must ascend"),
        ({"starts": [0, 400, 10**8]}, "starts must ascend, and end within data"),
        ({"starts": [0]}, "starts must ascend, and end within data"),
        ({"starts": [1, 400]}, "the first packet has no header of Layer III"),
        ({"starts": [0, 3]}, "the first packet has no header of Layer III"),
        ({"out": torch.zeros(3, 10)}, "one or two rows"),
        ({"out": torch.zeros(0, 10)}, "one or two rows"),
        ({"out": torch.zeros(2, 10, dtype=torch.float64)}, "out is torch.float64"),
        ({"out": torch.zeros(10, 2).T}, "rows of out are not contiguous"),
    ],
)
def test_what_does_not_fit_is_an_error(change, message):
    stream = stream_once(0, Format(44_100, STEREO))
    arguments = {"starts": np.cumsum([0, *map(len, stream)]), "skip": 0, "out": torch.zeros(2, 10), **change}
    starts = np.array(arguments.pop("starts"), np.uint32)
    with pytest.raises(ValueError, match=message):
        native.decode_window(b"".join(stream), starts, **arguments)


def test_packets_are_followed():
    stream = stream_once(0, Format(44_100, STEREO), num_packets=9)
    data, starts = b"".join(stream), np.cumsum([0, *map(len, stream)])
    lengths = np.array(packet_lengths(data[1]), np.uint32)
    for start, count, found in ((0, 9, 9), (0, 5, 5), (starts[3], 9, 6), (0, 50, 9), (0, 0, 0), (len(data), 3, 0)):
        offsets, end = native.follow_packets(data, lengths, start=int(start), num_packets=count)
        first = int(np.searchsorted(starts, start))
        assert offsets.tolist() == starts[first : first + found].tolist()
        assert end == starts[first + found]


def test_packets_are_followed_no_further_than_the_data():
    stream = stream_once(0, Format(44_100, STEREO), num_packets=3)
    data = b"".join(stream)
    lengths = np.array(packet_lengths(data[1]), np.uint32)
    for size in range(len(stream[0]) + 3):
        offsets, end = native.follow_packets(data[:size], lengths, start=0, num_packets=3)
        assert offsets.tolist() == ([] if size < 3 else [0] if size < len(stream[0]) + 3 else [0, len(stream[0])])
        assert end == (0 if size < 3 else len(stream[0]))


def test_packets_are_followed_up_to_a_length_that_is_not_known():
    stream = stream_once(0, Format(44_100, STEREO), num_packets=3)
    data = b"".join(stream)
    lengths = np.array(packet_lengths(data[1]), np.uint32)
    lengths[data[len(stream[0]) + 2]] = 0
    offsets, end = native.follow_packets(data, lengths, start=0, num_packets=3)
    expected = 0 if lengths[data[2]] == 0 else 1
    assert len(offsets) == expected
    assert end == expected * len(stream[0])


def test_an_instruction_set_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv(native.VARIANT_VARIABLE, "avx1024")
    native._library.cache_clear()
    with pytest.raises(OptionError, match=r"FLOWMO_DATA_SIMD='avx1024'.*take one of .*baseline"):
        native.variant()
    native._library.cache_clear()


def test_without_the_library_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "none.so")
    native._library.cache_clear()
    assert not native.is_available()
    assert "none.so" in native.unavailable()
    with pytest.raises(MissingPackageError, match="Install a C compiler"):
        native.decode_window(b"", np.zeros(1, np.uint32), skip=0, out=np.zeros((1, 1), np.float32))
    native._library.cache_clear()


def test_the_fastest_instruction_set_is_taken(monkeypatch):
    monkeypatch.delenv(native.VARIANT_VARIABLE)
    native._library.cache_clear()
    assert native.variant() == variants()[0]
    native._library.cache_clear()


def test_runs_of_the_package_are_taken_as_they_are():
    stream = load_vector("test46")[0]
    run = run_of(stream)
    out = torch.empty(2, run.num_samples)
    native.decode_window(run.data, np.array(run.starts, np.uint32), skip=0, out=out)
    assert torch.equal(out, window(stream)[0])
