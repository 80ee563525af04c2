"""The examples, each run as a user runs it."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from builders import make_mp3
from programs import LIGHTNING, TORCH, finish, wait_until
from programs import start as start_program

from flowmo_data import AudioIndex, OptionError
from flowmo_data.bench.demo import NUM_FILES, default_folder

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = [
    "train_loop", "pretrain_mixture", "train_lightning", "train_ddp", "features", "benchmark_workers", "separation",
    "captions",
]  # fmt: skip
SMALL = ["--samples-per-frame", str(3 * 64 * 64), "--batch-size", "4", "--num-workers", "1"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
PNG = b"\x89PNG\r\n\x1a\n"

has_lightning = pytest.mark.skipif(find_spec("lightning") is None, reason="lightning is not installed; it is optional")
has_pyarrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed; it is optional")
has_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="the extra plot is not installed")


def start(name, *arguments, launcher=()):
    """An example as a process, in a group of its own as in a terminal."""
    fork = LIGHTNING if name == "train_lightning" else TORCH
    return start_program(*launcher, EXAMPLES / f"{name}.py", *arguments, fork=fork, env={"COLUMNS": "120"})


def output_of(process):
    """What it printed, once it has ended well."""
    done = finish(process)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(name, *arguments, launcher=()):
    return output_of(start(name, *arguments, launcher=launcher))


def losses(output):
    """The first and the last loss, of each summary that was printed."""
    return [(float(first), float(last)) for first, last in re.findall(r"loss (\S+) -> (\S+), signal", output)]


def same(one, other):
    """Whether two checkpoints are equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    for index in range(5):
        make_mp3(folder / f"{index}.mp3", 60_000 + 20_000 * index, seed=index)
    return folder


@pytest.fixture
def autoencoder(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("autoencoder")


def test_frames_are_images_and_frames_again(autoencoder):
    frames = torch.randn(2, 2, 196_608)
    images = autoencoder.to_images(frames)
    assert images.shape == (4, 3, 256, 256)
    assert images.data_ptr() == frames.data_ptr()
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images[0, :, 0, 1], frames[0, 0, 3:6])  # three samples in a row make a pixel
    assert torch.equal(images[3, :, 2, 0], frames[1, 1, 2 * 768 : 2 * 768 + 3])
    assert torch.equal(autoencoder.to_frames(images, 2), frames)
    with pytest.raises(OptionError, match="samples_per_frame=10000: take 3"):
        autoencoder.to_images(torch.zeros(1, 2, 10_000))


def test_the_model_gives_frames_and_silence_for_silence(autoencoder):
    model = autoencoder.Autoencoder()
    frames = torch.randn(2, 1, 3 * 64 * 64)
    assert model(frames).shape == frames.shape
    assert model.encoder(autoencoder.to_images(frames)).numel() * 4 == frames.numel()
    assert not model(torch.zeros_like(frames)).any()
    assert autoencoder.noise_to_signal(torch.zeros_like(frames), frames) == 1
    assert autoencoder.noise_to_signal(frames * 0.9, frames).item() == pytest.approx(0.01, rel=1e-4)


