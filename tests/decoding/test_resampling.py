"""Resampling against torchaudio, and against a sum in double precision over taps by the filter's formula."""

import math
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from builders import make_wav
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmo_data import AudioFileError, AudioIndex, StreamingAudioDataset
from flowmo_data.decoding.convolving import CompiledKernels, NumpyKernels
from flowmo_data.decoding.polyphase import FILTER, Ratio, make_cubics, make_rows
from flowmo_data.decoding.resampling import Resampler, best_kernels
from flowmo_data.runtime import library
from flowmo_data.tracks.parts import RATES, refusal

ORDINARY = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000]
ODD = [
    *[(44_101, 44_100), (22_254, 44_100), (11_127, 44_100), (8_012, 44_100), (96_001, 44_100), (44_100, 44_101)],
    *[(1, 44_100), (3, 1_000), (10_000_000, 44_100), (10_000_000, 8_000), (9_999_991, 11_025), (44_100, 1)],
]
KERNELS = {variant: CompiledKernels(variant) for variant in library.variants()} | {"numpy": NumpyKernels()}
every_kernel = pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)


def noise(num_samples, channels=2):
    return np.random.default_rng(0).uniform(-1, 1, (num_samples, channels)).astype(np.float32)


def resample(samples, old, new, start=0, stop=None, kernels=None):
    resampler = Resampler(old, new, kernels=kernels)
    stop = resampler.num_samples(len(samples)) if stop is None else stop
    out = np.full((samples.shape[1], stop - start), np.nan, np.float32)
    resampler.resample(lambda begin, end: samples[begin:end], len(samples), start, stop, out)
    return out.T


def formula(samples, old, new, index):
    """One output sample: a sinc under a Kaiser window, as resampy's documentation has it."""
    place, cutoff = index * old / new, min(1, new / old) * FILTER["rolloff"]
    # the whole part by itself, for a fraction in full precision
    whole, fraction = index * old // new, index * old % new / new
    reach = math.ceil(64 / cutoff) + 1
    near = np.arange(max(whole - reach, 0), min(whole + reach, len(samples)))
    crossings = ((near - whole) - fraction) * cutoff
    inside = np.abs(crossings) < 64
    assert abs(whole + fraction - place) < 1e-3
    window = np.i0(FILTER["beta"] * np.sqrt(1 - (crossings[inside] / 64) ** 2)) / np.i0(FILTER["beta"])
    return (cutoff * np.sinc(crossings[inside]) * window) @ samples[near[inside]].astype(np.float64)


@every_kernel
@pytest.mark.parametrize("new", [44_100, 16_000])
@pytest.mark.parametrize("old", sorted({*ORDINARY} - {16_000, 44_100}))
def test_ordinary_rates_equal_torchaudio_in_double_precision(old, new, kernels):
    """Its taps in single precision, by default, are off by 1e-5: they come of phases rounded to single precision."""
    from torchaudio.transforms import Resample

    samples = noise(6_000)
    wanted = Resample(old, new, **FILTER, dtype=torch.float64)(torch.from_numpy(samples.T.astype(np.float64))).T.numpy()
    got = resample(samples, old, new, kernels=kernels)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() < 1e-6


