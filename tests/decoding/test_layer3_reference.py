"""The reference decoder and the bitstream writer, held against ISO's vectors, minimp3, mpg123 and each other."""

from itertools import pairwise

import numpy as np
import pytest
from builders import EVERY_RUN_DECODER
from hypothesis import given, settings
from hypothesis import strategies as st
from layer3_cases import FULL_ACCURACY, ROUNDING, VECTORS, load_vector, run_of, vector_error
from layer3_filterbank import hybrid, imdct_matrix, reduce_aliases, synthesize, window, windowed_block
from layer3_main_data import read_scale_factors, read_spectrum
from layer3_random import BLOCKS, TABLES, random_packet, random_part, random_stream
from layer3_reference import decode
from layer3_side_info import Bits, Granule, coded_bands, read_side_info
from layer3_tables import (
    LINES,
    LONG_WIDTHS,
    SAMPLE_RATES,
    SHORT_WIDTHS,
    is_lsf,
    pair_codes,
    quad_codes,
    synthesis_window,
)
from layer3_writer import (
    INTENSITY,
    JOINT_STEREO,
    MS,
    SINGLE_CHANNEL,
    STEREO,
    Format,
    as_bytes,
    main_data_text,
    side_info_text,
    spectrum_text,
)

from flowmo_data.decoding.registry import load_run_decoder

FORMATS = [
    pytest.param(rate, mode, extension, id=f"{rate}-{name}")
    for rate in SAMPLE_RATES
    for name, mode, extension in (
        ("stereo", STEREO, 0), ("mono", SINGLE_CHANNEL, 0), ("ms", JOINT_STEREO, MS),
    )
]  # fmt: skip
ROUNDING_FLOAT = 3e-6
"""of the loudest sample: what float32 decoders are off by"""


def test_bands_tile_the_lines():
    for rate in SAMPLE_RATES:
        assert sum(LONG_WIDTHS[rate]) == 3 * sum(SHORT_WIDTHS[rate]) == 576


@pytest.mark.parametrize("table", TABLES[1:])
def test_codes_of_pairs_are_complete_and_no_code_starts_another(table):
    codes = sorted(pair_codes(table))
    assert sum(2.0 ** -len(code) for code in codes) == 1
    assert not any(after.startswith(code) for code, after in pairwise(codes))


def test_codes_of_quadruples_are_complete():
    assert [sum(2.0 ** -len(code) for code in quad_codes(table)) for table in (0, 1)] == [1, 1]


def test_the_synthesis_window_is_power_complementary():
    window = np.abs(synthesis_window().reshape(16, 32))
    power = (window**2).sum(0)[1:] + (window**2).sum(0)[:0:-1]
    assert np.ptp(power) < 1e-3 * power.mean()


@pytest.mark.parametrize(
    "blocks",
    [(0, 0, 0), (0, 1, 2, 3, 0), (1, 2, 2, 2, 3, 1, 2, 3), (3, 0)],
    ids=lambda blocks: "".join(map(str, blocks)),
)
def test_windows_of_neighbours_cancel_aliasing(blocks):
    draw = np.random.default_rng(0)
    signal = draw.standard_normal(18 * (len(blocks) + 1))
    decoded = np.zeros(len(signal))
    for index, block_type in enumerate(blocks):
        part = signal[18 * index : 18 * index + 36]
        if block_type == 2:
            lines = np.empty(18)
            for w in range(3):
                lines[w::3] = imdct_matrix(12).T @ (part[6 + 6 * w : 18 + 6 * w] * window(2)) / 3
        else:
            lines = imdct_matrix(36).T @ (part * window(block_type)) / 9
        decoded[18 * index : 18 * index + 36] += windowed_block(lines, block_type)
    assert np.abs(decoded - signal)[18:-18].max() < 1e-12


@pytest.mark.parametrize("block", ["long", "start", "short", "mixed", "stop"])
def test_no_sample_is_beyond_seventeen_times_the_root_of_a_granules_energy(block):
    """That is what the decoder in C takes for quiet. The weights of all lines in one sample: their squares add up."""
    switching, block_type, mixed = BLOCKS[block]
    granule = Granule(window_switching_flag=switching, block_type=block_type, mixed_block_flag=mixed)
    weights = np.zeros(4 * LINES)
    for line in range(LINES):
        pulse = reduce_aliases(np.eye(1, LINES, line)[0], granule, 44_100)
        first, overlap = hybrid(pulse, granule, 44_100, np.zeros((18, 32)))
        second, _ = hybrid(np.zeros(LINES), Granule(), 44_100, overlap)
        slots = np.concatenate([first, second, np.zeros((36, 32))])
        weights += synthesize(slots, np.zeros((15, 32))) ** 2
    assert 9 < weights.max() ** 0.5 < 17


