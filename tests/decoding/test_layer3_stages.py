"""Each stage of the decoder in C, for each instruction set, held against the formulas of the standard."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from layer3_filterbank import hybrid, reduce_aliases, synthesize
from layer3_main_data import read_scale_factors, read_spectrum, scale_factor_lengths
from layer3_random import BLOCKS, TABLES, random_granule, random_part
from layer3_side_info import Bits, RefusedError, region_edges
from layer3_spectrum import reorder, requantize, to_left_and_right
from layer3_tables import LINES, SAMPLE_RATES, is_lsf
from layer3_writer import JOINT_STEREO, SINGLE_CHANNEL, Format, as_bytes, spectrum_text
from native_stages import Stages, aligned, variants

pytestmark = pytest.mark.skipif(not variants(), reason="the decoder in C is not built; it is optional")

MANY = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
RATES = st.sampled_from(SAMPLE_RATES)
BLOCK = st.sampled_from(list(BLOCKS))


@pytest.fixture(params=variants(), scope="module")
def stages(request):
    return Stages(request.param)


def random_factors(draw, granule, rate, *, intensity_channel=False):
    lengths, _ = scale_factor_lengths(granule, rate, intensity_channel=intensity_channel)
    text = "".join(str(bit) for bit in draw.integers(0, 2, sum(lengths)))
    bits = Bits(as_bytes(text) + bytes(8))
    return read_scale_factors(bits, granule, rate, scfsi=[0] * 4, intensity_channel=intensity_channel), as_bytes(text)


def close(found, expected, *, error):
    """Whether arrays differ by no more than a share of the largest value."""
    return np.abs(found - expected).max() <= error * max(np.abs(expected).max(), 1e-30)


@MANY
@given(seed=SEEDS, table=st.sampled_from(TABLES), offset=st.integers(0, 40), twice=st.booleans())
def test_codes_of_every_table(stages, seed, table, offset, twice):
    draw, fmt = np.random.default_rng(seed), Format(44_100, SINGLE_CHANNEL)
    part = random_part(draw, fmt, "long", tables=[table] if draw.integers(2) else TABLES)
    text = "1" * offset + spectrum_text(part, 44_100)
    edges = region_edges(part.granule, 44_100)
    lines = stages.huffman(as_bytes(text), offset, len(text), part.granule, edges, twice=twice)
    values = np.array(part.values)
    assert np.allclose(lines, np.sign(values) * np.abs(values) ** (4 / 3), rtol=2e-7, atol=0)


@MANY
@given(seed=SEEDS, share=st.floats(0, 1), rate=RATES, block=BLOCK, twice=st.booleans())
def test_granules_that_end_early(stages, seed, share, rate, block, twice):
    """Big values past the end refuse the granule, and a quadruple past it is dropped; bits behind it are noise."""
    draw = np.random.default_rng(seed)
    part = random_part(draw, Format(rate, SINGLE_CHANNEL), block)
    text = spectrum_text(part, rate) + "".join(str(bit) for bit in draw.integers(0, 2, 64))
    end, edges = int(share * len(text)), region_edges(part.granule, rate)
    lines = stages.huffman(as_bytes(text), 0, end, part.granule, edges, twice=twice)
    try:
        values = read_spectrum(Bits(as_bytes(text) + b"\xa5" * 16), part.granule, rate, end)
    except RefusedError:
        assert lines is None
    else:
        assert np.allclose(lines, np.sign(values) * np.abs(values) ** (4 / 3), rtol=2e-7, atol=0)


@MANY
@given(data=st.binary(max_size=200), seed=SEEDS, twice=st.booleans())
def test_noise_is_decoded_or_refused(stages, data, seed, twice):
    draw = np.random.default_rng(seed)
    granule = random_granule(draw, Format(44_100, SINGLE_CHANNEL), "long", tables=list(range(32)))
    granule.big_values = int(draw.integers(289))
    edges = region_edges(granule, 44_100)
    lines = stages.huffman(data, 0, 8 * len(data), granule, edges, twice=twice)
    try:
        values = read_spectrum(Bits(data + b"\xa5" * 2_048), granule, 44_100, 8 * len(data))
    except RefusedError:
        assert lines is None
    else:
        assert np.allclose(lines, np.sign(values) * np.abs(values) ** (4 / 3), rtol=2e-7, atol=0)


@MANY
@given(seed=SEEDS, rate=RATES, block=BLOCK, intensity=st.booleans())
def test_scale_factors(stages, seed, rate, block, intensity):
    draw = np.random.default_rng(seed)
    granule = random_granule(draw, Format(rate, JOINT_STEREO), block)
    expected, data = random_factors(draw, granule, rate, intensity_channel=intensity)
    lengths, _ = scale_factor_lengths(granule, rate, intensity_channel=intensity)
    values, illegal, preflag, count = stages.scale_factors(data, granule, lsf=is_lsf(rate), intensity_channel=intensity)
    assert count == sum(lengths)
    assert values[: len(expected.values)] == expected.values
    assert preflag == expected.preflag
    if is_lsf(rate):  # in MPEG-1 any value of 7 or more is
        assert illegal[: len(expected.illegal)] == expected.illegal


@MANY
@given(seed=SEEDS, rate=RATES, block=BLOCK, gain=st.integers(0, 255))
def test_requantisation(stages, seed, rate, block, gain):
    draw = np.random.default_rng(seed)
    granule = random_granule(draw, Format(rate, JOINT_STEREO), block)
    granule.global_gain = gain
    factors, _ = random_factors(draw, granule, rate)
    values = draw.integers(-8_206, 8_207, LINES)
    lines = (np.sign(values) * np.abs(values) ** (4 / 3)).astype(np.float32)
    expected = requantize(values, granule, factors, rate)
    assert np.allclose(stages.requantize(lines, granule, factors, rate), expected, rtol=3e-7, atol=1e-37)


@MANY
@given(seed=SEEDS, rate=RATES, block=BLOCK, extension=st.integers(1, 3), stop=st.integers(0, LINES))
@example(seed=0, rate=44_100, block="long", extension=1, stop=400)  # into the band below the uppermost
@example(seed=0, rate=22_050, block="short", extension=3, stop=540)
def test_joint_stereo(stages, seed, rate, block, extension, stop):
    draw = np.random.default_rng(seed)
    granule = random_granule(draw, Format(rate, JOINT_STEREO), block)
    factors, _ = random_factors(draw, granule, rate, intensity_channel=bool(extension & 1))
    left, right = draw.standard_normal((2, LINES)).astype(np.float32)
    right[stop:] = 0
    right[draw.random(LINES) < draw.random()] = 0  # whole windows may be empty
    options = {"granule": granule, "factors": factors, "sample_rate": rate, "mode_extension": extension}
    expected = to_left_and_right(left.astype(float), right.astype(float), **options)
    for found, channel in zip(stages.stereo(left, right, **options), expected, strict=True):
        assert close(found / (2**0.5 if extension & 2 else 1), channel, error=5e-7)


@MANY
@given(seed=SEEDS, rate=RATES, blocks=st.lists(BLOCK, min_size=1, max_size=4))
def test_alias_reduction_imdct_and_overlap(stages, seed, rate, blocks):
    draw = np.random.default_rng(seed)
    kept, overlap = np.zeros((18, 32)), aligned(18 * 32)
    for block in blocks:
        granule = random_granule(draw, Format(rate, JOINT_STEREO), block)
        num_lines = int(draw.integers(LINES + 1))
        lines = draw.standard_normal(LINES).astype(np.float32)
        lines[num_lines:] = 0
        spectrum = reduce_aliases(reorder(lines.astype(float), granule, rate), granule, rate)
        expected, kept = hybrid(spectrum, granule, rate, kept)
        assert close(stages.imdct(lines, num_lines, granule, rate, overlap), expected, error=5e-6)


@MANY
@given(seed=SEEDS, blocks=st.integers(1, 3))
def test_synthesis(stages, seed, blocks):
    slots = np.random.default_rng(seed).standard_normal((24 * blocks, 32)).astype(np.float32)
    expected = synthesize(slots.astype(float), np.zeros((15, 32)))
    assert close(stages.synthesis(slots), expected, error=2e-6)


@pytest.mark.parametrize("subband", [0, 1, 15, 16, 17, 31])
def test_synthesis_of_one_pulse(stages, subband):
    slots = np.zeros((24, 32))
    slots[0, subband] = 1
    assert close(stages.synthesis(slots), synthesize(slots, np.zeros((15, 32))), error=2e-6)


ODD = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    65_504.0,
    65_519.9,
    65_520.0,
    -1e30,
    1e38,
    2**-14,
    2**-24,
    2**-25,
    1.5 * 2**-25,
    1e-40,
    5e-8,
]
TIES = [(n + 0.5) / 32_768 for n in (-32_769, -32_768, -3, -2, -1, 0, 1, 2, 32_766, 32_767)] + [
    1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8,
]  # fmt: skip


@MANY
@given(
    samples=arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
)
@example(samples=np.array(ODD + TIES, np.float32))
def test_output(stages, samples):
    tensor = torch.from_numpy(samples)
    assert np.array_equal(stages.output(samples, "float32"), samples)
    integers = np.clip(np.rint(samples.astype(float) * 32_768), -32_768, 32_767).astype(np.int16)
    assert np.array_equal(stages.output(samples, "int16"), integers)
    half = tensor.clamp(-65_504, 65_504).to(torch.float16).view(torch.int16).numpy()
    assert np.array_equal(stages.output(samples, "float16"), half)
    brain = tensor.to(torch.bfloat16).view(torch.int16).numpy()
    assert np.array_equal(stages.output(samples, "bfloat16"), brain)
