import subprocess
import sys

import numpy as np
import pytest
import torch
from builders import make_mp3, make_wav, music, opened, read
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmo_data import MissingPackageError, OptionError
from flowmo_data.decoding.conditioning import write_channels, write_dtype
from flowmo_data.decoding.resampling import FILTER, import_resample
from flowmo_data.epochs.options import check_dtype
from flowmo_data.tracks.parts import ResampledPart

RATES = [(48_000, 44_100), (44_100, 48_000), (22_050, 44_100), (32_000, 44_100), (44_100, 16_000), (8_000, 44_100)]


@pytest.mark.parametrize(("old", "new"), RATES)
def test_windows_equal_resampling_the_whole_file(tmp_path, old, new):
    path = make_wav(tmp_path / "a.wav", 30_011, rate=old)
    (part,) = opened(path).parts
    whole = import_resample()(old, new, **FILTER)(
        torch.from_numpy(read(part, 0, 30_011).samples.copy()).T.contiguous()
    ).T.numpy()
    resampled = ResampledPart(part, new)
    assert resampled.num_samples == len(whole)
    generator = np.random.default_rng(0)
    windows = [(0, 1), (0, len(whole)), (len(whole) - 1, len(whole))]
    windows += [sorted(generator.choice(len(whole) + 1, 2, replace=False).tolist()) for _ in range(20)]
    for start, stop in windows:
        got = read(resampled, start, stop).samples
        assert got.shape == (stop - start, 2)
        assert np.abs(got - whole[start:stop]).max() < 1e-5


def test_mp3_windows_are_resampled_too(tmp_path):
    (part,) = opened(make_mp3(tmp_path / "a.mp3", 20_000, rate=48_000)).parts
    resampled = ResampledPart(part, 44_100)
    whole = read(resampled, 0, resampled.num_samples).samples.copy()
    assert np.abs(read(resampled, 7_777, 9_999).samples - whole[7_777:9_999]).max() < 1e-5


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
    with pytest.raises(OptionError, match=r"dtype=.*: take one of torch.float32, torch.float16"):
        check_dtype(dtype)


def test_without_torchaudio_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio.transforms", None)
    with pytest.raises(MissingPackageError, match="pip install torch==2.14.1 torchaudio==2.11.0"):
        import_resample()


def test_torchaudio_is_not_imported_before_a_file_needs_it():
    code = "import sys, flowmo_data; assert 'torchaudio' not in sys.modules; assert 'minimp3py' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
