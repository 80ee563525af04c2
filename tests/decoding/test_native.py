"""The decoder in C as a whole, for each instruction set: against ISO's vectors, the reference, and itself."""

import numpy as np
import pytest
import torch
from builders import DATA, packets
from hypothesis import given
from hypothesis import strategies as st
from layer3_cases import FULL_ACCURACY, ROUNDING, VECTORS, load_vector, vector_error
from layer3_random import random_stream
from layer3_tables import SAMPLE_RATES
from layer3_writer import (
    SINGLE_CHANNEL,
    STEREO,
    Format,
)
from native_cases import CANCELLED, ERROR, FEW, MODES, SEEDS, assert_like_reference, samples_of, stream_once, window
from native_stages import variants

pytestmark = [
    pytest.mark.skipif(not variants(), reason="the decoder in C is not built; it is optional"),
    pytest.mark.usefixtures("variant"),
]

LEAD_IN = 2


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


@pytest.mark.parametrize("name", ["mpeg25_8000_mono", "mpeg2_22050_stereo_vbr", "seven_samples", "cbr32_low_bitrate"])
def test_small_files(name):
    assert_like_reference(packets((DATA / f"{name}.mp3").read_bytes())[:30])
