import json
import os

import numpy as np
import pytest
import soundfile
from builders import EVERY_DECODER, RATE, ZOO, expected_zoo, make_mp3, make_wav, music, needs_zoo, walk_bytes, walk_file
from click.testing import CliRunner

from flowmo_data import AudioIndex, StreamingAudioDataset
from flowmo_data.cli.check import check_file
from flowmo_data.cli.group import flowmo_data_command

EXPECTED = expected_zoo()
LOOKS_WHOLE = {"concat_44100_then_48000.mp3", "concat_stereo_then_mono.mp3"}
"""both parts of joined files are read"""
UNSEEN = {"bitflips_40.mp3"}
"""flips that break no header: only the native decoder notices that they break a packet"""


def run(*arguments):
    return CliRunner().invoke(flowmo_data_command, ["check", *map(str, arguments)])


@needs_zoo
@pytest.mark.parametrize("decoder", EVERY_DECODER)
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_verdicts_on_the_zoo(name, decoder):
    expected = EXPECTED[name]
    check = check_file(str(ZOO / name), decoder)
    assert check.verdict == (
        "whole" if name in LOOKS_WHOLE or (name in UNSEEN and decoder != "native") else expected["verdict"]
    )
    if check.verdict == "whole":
        assert (check.reason, check.losses) == ("", ())
        if "samples" in expected:
            assert check.seconds * expected["sample_rate"] == pytest.approx(expected["samples"])
    elif check.verdict == "damaged":
        assert expected["min_samples"] <= check.seconds * expected["sample_rate"] <= expected["max_samples"]
        assert check.seconds_lost > 0


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_a_hole_is_told_where_it_is_with_the_silence_behind_it(tmp_path, decoder):
    data = make_mp3(tmp_path / "a.mp3", 40 * RATE).read_bytes()
    at = len(data) // 2
    (tmp_path / "a.mp3").write_bytes(data[:at] + b"\x55" * 4_000 + data[at + 4_000 :])
    check = check_file(str(tmp_path / "a.mp3"), decoder)
    assert check.verdict == "damaged"
    assert all(loss.start_seconds == pytest.approx(20, abs=0.3) for loss in check.losses)
    missing = sum(loss.packets for loss in check.losses)
    (damaged,), (whole,) = walk_file(tmp_path / "a.mp3").sections, walk_bytes(data).sections
    assert missing == whole.num_packets - damaged.num_packets > 5
    assert missing * 1_152 / RATE <= check.seconds_lost <= (missing + 4) * 1_152 / RATE
    assert check.seconds + missing * 1_152 / RATE == pytest.approx(40, abs=0.001)