@pytest.mark.parametrize("name", VECTORS)
def test_the_reference_decodes_the_vectors(name):
    error = vector_error(name, decode(load_vector(name)[0]).samples)
    assert np.sqrt((error**2).mean()) < FULL_ACCURACY * ROUNDING
    assert np.abs(error).max() < 0.53 / 32_768


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from(SAMPLE_RATES),
    block=st.sampled_from(list(BLOCKS)),
    intensity=st.booleans(),
)
def test_what_is_written_is_read(seed, rate, block, intensity):
    draw, fmt = np.random.default_rng(seed), Format(rate, JOINT_STEREO)
    packet = random_packet(draw, fmt, [[block, block]] * fmt.num_granules, INTENSITY * intensity)
    bits = Bits(as_bytes(main_data_text(packet, fmt)))
    side = read_side_info(as_bytes(side_info_text(packet, fmt, 77)), rate, 2)
    assert side.main_data_begin == 77
    before = [None, None]
    for parts, granules in zip(packet.parts, side.granules, strict=True):
        for channel, (part, granule) in enumerate(zip(parts, granules, strict=True)):
            assert granule == part.granule
            end = bits.pos + granule.part2_3_length
            before[channel] = read_scale_factors(
                bits, granule, rate, scfsi=side.scfsi[channel], before=before[channel],
                intensity_channel=intensity and channel == 1,
            )  # fmt: skip
            assert before[channel].values[: len(part.factors)] == part.factors
            assert len(before[channel].values) == len(coded_bands(granule, rate))
            assert read_spectrum(bits, granule, rate, end).tolist() == part.values


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), table=st.sampled_from(TABLES), count1table=st.integers(0, 1))
def test_every_table_is_read_as_written(seed, table, count1table):
    draw, fmt = np.random.default_rng(seed), Format(44_100, SINGLE_CHANNEL)
    part = random_part(draw, fmt, "long", tables=[table])
    part.granule.count1table_select = count1table
    text = spectrum_text(part, fmt.sample_rate)
    assert read_spectrum(Bits(as_bytes(text)), part.granule, fmt.sample_rate, len(text)).tolist() == part.values


def differences(decoder, stream):
    """The largest difference from the reference, as a share of its loudest sample."""
    expected = decode(stream)
    assert not expected.refused
    samples = load_run_decoder(decoder)(run_of(stream)).T
    return np.abs(samples - expected.samples).max() / max(np.abs(expected.samples).max(), 1)


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
@pytest.mark.parametrize(("rate", "mode", "extension"), FORMATS)
def test_decoders_agree_with_the_reference(decoder, rate, mode, extension):
    """Not on mixed blocks at low rates, of which each decoder thinks otherwise, and no encoder writes them."""
    for seed in range(2):
        stream = random_stream(seed, Format(rate, mode), mode_extension=extension, mixed=not is_lsf(rate))
        assert differences(decoder, stream) < ROUNDING_FLOAT


@pytest.mark.parametrize("extension", [INTENSITY, INTENSITY | MS])
@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_minimp3_agrees_on_intensity_stereo(rate, extension):
    """Not in mixed blocks, for which it takes one bound for long and short bands."""
    pytest.importorskip("minimp3py", reason="minimp3py is not installed; it is optional")
    for seed in range(3):
        stream = random_stream(seed, Format(rate, JOINT_STEREO), mode_extension=extension, mixed=False)
        assert differences("minimp3py", stream) < ROUNDING_FLOAT


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
@pytest.mark.parametrize(
    "fmt",
    [
        Format(44_100, STEREO, protected=True), Format(16_000, SINGLE_CHANNEL, protected=True),
        Format(44_100, STEREO, free_bytes=1_500), Format(24_000, STEREO, free_bytes=700),
        Format(48_000, STEREO, reservoir=False), Format(12_000, STEREO, reservoir=False),
    ],
    ids=["crc", "lsf crc", "free", "lsf free", "no reservoir", "lsf no reservoir"],
)  # fmt: skip
def test_decoders_agree_on_every_framing(decoder, fmt):
    assert differences(decoder, random_stream(7, fmt, mixed=not is_lsf(fmt.sample_rate))) < ROUNDING_FLOAT


def test_mpg123_agrees_on_windows_that_do_not_fit():
    stream = random_stream(3, Format(44_100, STEREO), fitting=False, same_blocks=False)
    assert differences("soundfile", stream) < ROUNDING_FLOAT


def test_private_bits_mean_nothing():
    stream = random_stream(1, Format(44_100, STEREO), private_bits=5)
    assert np.array_equal(decode(stream).samples, decode(random_stream(1, Format(44_100, STEREO))).samples)
    assert differences("soundfile", stream) < ROUNDING_FLOAT  # minimp3 takes them for scfsi


def test_main_data_that_is_not_there_refuses_the_packet_and_no_other():
    stream = random_stream(0, Format(44_100, STEREO), num_packets=6)
    whole, late = decode(stream), decode(stream[1:])
    assert list(late.refused) == [0]
    assert np.abs(late.samples[:, 3 * 1152 :] - whole.samples[:, 4 * 1152 :]).max() < 1e-12
    assert list(decode(stream, breaks=[3]).refused) == [3]
