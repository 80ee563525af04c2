"""The commands with tars."""

import json

import pytest
from builders import make_mp3
from click.testing import CliRunner
from tars import samples_of, tar_of, write_shards

from flowmo_data import AudioIndex, StreamingAudioDataset
from flowmo_data.cli.group import flowmo_data_command


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Two shards of three files."""
    folder = tmp_path_factory.mktemp("folder")
    for number in range(6):
        make_mp3(folder / f"{number}.mp3", 60_000, seed=number)
    return write_shards(tmp_path_factory.mktemp("shards"), samples_of(folder))[0].parent


def run(*arguments, status=0):
    done = CliRunner().invoke(flowmo_data_command, [str(each) for each in arguments])
    assert done.exit_code == status, done.output
    return done.output


def test_index_inspect_and_check(shards, tmp_path):
    index = tmp_path / "index.parquet"
    assert f"{index}: 6 files, 0.00 hours; 0 bad files" in run("index", f"{shards}/{{0000..0001}}.tar", "-o", index)
    assert AudioIndex.load(index).root == str(shards)
    for files in (index, shards, f"{shards}/*.tar"):
        assert "6 files, 0.00 hours" in run("inspect", files, "--workers", 0)
        assert "6 whole, 0 damaged, 0 unreadable" in run("check", files, "--workers", 0)


def test_check_in_processes(shards):
    assert "24 whole" in run("check", _many(shards), "--workers", 2)


def _many(shards):
    folder = shards.parent / "many"
    folder.mkdir(exist_ok=True)
    for number in range(4):
        for path in shards.iterdir():
            (folder / f"{number}{path.name}").write_bytes(path.read_bytes())
    return folder


def test_damage_is_reported_with_the_path_of_the_member(shards, tmp_path):
    first = (shards / "0000.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(first[: len(first) // 2])
    (tmp_path / "bad.tar").write_bytes(tar_of({"a/bad.mp3": b"no audio"}))
    said = run("check", tmp_path, "--workers", 0, "--json", tmp_path / "check.json", "--quarantine", tmp_path / "q.txt",
               status=1)  # fmt: skip
    assert "tar://a/bad.mp3::bad.tar" in said
    assert "it is cut off inside the member" in said
    found = json.loads((tmp_path / "check.json").read_text())
    assert list(found["left_out"]) == [str(tmp_path / "cut.tar")]
    assert (tmp_path / "q.txt").read_text() == f"tar://a/bad.mp3::{tmp_path}/bad.tar\n"
    dataset = StreamingAudioDataset(tmp_path, samples_per_frame=30_000, exclude=tmp_path / "q.txt")
    list(dataset)
    assert not dataset.report().skipped
    (tmp_path / "bad.tar").unlink()
    run("check", tmp_path, "--workers", 0, status=1)  # the tar alone
    assert "cut off inside" in run("inspect", tmp_path, "--workers", 0)
    assert "cut off inside" in run("index", tmp_path, "-o", tmp_path / "i.parquet", "--workers", 0)


def test_bench(shards):
    options = ["--batch-size", 2, "--samples-per-frame", 20_000, "--warmup", 1, "--batches", 2, "--repeats", 1]
    assert "6 files" in run("bench", shards, "--workers", 0, *options)
    assert "the baselines read no tars" in run("bench", shards, "--baselines", "librosa", status=2)
