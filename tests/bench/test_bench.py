from importlib.util import find_spec

import numpy as np
import pytest
import soundfile
import torch
from builders import ZOO, make_ramps, needs_zoo
from torch.utils.data import DataLoader

from flowmo_data import MissingPackageError
from flowmo_data.bench.baselines import (
    LibrosaDataset,
    TorchcodecDataset,
    check_torchcodec,
    own_decoder,
    whole_file_batches,
)
from flowmo_data.bench.demo import make_demo
from flowmo_data.bench.measuring import measure
from flowmo_data.bench.plotting import draw
from flowmo_data.bench.reporting import Result, recommendation, results_table, share_of_limit
from flowmo_data.bench.setups import Measurement, Setup


def test_the_demo_corpus_is_made_once(tmp_path):
    folder = tmp_path / "demo"
    paths = list(make_demo(folder, num_files=2, seconds=2))
    assert sorted(folder.iterdir()) == paths
    assert all(soundfile.info(path).frames == 2 * 44_100 for path in paths)
    before = [path.stat().st_mtime_ns for path in paths]
    assert list(make_demo(folder, num_files=2, seconds=2)) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_a_setup_survives_its_json():
    setup = Setup(files=("a", "b c"), num_workers=3)
    assert Setup.from_json(setup.to_json()) == setup


@pytest.fixture
def ramps(tmp_path):
    total = make_ramps(tmp_path / "ramps", [40, 90, 7])
    return sorted(map(str, (tmp_path / "ramps").iterdir())), total


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # librosa's own
def test_the_librosa_baseline_emits_every_sample(ramps):
    paths, total = ramps
    dataset = LibrosaDataset(paths, samples_per_frame=16, shuffle_buffer_size=3, seed=0)
    for num_workers in (0, 2):
        frames = torch.cat(list(DataLoader(dataset, batch_size=4, num_workers=num_workers)))
        assert frames.shape[1:] == (2, 16)
        assert sorted(frames[:, 0][frames[:, 0] > 0].tolist()) == list(range(1, total + 1))


def test_the_whole_file_baseline_emits_batches_without_end(ramps):
    paths, total = ramps
    options = {"samples_per_frame": 16, "shuffle_buffer_size": 3, "batch_size": 5, "seed": 0}
    batches = whole_file_batches(paths, decoder="soundfile", **options)
    frames = np.concatenate([next(batches) for _ in range(20)])
    assert frames.shape == (100, 2, 16)
    assert set(range(1, total + 1)) <= set(frames[:, 0].flatten().tolist())


@pytest.fixture
def torchcodec():
    try:
        check_torchcodec()
    except MissingPackageError as error:
        pytest.skip(str(error))


@needs_zoo
def test_the_torchcodec_baseline_gives_a_window_of_a_file_whose_length_ffmpeg_guesses_too_long(torchcodec):
    path = str(ZOO / "no_xing_vbr_v2.mp3")
    dataset = TorchcodecDataset([path], samples_per_frame=4_096, num_windows=100, seed=0)
    assert all(dataset[index].abs().max() > 0.01 for index in range(100))


def test_the_torchcodec_baseline_gives_windows_of_files(torchcodec, ramps):
    paths, total = ramps
    dataset = TorchcodecDataset(paths, samples_per_frame=16, num_windows=30, seed=0)
    frames = torch.stack([dataset[index] for index in range(len(dataset))])
    assert frames.shape == (30, 2, 16)
    steps = frames[:, 0].diff()
    assert ((steps == 1) | (frames[:, 0, 1:] == 0)).all()  # a ramp, and zeros behind where the file is too short
    assert frames.max() <= total
    assert torch.equal(dataset[3], frames[3])


def test_the_map_style_dataset_is_measured(ramps):
    paths, _ = ramps
    setup = Setup(files=tuple(paths), loader="flowmo_data map-style", samples_per_frame=16, batch_size=2, batches=3)
    measured = measure(setup, lambda _: None)
    assert measured.num_batches >= 3
    assert measured.epochs >= 1


def result(loader, workers, seconds, peak=100, threads=0):
    run = Measurement(
        first_batch_seconds=1, warmup_seconds=1, steady_seconds=seconds, num_batches=10, cpu_seconds=1, peak_bytes=peak,
        epochs=1,
    )  # fmt: skip
    return Result(Setup(files=("x",), loader=loader, num_workers=workers, decode_threads=threads), [run])


def test_the_share_of_the_limit_counts_the_cores_in_use(monkeypatch):
    monkeypatch.setattr("flowmo_data.bench.reporting.num_cores", lambda: 4)
    limit = result("decoder", 0, 1)
    assert share_of_limit(result("flowmo_data", 0, 2), limit) == 0.5
    assert share_of_limit(result("flowmo_data", 2, 1), limit) == 0.5
    assert share_of_limit(result("flowmo_data", 8, 1, threads=2), limit) == 0.25
    assert share_of_limit(limit, limit) is None


def test_the_whole_file_baseline_keeps_a_decoder_of_its_own():
    assert own_decoder("whole-file") == ("minimp3py" if find_spec("minimp3py") else "soundfile")
    whole_file = Result(Setup(files=("x",), loader="whole-file", decoder="soundfile"), result("whole-file", 0, 1).runs)
    table = results_table([whole_file], result("decoder", 0, 1))
    assert list(table.columns[0].cells) == ["whole-file\nsoundfile"]
    assert list(table.columns[4].cells) == [""]  # no share of the limit of another decoder


@pytest.mark.parametrize("num_runs", [1, 3])
def test_the_picture_has_the_names_of_all_loaders_and_the_limit(tmp_path, monkeypatch, num_runs):
    matplotlib = pytest.importorskip("matplotlib", reason="it is not installed; it is optional")
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")
    loaders = ("flowmo_data", "flowmo_data batches", "whole-file", "librosa", "torchcodec")
    results = [Result(each.setup, each.runs * num_runs) for each in (result(name, 0, 2, 100) for name in loaders)]
    draw(results, result("decoder", 0, 1), tmp_path / "out.svg")
    text = (tmp_path / "out.svg").read_text()
    for words in ("flowmo_data, dataset(batch_size=)", "whole files in a thread, auto", "torchcodec, random windows",
                  "decoder alone,", "1 core: 10.0", "first batch, seconds"):  # fmt: skip
        assert words in text
    draw(results[:1], None, tmp_path / "out.png")
    assert (tmp_path / "out.png").exists()


def test_of_two_as_fast_the_smaller_is_recommended():
    results = [result("flowmo_data", 0, 2.0), result("flowmo_data", 2, 1.0, 300), result("flowmo_data", 3, 0.99, 900)]
    text = recommendation(results, result("decoder", 0, 1))
    assert "num_workers=2" in text
    assert "less memory than the fastest (flowmo_data, 3 workers: 10.10)" in text