def test_the_loop_goes_on_where_ctrl_c_stopped_it(folder, tmp_path):
    stopped, straight = tmp_path / "new" / "stopped.pt", tmp_path / "straight.pt"
    process = start("train_loop", folder, *SMALL, "--max-steps", "100000", "--checkpoint", stopped, "--save-every", "1")
    wait_until(lambda: stopped.exists() or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    done = finish(process)
    assert (done.returncode, done.stderr) == (130, "stopped\n")
    reached = torch.load(stopped, weights_only=True)["step"]
    steps = ["--max-steps", str(reached + 30)]
    resumed, whole = (start("train_loop", folder, *SMALL, *steps, "--checkpoint", path) for path in (stopped, straight))
    ((first, last),) = losses(output_of(whole))
    assert f"resuming after step {reached}" in output_of(resumed)
    assert first > 0.5
    assert last < 0.6 * first
    assert same(torch.load(stopped, weights_only=True), torch.load(straight, weights_only=True))


def test_a_mixture_changes_in_training_and_goes_on(folder, tmp_path):
    arguments = ["pretrain_mixture", folder, *SMALL, "--checkpoint"]
    straight = start(*arguments, tmp_path / "straight.pt", "--max-steps", "30")
    run(*arguments, tmp_path / "stopped.pt", "--max-steps", "16")
    resumed = run(*arguments, tmp_path / "stopped.pt", "--max-steps", "30")
    whole = output_of(straight)
    assert "resuming after step 16" in resumed
    assert re.search(r"\d+ frames of first, [1-9]\d* frames of second", whole)[0] in resumed
    ((first, last),) = losses(whole)
    assert last < 0.7 * first
    assert same(*(torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("straight", "stopped")))


@has_lightning
def test_lightning_goes_on_from_its_checkpoint(folder, tmp_path):
    arguments = [folder, *SMALL, "--checkpoints", tmp_path]
    ((first, last),) = losses(run("train_lightning", *arguments, "--max-steps", "24"))
    assert first > 0.5
    assert last < 0.6 * first
    ((resumed, _),) = losses(run("train_lightning", *arguments, "--max-steps", "30"))
    assert resumed < 1.2 * last


def test_ranks_train_together_on_frames_of_their_own(folder):
    arguments = ["train_ddp", folder, *SMALL, "--max-steps", "24"]
    two, one = start(*arguments, launcher=TORCHRUN), start(*arguments)
    ranks, alone = losses(output_of(two)), losses(output_of(one))
    assert len(set(ranks)) == 2
    assert len(alone) == 1
    for first, last in ranks + alone:
        assert last < 0.6 * first


@has_matplotlib
def test_features_are_drawn(folder, tmp_path):
    try:
        import torchaudio.transforms  # noqa: F401
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        pytest.skip(f"this torchaudio does not import beside this torch: {error}")
    output = run("features", folder, *SMALL, "--max-steps", "2", "--out", tmp_path / "mel.png")
    assert "2 s of audio" in output
    assert (tmp_path / "mel.png").read_bytes().startswith(PNG)


@has_matplotlib
def test_the_benchmark_tells_what_to_set(folder, tmp_path):
    few = ["--max-steps", "4", "--workers", "1", "--repeats", "1"]
    output = run("benchmark_workers", folder, *SMALL[:4], *few, "--out", tmp_path / "workers.png")
    assert "Recommended here: num_workers=1" in output
    assert (tmp_path / "workers.png").read_bytes().startswith(PNG)


def test_stems_are_separated(folder, tmp_path):
    ((first, last),) = losses(run("separation", folder, *SMALL, "--max-steps", "40", "--stems", tmp_path))
    assert last < 0.6 * first
    assert sorted(path.name for path in (tmp_path / "bass").iterdir()) == [f"{number:03d}.wav" for number in range(5)]


@has_pyarrow
def test_captions_are_followed(folder, tmp_path):
    output = run("captions", folder, *SMALL, "--max-steps", "60", "--captions", tmp_path / "captions.jsonl")
    ((first, last),) = losses(output)
    assert last < 0.4 * first
    rows = [json.loads(line) for line in (tmp_path / "captions.jsonl").read_text().splitlines()]
    assert [Path(row["file_name"]).name for row in rows] == [f"{number}.mp3" for number in range(5)]
    assert rows[1]["caption"] == "dark and loud"
    right, opposite = map(float, re.search(r"loss (\S+) with the captions, (\S+) with the opposite", output).groups())
    assert opposite > 5 * right


@has_pyarrow
@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed; it is optional")
def test_ray_indexes_the_parts(folder, tmp_path):
    """Starts a real Ray on this machine: ten seconds or more."""
    command = [sys.executable, EXAMPLES / "index_with_ray.py", os.path.relpath(folder, tmp_path), "--parts", "3"]
    for _ in range(2):  # again: an update
        done = subprocess.run(
            [*command, "--folder", "parts", "-o", "music.parquet"],
            cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "music.parquet: 5 files in 3 parts, 0 of them bad" in done.stdout
        merged = (tmp_path / "music.parquet").read_bytes()
        AudioIndex.build(folder).save(tmp_path / "music.parquet")
        assert (tmp_path / "music.parquet").read_bytes() == merged


def test_without_a_folder_the_demo_corpus_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = default_folder()
    assert folder.is_relative_to(tmp_path)
    folder.mkdir(parents=True)
    for index in range(1, NUM_FILES):  # all but one are there already: making 40 s of each takes half a minute
        make_mp3(folder / f"demo_{index:03d}.mp3", 20_000, seed=index)
    output = run("train_loop", *SMALL, "--max-steps", "3")
    assert f"demo corpus: {folder}" in output
    assert len(list(folder.iterdir())) == NUM_FILES
    assert len(losses(output)) == 1


def test_what_cannot_be_read_is_said_in_a_line(tmp_path):
    nowhere, bad = tmp_path / "nowhere", tmp_path / "bad"
    bad.mkdir()
    (bad / "a.mp3").write_bytes(b"text " * 100)
    needs = {"train_lightning": "lightning", "captions": "pyarrow"}
    present = [name for name in SCRIPTS if find_spec(needs.get(name, "torch")) is not None]
    missing = f"files={str(nowhere)!r}: there is no such file or folder (looked for {nowhere})"
    expected = [(start(name, nowhere), missing) for name in present]
    expected.append((start("train_loop", bad, *SMALL), "none of the 1 files can be read"))  # a worker raises it
    for process, said in expected:
        done = finish(process)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert said in done.stderr.splitlines()[-1]
