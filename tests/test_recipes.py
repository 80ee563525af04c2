"""The recipes in the docs, run as they are: real processes, real launchers."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from builders import make_mp3

DOCS = Path(__file__).parents[1] / "docs"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def blocks(page):
    """The Python blocks of a page, by the heading above each."""
    sections = re.split(r"^## (.*)$", (DOCS / page).read_text(), flags=re.MULTILINE)
    return {
        heading: code
        for heading, text in zip(sections[1::2], sections[2::2], strict=True)
        for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    }


GPUS = blocks("many_gpus.md")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with music/ in it."""
    place = tmp_path_factory.mktemp("recipes")
    (place / "music").mkdir()
    for index in range(6):
        make_mp3(place / "music" / f"{index}.mp3", 100_000 + 30_000 * index, seed=index)
    return place


def run(place, code, launcher, more=""):
    script = place / "train.py"
    script.write_text(code + more)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launcher, str(script)], cwd=place, capture_output=True, text=True, check=False, env=environment, timeout=300
    )


@pytest.mark.parametrize("name", ["Plain DDP, by steps", "Plain DDP, by epochs that end together"])
def test_ddp(place, name):
    done = run(place, GPUS[name], TORCHRUN)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(find_spec("lightning") is None, reason="lightning is not installed; it is optional")
def test_lightning(place):
    done = run(place, GPUS["Lightning"], [sys.executable])
    assert done.returncode == 0, done.stderr
    assert "`Trainer.fit` stopped: `max_steps=10` reached." in done.stderr


@pytest.mark.skipif(find_spec("accelerate") is None, reason="accelerate is not installed; it is optional")
def test_accelerate(place):
    done = run(place, GPUS["Hugging Face Accelerate"], TORCHRUN)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(find_spec("accelerate") is None, reason="accelerate is not installed; it is optional")
@pytest.mark.parametrize(("dispatch", "num_workers"), [(False, 0), (False, 2), (True, 0)])
def test_a_second_sharding_is_noticed(place, dispatch, num_workers):
    code = f"""
from accelerate import Accelerator, DataLoaderConfiguration
from torch.utils.data import DataLoader
from flowmo_data import StreamingAudioDataset
accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(dispatch_batches={dispatch}))
loader = DataLoader(StreamingAudioDataset("music/", samples_per_frame=4_096), batch_size=2, num_workers={num_workers})
next(iter(accelerator.prepare(loader)))
"""
    done = run(place, code, TORCHRUN)
    assert done.returncode != 0
    assert "would shard what is sharded already" in done.stderr


def test_resuming(place, monkeypatch):
    monkeypatch.chdir(place)
    (code,) = blocks("resuming.md").values()
    for name in (place / "music").iterdir():
        name.touch()
    code = code.replace('"music/")', '"music/", samples_per_frame=4_096)')
    state = {}
    exec(code, state)
    assert state["state"]["batches"] == 3


def test_the_index_page(place, monkeypatch):
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    monkeypatch.chdir(place)
    for code in blocks("index.md").values():
        exec(code, {})
    assert (place / "music.parquet").exists()
