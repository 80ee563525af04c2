"""Files that are aligned with each other, on the command line."""

import json
import os

import pytest
from builders import make_mp3, make_wav
from click.testing import CliRunner

from flowmo_data import AudioIndex, StreamingAudioDataset
from flowmo_data.cli.console import parse_files
from flowmo_data.cli.group import flowmo_data_command

pytest.importorskip("pyarrow", reason="the extra index is not installed")


def run(*arguments):
    return CliRunner().invoke(flowmo_data_command, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two good sets, one of lengths that differ, one with a bad file, and two files without partners."""
    monkeypatch.chdir(tmp_path)
    for name in ("mix", "vocals"):
        (tmp_path / name).mkdir()
    for number in range(4):
        make_wav(tmp_path / f"mix/{number}.wav", 50_000 + 5_000 * (number == 2), seed=number)
        make_mp3(tmp_path / f"vocals/{number}.mp3", 50_000, seed=number)
    (tmp_path / "vocals/3.mp3").write_bytes(b"text " * 100)
    make_wav(tmp_path / "mix/alone.wav", 1_000)
    make_wav(tmp_path / "vocals/other.wav", 1_000)
    return tmp_path


NAMED = ("mix=mix/", "vocals=vocals/")


def test_index_and_inspect(folder):
    result = run("index", *NAMED, "-o", "sets.parquet", "--workers", "0")
    assert result.exit_code == 0, result.output
    assert "sets.parquet: 3 sets, 0.00 hours; 3 bad sets" in result.output
    assert "there is no file 'alone', with any suffix, for 'vocals'" in result.output
    index = AudioIndex.load("sets.parquet")
    assert (index.names, index.root, len(index)) == (("mix", "vocals"), str(folder), 6)
    assert len(StreamingAudioDataset("sets.parquet", samples_per_frame=50_000, shuffle=False)) == 3
    before = (folder / "sets.parquet").read_bytes()
    (folder / "mix/alone.wav").rename(folder / "mix/other.flac.wav")
    (folder / "mix/other.flac.wav").rename(folder / "mix/other.wav")
    assert "4 sets, 0.00 hours; 1 bad set" in run("index", *NAMED, "-o", "sets.parquet").output
    (folder / "mix/other.wav").rename(folder / "mix/alone.wav")
    assert run("index", *NAMED, "-o", "sets.parquet").exit_code == 0
    assert (folder / "sets.parquet").read_bytes() == before
    for files in (["sets.parquet"], NAMED):
        result = run("inspect", *files, "--json", "figures.json", "--workers", "0")
        assert "3 sets of mix, vocals, aligned with each other" in result.output
        figures = json.loads((folder / "figures.json").read_text())
        assert (figures["names"], figures["sets"], figures["files"]) == (["mix", "vocals"], 3, 7)
        assert "differ (mix 1.247 s, vocals 1.134 s)" in figures["damaged_files"][str(folder / "mix/2.wav")]
        assert len(figures["bad_files"]) == 3


def test_the_index_may_move_with_its_files(folder, tmp_path_factory):
    assert run("index", *NAMED, "-o", "sets.parquet", "--root", folder).exit_code == 0
    there = tmp_path_factory.mktemp("there") / "moved"
    folder.rename(there)
    frames = list(StreamingAudioDataset(there / "sets.parquet", return_info=True, shuffle=False))
    assert {os.path.dirname(path) for frame in frames for path in frame["path"].values()} == {
        str(there / "mix"),
        str(there / "vocals"),
    }
    there.rename(folder)


def test_check_tells_of_sets(folder):
    run("index", *NAMED, "-o", "sets.parquet", "--workers", "0")
    for files in (NAMED, ["sets.parquet"]):
        result = run("check", *files, "--workers", "0", "--json", "checks.json", "--quarantine", "bad.txt")
        assert result.exit_code == 1
        checks = {check["path"]: check for check in json.loads((folder / "checks.json").read_text())["files"]}
        verdicts = {os.path.relpath(path): check["verdict"] for path, check in checks.items()}
        not_whole = {name: verdict for name, verdict in verdicts.items() if verdict != "whole"}
        assert not_whole == {
            "mix/2.wav": "damaged",
            "vocals/3.mp3": "unreadable",
            "mix/alone.wav": "unreadable",
            "vocals/other.wav": "unreadable",
        }
        assert len(verdicts) == 10
        assert "the lengths of the aligned files differ" in result.output
        dataset = StreamingAudioDataset({"mix": "mix", "vocals": "vocals"}, exclude="bad.txt", framing="drop")
        list(dataset)
        assert not dataset.report()


@pytest.mark.parametrize("command", ["check", "inspect", "index"])
@pytest.mark.parametrize("arguments", [["mix", "vocals"], ["a=mix", "a=vocals"], ["a=mix", "vocals"], ["a=", "b=mix"]])
def test_several_folders_have_names(folder, command, arguments):
    result = run(command, *arguments, *(["-o", "x.parquet"] if command == "index" else []))
    assert result.exit_code == 2
    assert "give one folder, or a different name for each" in result.output


def test_a_path_with_an_equals_sign_is_a_path(folder):
    (folder / "a=b").mkdir()
    assert parse_files(["a=b"]) == "a=b"
    assert parse_files(["./a=*"]) == "./a=*"
    assert parse_files(["x=a=b"]) == {"x": "a=b"}
    assert parse_files(["x=mix/", "y=vocals"]) == {"x": "mix/", "y": "vocals"}
