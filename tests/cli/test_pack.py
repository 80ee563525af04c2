"""`flowmo-data pack`: what it writes is read back here, and by webdataset."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest
from builders import make_mp3, make_wav
from click.testing import CliRunner
from tars import read_shards

from flowmo_data import AudioFileError, StreamingAudioDataset
from flowmo_data.cli.group import flowmo_data_command
from flowmo_data.packing import plan_shards, write_shard

OPTIONS = {"samples_per_frame": 30_000, "return_info": True, "shuffle": False}


@pytest.fixture
def folder(tmp_path):
    """Files with odd names, and sidecars."""
    path = tmp_path / "music"
    (path / "v1.0").mkdir(parents=True)
    for number in range(4):
        make_mp3(path / "v1.0" / f"{number}.mp3", 60_000, seed=number)
        (path / "v1.0" / f"{number}.json").write_text(json.dumps({"number": number}))
    make_mp3(path / "a.live.mp3", 50_000, seed=5)
    (path / "a.live.txt").write_text("alive")
    make_wav(path / "b.wav", 20_000, seed=6)
    make_mp3(path / "b.mp3", 50_000, seed=7)
    make_mp3(path / f"{'long' * 40}日本.mp3", 50_000, seed=8)
    return path


def run(*arguments, status=0):
    done = CliRunner().invoke(flowmo_data_command, ["pack", *map(str, arguments)])
    assert done.exit_code == status, done.output
    return done.output


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_hold_the_files_with_their_sidecars(folder, tmp_path):
    said = run(folder, "-o", tmp_path / "shards", "--size", "100kB")
    assert "3 files with another name in its shard" not in said
    assert "2 files with another name in its shard" in said
    assert "a.live.mp3 is a_live.mp3" in said
    assert "8 files" in said
    assert "written and verified, 0 there before" in said
    paths = sorted((tmp_path / "shards").iterdir())
    assert [path.name for path in paths] == [f"shard-{number:06d}.tar" for number in range(len(paths))]
    assert len(paths) > 2
    assert all(path.stat().st_size <= 100_000 for path in paths)
    found = {sample["__key__"]: sample for sample in read_shards(paths)}
    assert found.keys() == {*(f"v1.0/{number}" for number in range(4)), "a_live", "b", "b_wav", f"{'long' * 40}日本"}
    assert found["v1.0/2"]["mp3"] == (folder / "v1.0" / "2.mp3").read_bytes()
    assert json.loads(found["v1.0/2"]["json"]) == {"number": 2}
    assert found["a_live"]["txt"] == b"alive"
    with tarfile.open(paths[0]) as tar:
        info = tar.next()
    assert (info.uid, info.gid, info.uname, info.mtime) == (0, 0, "", int((folder / "a.live.mp3").stat().st_mtime))


def test_frames_are_those_of_the_files(folder, tmp_path):
    run(folder, "-o", tmp_path / "shards", "--size", "150kB")

    def frames(files):
        found = StreamingAudioDataset(files, **OPTIONS)
        return sorted((tuple(frame["audio"][0, :500].tolist()), frame["start"], frame["num_valid"]) for frame in found)

    assert frames(tmp_path / "shards") == frames(folder)
    run(tmp_path / "shards", "-o", tmp_path / "again", "--size", "1GB")  # from tars to others
    assert frames(tmp_path / "again") == frames(folder)


def test_in_a_random_order(folder, tmp_path):
    orders = {}
    for name, options in {"one": ("--shuffle", 1), "again": ("--shuffle", 1), "plain": ()}.items():
        run(folder, "-o", tmp_path / name, *options)
        orders[name] = [sample["__key__"] for sample in read_shards((tmp_path / name).iterdir())]
    assert orders["one"] == orders["again"] != orders["plain"]
    assert sorted(orders["one"]) == sorted(orders["plain"])
    assert contents(tmp_path / "one") == contents(tmp_path / "again")


def test_again_it_keeps_finished_shards(folder, tmp_path):
    shards = tmp_path / "shards"
    run(folder, "-o", shards, "--size", "100kB")
    written = contents(shards)
    times = {path.name: path.stat().st_mtime_ns for path in shards.iterdir()}
    (shards / "shard-000001.tar").unlink()
    (shards / "shard-000002.tar").rename(shards / "shard-000002.tar.part")
    said = run(folder, "-o", shards, "--size", "100kB")
    assert f"2 written and verified, {len(written) - 2} there before" in said
    assert contents(shards) == written  # the same bytes, and nothing unfinished
    assert times["shard-000000.tar"] == (shards / "shard-000000.tar").stat().st_mtime_ns
    os.utime(folder / "v1.0" / "0.mp3", (1, 1))  # changed since, perhaps
    assert "1 written and verified" in run(folder, "-o", shards, "--size", "100kB")


def test_other_shards_are_refused(folder, tmp_path):
    shards = tmp_path / "shards"
    run(folder, "-o", shards, "--size", "100kB")
    before = contents(shards)
    assert "it holds other shards, such as" in run(folder, "-o", shards, "--size", "1MB", status=1)
    assert "has other members than it would get now" in run(folder, "-o", shards, "--size", "50kB", status=1)
    assert contents(shards) == before
    (shards / "shard-000000.tar").write_bytes(b"no tar")
    assert "not a shard that this command has written" in run(folder, "-o", shards, "--size", "100kB", status=1)


def test_a_table_becomes_sidecars(folder, tmp_path):
    names = ["v1.0/0.mp3", "v1.0/1.mp3", "b.wav"]
    rows = [json.dumps({"file_name": f"music/{name}", "text": f"about {name}"}) for name in names]
    (tmp_path / "table.jsonl").write_text("\n".join(rows))
    said = run(folder, "-o", tmp_path / "shards", "--metadata", tmp_path / "table.jsonl")
    assert "5 files without a row" in said
    dataset = StreamingAudioDataset(tmp_path / "shards", **OPTIONS, metadata="sidecar")
    found = {frame["path"].partition("::")[0]: frame["metadata"] for frame in dataset}
    assert found["tar://v1.0/1.mp3"] == {"text": "about v1.0/1.mp3"}
    assert found["tar://b_wav.wav"] == {"text": "about b.wav"}
    assert found["tar://v1.0/3.mp3"] == {"number": 3}  # its own sidecar
    assert len(dataset.report().skipped) == 2  # those without either


def test_excluded_files_and_wrong_usage(folder, tmp_path):
    (tmp_path / "bad.txt").write_text("music/b.mp3\nmusic/b.wav\n")
    assert "6 files" in run(folder, "-o", tmp_path / "shards", "--exclude", tmp_path / "bad.txt")
    assert "choose another" in run(folder, "-o", folder / "shards", status=2)
    assert "copy them to a disk first" in run("s3://bucket/music", "-o", tmp_path / "x", status=2)
    assert "copy them to the store" in run(folder, "-o", "s3://bucket/music", status=2)
    assert "is not a size" in run(folder, "-o", tmp_path / "x", "--size", "big", status=2)
    assert "no such file or folder" in run(tmp_path / "nowhere", "-o", tmp_path / "x", status=1)


@pytest.mark.parametrize("shard_bytes", [12_300, 20_480, 25_000, 30_719, 30_720])
def test_no_shard_is_larger_than_asked(tmp_path, shard_bytes):
    paths = [tmp_path / f"{number}.mp3" for number in range(9)]
    for path in paths:
        path.write_bytes(b"x" * 4_000)
    shards = plan_shards([str(path) for path in paths], str(tmp_path), shard_bytes=shard_bytes).shards
    assert sum(len(shard.members) for shard in shards) == len(paths)
    assert all(shard.size <= shard_bytes for shard in shards)


def test_a_file_that_changes_between_plan_and_copy(folder, tmp_path):
    (shard,) = plan_shards([str(folder / "b.mp3")], str(folder), shard_bytes=1 << 30).shards
    (folder / "b.mp3").write_bytes(b"shorter")
    with pytest.raises(AudioFileError, match=r"b\.mp3: changed while it was packed .* run it again"):
        write_shard(str(tmp_path), shard)
    assert not (tmp_path / shard.name).exists()


def test_killed_and_run_again(tmp_path):
    """The shards are those of a run that was not killed."""
    folder, shards = tmp_path / "music", tmp_path / "shards"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number:03d}.mp3").write_bytes(bytes([number % 256]) * 1_000_000)
    arguments = [str(folder), "-o", str(shards), "--size", "20MB"]
    process = subprocess.Popen([sys.executable, "-m", "flowmo_data.cli", "pack", *arguments], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (shards / "shard-000001.tar.part").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.tar")}
    assert 1 <= len(finished) < 16
    assert f"{16 - len(finished)} written and verified, {len(finished)} there before" in run(*arguments)
    assert {name: (shards / name).stat().st_mtime_ns for name in finished} == finished
    run(folder, "-o", tmp_path / "whole", "--size", "20MB")
    assert contents(shards) == contents(tmp_path / "whole")
