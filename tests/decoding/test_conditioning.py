from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from builders import make_mp3, make_wav, music, opened, read
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import run

from flowmo_data import OptionError
from flowmo_data.decoding import choose_decoder, fill_frame
from flowmo_data.decoding.conditioning import write_channels, write_dtype
from flowmo_data.decoding.resampling import resample_into
from flowmo_data.decoding.window import Window, within
from flowmo_data.epochs.options import check_dtype
from flowmo_data.tracks import ResampledPart, at_sample_rate


@pytest.mark.parametrize(("make", "name"), [(make_wav, "a.wav"), (make_mp3, "a.mp3")])
@pytest.mark.parametrize(("old", "new"), [(48_000, 44_100), (32_000, 44_100), (48_000, 44_101)])
def test_windows_equal_the_whole(tmp_path, make, name, old, new):
    (part,) = opened(make(tmp_path / name, 30_011, rate=old)).parts
    resampled = ResampledPart(part, new)
    whole = read(resampled, 0, resampled.num_samples).samples.copy()
    assert len(whole) == -(-30_011 * new // old)
    generator = np.random.default_rng(0)
    windows = [(0, 1), (len(whole) - 1, len(whole))]
    windows += [sorted(generator.choice(len(whole) + 1, 2, replace=False).tolist()) for _ in range(10)]
    for start, stop in windows:
        assert np.array_equal(read(resampled, start, stop).samples, whole[start:stop])


@dataclass
class LostPart:
    """Ones, of which some samples are lost."""

    sample_rate: int
    num_samples: int
    lost: tuple[int, int]
    channels: int = 1


def read_lost(part, start, stop):
    return Window(np.ones((stop - start, 1), np.float32), within([np.subtract(part.lost, start)], stop - start))


@pytest.mark.parametrize(("start", "stop", "lost"), [(0, 300, (100, 200)), (150, 160, (0, 10)), (200, 300, None)])
@pytest.mark.parametrize(("old", "new"), [(22_050, 44_100), (10_000_000, 44_101)])
def test_what_is_lost_is_lost_after_resampling(old, new, start, stop, lost):
    """The one reads a window at once, the other in pieces."""
    first, end = (index * old // new for index in (100, 200))
    part = ResampledPart(LostPart(old, 400 * old // new, (first, end)), new)
    out = np.empty((1, stop - start), np.float32)
    assert resample_into(part, start, stop, out, partial(read_lost, part.part)) == (() if lost is None else (lost,))


@pytest.mark.parametrize(("make", "name"), [(make_wav, "a.wav"), (make_mp3, "a.mp3")])
@pytest.mark.parametrize("stored", [1, 2])
@pytest.mark.parametrize("wanted", [1, 2])
def test_channels_are_mixed_before_resampling_as_after(tmp_path, make, name, stored, wanted):
    track = opened(make(tmp_path / name, 30_011, rate=48_000, channels=stored))
    frame = torch.empty(wanted, 20_000)
    fill_frame(at_sample_rate(track, 44_100, on_other_rate="resample"), 3_000, frame, choose_decoder("auto"))
    expected = np.empty((wanted, 20_000), np.float32)
    write_channels(read(ResampledPart(track.parts[0], 44_100), 3_000, 23_000).samples, expected)
    assert np.abs(frame.numpy() - expected).max() < 1e-5


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(0, 20))
def test_channels(stored, wanted, num_samples):
    samples = np.arange(num_samples * stored, dtype=np.float32).reshape(num_samples, stored)
    out = np.full((wanted, num_samples), -1, np.float32)
    write_channels(samples, out)
    if wanted == 1:
        expected = samples.mean(axis=1)[None]
    elif stored == 1:
        expected = np.stack([samples[:, 0]] * 2)
    else:
        expected = samples[:, :2].T
    assert np.array_equal(out, expected)


def test_int16_is_scaled_rounded_and_clipped():
    values = torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 1 / 32_768, 0.4 / 32_768, -0.6 / 32_768, 1.5 / 32_768])
    expected = [0, 32_767, -32_768, 32_767, -32_768, 16_384, 1, 0, -1, 2]
    converted = torch.empty(10, dtype=torch.int16)
    write_dtype(values.numpy(), converted)
    assert converted.tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_other_dtypes_are_casts(dtype):
    values = torch.from_numpy(music(1_000).T.copy())
    out = torch.empty(2, 1_000, dtype=dtype)
    write_dtype(values.numpy(), out)
    assert torch.equal(out, values.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int32, "float32", None])
def test_an_unknown_dtype_is_refused(dtype):
    with pytest.raises(OptionError, match=r"dtype=.*: use one of torch.float32, torch.float16"):
        check_dtype(dtype)


def test_torchaudio_and_minimp3py_are_not_imported_before_they_are_needed():
    code = "import sys, flowmo_data; assert 'torchaudio' not in sys.modules; assert 'minimp3py' not in sys.modules"
    run("-c", code)