def test_silence_across_windows_is_one_loss(tmp_path):
    samples = np.zeros((700_000, 1), np.float32)
    samples[200_000:600_000] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    (loss,) = check_file(str(tmp_path / "a.wav"), "soundfile").losses
    assert (loss.start_seconds, loss.seconds) == pytest.approx((200_000 / RATE, 400_000 / RATE))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    make_mp3(folder / "good.mp3", 2 * RATE)
    make_wav(folder / "good.wav", RATE)
    (folder / "empty.mp3").write_bytes(b"")
    data = make_mp3(folder / "cut.mp3", 4 * RATE).read_bytes()
    (folder / "cut.mp3").write_bytes(data[: len(data) // 2])
    return folder


def test_the_command_tells_writes_and_exits_with_1(folder, tmp_path):
    result = run(folder, "--json", tmp_path / "out.json", "--quarantine", tmp_path / "list.txt")
    assert result.exit_code == 1
    lines = [line.split() for line in result.output.splitlines()]
    assert next(line[1:3] for line in lines if line[:1] == ["empty.mp3"]) == ["unreadable", "all"]
    assert next(line[1] for line in lines if line[:1] == ["cut.mp3"]) == "damaged"
    assert "4 files, 0.00 hours: 2 whole, 1 damaged, 1 unreadable" in result.output
    files = {os.path.basename(each["path"]): each for each in json.loads((tmp_path / "out.json").read_text())["files"]}
    assert {name: each["verdict"] for name, each in files.items()} == {
        "good.mp3": "whole", "good.wav": "whole", "empty.mp3": "unreadable", "cut.mp3": "damaged",
    }  # fmt: skip
    assert files["cut.mp3"]["seconds"] + files["cut.mp3"]["seconds_lost"] == pytest.approx(4, abs=0.1)
    assert (tmp_path / "list.txt").read_text().splitlines() == [str(folder / "cut.mp3"), str(folder / "empty.mp3")]
    dataset = StreamingAudioDataset(folder, exclude=tmp_path / "list.txt", return_info=True)
    assert {os.path.basename(frame["path"]) for frame in dataset} == {"good.mp3", "good.wav"}
    assert not dataset.report()


def test_whole_files_exit_with_0(folder, tmp_path):
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    for name in ("cut.mp3", "empty.mp3"):
        (folder / name).unlink()
    result = run(folder, "--quarantine", tmp_path / "list.txt")
    assert result.exit_code == 0
    assert "2 whole, 0 damaged, 0 unreadable" in result.output
    assert (tmp_path / "list.txt").read_bytes() == b""
    AudioIndex.build(folder).save(tmp_path / "music.parquet")
    assert "2 whole" in run(tmp_path / "music.parquet").output


def test_processes_find_the_same(tmp_path):
    for index in range(40):
        make_wav(tmp_path / f"{index}.wav", 1_000)
    (tmp_path / "7.wav").write_bytes(b"")
    result = run(tmp_path, "--workers", "2", "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    assert "40 files, 0.00 hours: 39 whole, 0 damaged, 1 unreadable" in result.output


def test_names_of_every_kind_stay_in_their_line(tmp_path):
    names = ["a\nb.mp3", "\x1b[31mred.mp3", os.fsdecode(b"\xff\xfe.mp3"), "ünïcödé.mp3", "[bold]x.mp3"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    result = run(tmp_path, "--quarantine", tmp_path / "list.txt")
    for shown in ("a\\nb.mp3", "\\x1b[31mred.mp3", "\\udcff\\udcfe.mp3", "ünïcödé.mp3", "[bold]x.mp3"):
        assert any(line.split()[:2] == [shown, "unreadable"] for line in result.output.splitlines()), shown
    assert "not in" in result.output
    assert "a\\nb.mp3; rename it" in result.output
    assert len((tmp_path / "list.txt").read_bytes().splitlines()) == len(names) - 1


@pytest.mark.parametrize("option", ["--json", "--quarantine"])
def test_what_cannot_be_written_is_said_before_the_work(folder, option):
    result = run(folder, option, "/nowhere/at/all")
    assert result.exit_code == 1
    assert f"flowmo-data: {option} /nowhere/at/all: it cannot be written" in result.output
    assert "decoding" not in result.output


def test_music_that_is_whole_loses_nothing(tmp_path):
    soundfile.write(tmp_path / "a.flac", music(RATE), RATE)
    assert check_file(str(tmp_path / "a.flac"), "soundfile").verdict == "whole"


def test_what_is_left_out_is_listed(folder, tmp_path):
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    for name in ("a.tak", "b.TAK", "c.spx"):
        (folder / name).write_bytes(b"x")
    (folder / "gone.mp3").symlink_to("nowhere.mp3")
    for command in (
        ["check", folder, "--json", tmp_path / "check.json"],
        ["inspect", folder, "--workers", 0, "--json", tmp_path / "inspect.json"],
        ["index", folder, "--workers", 0, "-o", tmp_path / "music.parquet"],
    ):
        output = CliRunner().invoke(flowmo_data_command, list(map(str, command))).output
        listed = {line.split()[0]: line for line in output.splitlines() if line.strip()}
        assert all("files in this format are not read" in listed[name] for name in ("a.tak", "b.TAK", "c.spx"))
        assert "it is a link that leads nowhere" in listed["gone.mp3"]
    for name in ("check", "inspect"):
        left_out = json.loads((tmp_path / f"{name}.json").read_text())["left_out"]
        assert set(left_out) == {str(folder / each) for each in ("a.tak", "b.TAK", "c.spx", "gone.mp3")}


def test_a_row_is_one_line_however_long(folder):
    name = "the first movement of a very long and very slow symphony that nobody has finished " * 2 + ".mp3"
    (folder / name).write_bytes(b"text " * 100)
    lines = run(folder).output.splitlines()
    (row,) = [line for line in lines if line.startswith(" the first")]
    assert name in row
    assert "no MPEG audio packets in its 500 bytes, and its first bytes, b'text text te', match no other format" in row