@every_kernel
@pytest.mark.parametrize(("old", "new"), ODD)
def test_odd_rates_equal_the_formula(old, new, kernels):
    samples = noise(max(3_000, 5 * old // new))
    num_samples = Resampler(old, new).num_samples(len(samples))
    for index in {0, 1, num_samples // 3, num_samples // 2, num_samples - 1}:
        got = resample(samples, old, new, index, index + 1, kernels)
        assert np.abs(got[0] - formula(samples, old, new, index)).max() < 1e-6


RATE = st.one_of(st.integers(*RATES), st.integers(7_000, 100_000), st.sampled_from(ORDINARY))


@every_kernel
@settings(deadline=None, max_examples=50)
@given(RATE, st.one_of(st.integers(1, 200_000), st.sampled_from(ORDINARY)), st.integers(1, 3), st.data())
def test_windows_equal_the_whole(kernels, old, new, channels, data):
    ratio = old / new
    samples = noise(min(max(int(min(200 * ratio, 50_000)), 5), 50_000), channels)
    num_samples = Resampler(old, new).num_samples(len(samples))
    base = data.draw(st.integers(0, max(num_samples - 2_000, 0)))
    top = min(base + 2_000, num_samples)
    whole = resample(samples, old, new, base, top, kernels)
    assert np.isfinite(whole).all()
    start = data.draw(st.integers(base, top - 1))
    stop = data.draw(st.integers(start + 1, top))
    assert np.array_equal(resample(samples, old, new, start, stop, kernels), whole[start - base : stop - base])


@every_kernel
@pytest.mark.parametrize(("old", "new"), [(48_000, 44_100), (8_000, 3), (8_000, 7_001)])
def test_long_input_is_read_in_pieces_that_do_not_show(old, new, kernels):
    samples, asked = noise(1_300_000, 1), []
    resampler = Resampler(old, new, kernels=kernels)
    num_samples = resampler.num_samples(len(samples))
    start = num_samples - 20 if old > 1_000 * new else 0
    whole = np.empty((1, num_samples - start), np.float32)

    def read(begin, end):
        asked.append((begin, end))
        return samples[begin:end]

    resampler.resample(read, len(samples), start, num_samples, whole)
    assert max(end - begin for begin, end in asked) <= (1 << 20) + 2_000
    for first in (start, (start + num_samples) // 2):
        last = min(first + 500, num_samples)
        got = resample(samples, old, new, first, last, kernels)
        assert np.array_equal(got, whole.T[first - start : last - start])


@every_kernel
@pytest.mark.parametrize(("old", "new"), [(48_000, 44_100), (44_100, 48_000), (44_101, 44_100), (96_001, 48_000)])
def test_a_sine_keeps_its_level_and_what_would_be_mirrored_is_gone(old, new, kernels):
    def level(hertz):
        sine = np.sin(2 * np.pi * hertz * np.arange(20_000) / old).astype(np.float32)[:, None]
        middle = resample(sine, old, new, kernels=kernels)[1_000:-1_000].astype(np.float64)
        return 10 * np.log10(2 * (middle**2).mean())

    assert abs(level(1_000)) < 0.01
    assert abs(level(0.4 * min(old, new))) < 0.01
    if old > new + 1:
        assert level(0.6 * new if old > 1.3 * new else 23_500) < -120


@every_kernel
def test_layout_of_the_input_does_not_matter(kernels):
    interleaved = noise(5_000)
    planar = np.ascontiguousarray(interleaved.T).T
    for new in (44_100, 44_101):
        assert np.array_equal(
            resample(interleaved, 48_000, new, kernels=kernels), resample(planar, 48_000, new, kernels=kernels)
        )


@pytest.mark.parametrize(
    ("old", "new"), [*ODD, (10_000_000, 1), (1, 10_000_000), (9_999_991, 44_100), (192_000, 8_000), (44_056, 44_100)]
)
def test_tables_are_small(old, new):
    ratio = Ratio.of(old, new)
    table = make_rows(ratio, phases_per_group=4).taps if ratio.is_exact else make_cubics(ratio).coefficients
    assert table.nbytes < 2.2e6


@pytest.mark.parametrize(("old", "new"), [(44_101, 44_100), (11_127, 44_100), (96_001, 44_100), (10_000_000, 8_000)])
def test_cubics_are_as_exact_as_derived(old, new):
    """All samples of input that have the worst signs, for which rounding the coefficients costs most."""
    ratio = Ratio.of(old, new)
    cubics, numbers = make_cubics(ratio), np.arange(2 * ratio.half_width)
    for phase in np.linspace(0, 1, 50, endpoint=False):
        crossings = (numbers - phase - ratio.half_width + 1) * ratio.cutoff
        crossings = crossings.clip(-64, 64)
        window = np.i0(FILTER["beta"] * np.sqrt(1 - (crossings / 64) ** 2)) / np.i0(FILTER["beta"])
        exact = ratio.cutoff * np.sinc(crossings) * window
        assert np.abs(cubics.taps(numbers, phase) - exact).sum() < 2e-7


HOSTILE = """
import resource, sys
import numpy as np
from flowmo_data.decoding.convolving import CompiledKernels, NumpyKernels
from flowmo_data.decoding.resampling import Resampler
kernels = NumpyKernels() if sys.argv[1] == "numpy" else CompiledKernels(sys.argv[1])
piece = np.ones((1 << 20, 2), np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for old, new, num_samples, stop in [
    (44_101, 44_100, 1 << 40, 10_000), (1, 44_100, 100, 10_000), (9_999_991, 44_100, 1 << 40, 100),
    (10_000_000, 8_000, 300_000, 10), (10_000_000, 1, 300_000, 1), (1, (1 << 31) - 1, 1 << 40, 1_000),
]:
    out = np.empty((2, stop), np.float32)
    Resampler(old, new, kernels=kernels).resample(lambda a, b: piece[: b - a], num_samples, 0, stop, out)
    assert np.isfinite(out).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("kernels", KERNELS)
def test_hostile_rates_take_little_memory(kernels):
    done = subprocess.run([sys.executable, "-c", HOSTILE, kernels], capture_output=True, text=True, check=True)
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1_024)
    assert grown < 100e6


@pytest.mark.skipif(not library.is_available(), reason="the C library is optional, and was not built")
def test_the_c_library_is_taken_where_it_is_there():
    assert isinstance(best_kernels(), CompiledKernels)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (1, 1_000, ""),
        (10_000_000, 1, ""),
        (44_101, 44_100, ""),
        (1, 44_100, "claims a sample rate of 1 Hz, less than a thousandth of sr=44100"),
        (3_000_000_000, 44_100, "claims a sample rate of 3000000000 Hz; from 1 to 10000000 Hz"),
        (0, 44_100, "claims a sample rate of 0 Hz"),
    ],
)
def test_what_is_refused(old, new, reason):
    assert bool(reason) == bool(refusal(old, new))
    assert reason in refusal(old, new)


def test_a_file_at_a_rate_that_cannot_be_is_an_error_of_the_file(tmp_path, caplog):
    make_wav(tmp_path / "a.wav", 1_000)
    bad = make_wav(tmp_path / "b.wav", 1_000)
    data = bytearray(bad.read_bytes())
    data[24:28] = (1).to_bytes(4, "little")
    bad.write_bytes(data)
    assert soundfile.info(bad).samplerate == 1
    assert len(list(StreamingAudioDataset(str(tmp_path), samples_per_frame=1_000, shuffle=False))) == 1
    with pytest.raises(AudioFileError, match=r"b\.wav: its header claims a sample rate of 1 Hz"):
        list(StreamingAudioDataset(str(tmp_path), on_error="raise"))
    index = tmp_path / "index.parquet"
    AudioIndex.build(str(tmp_path)).save(str(index))
    caplog.clear()
    assert len(list(StreamingAudioDataset(str(index), samples_per_frame=1_000, shuffle=False))) == 1
    assert "its header claims a sample rate of 1 Hz" in caplog.text
