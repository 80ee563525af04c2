"""Tar shards: written by the real webdataset package, and the same frames as from the files themselves."""

import json
import os

import numpy as np
import pytest
import soundfile
import torch
from builders import RATE, make_folder, music
from tars import samples_of, tar_of, write_shards
from torch.utils.data import DataLoader
from web_server import WebServer

from flowmo_data import AudioFrameDataset, AudioIndex, ResumableDataLoader, StreamingAudioDataset
from flowmo_data.decoding import read_window
from flowmo_data.tracks.index import building

OPTIONS = {"samples_per_frame": 30_000, "return_info": True, "shuffle_buffer_size": 10}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of MP3s and of other formats."""
    path = make_folder(tmp_path_factory.mktemp("folder"))
    soundfile.write(path / "7.ogg", music(90_000, seed=7), RATE)
    return path


@pytest.fixture(scope="module")
def shards(folder, tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"), samples_of(folder))[0].parent


def by_place(items):
    """Frames by the name of their file and their start."""
    return {(item["path"].removeprefix("tar://").partition("::")[0].rpartition("/")[2], item["start"]): item["audio"]
            for item in items}  # fmt: skip


def flat(batches):
    for batch in batches:
        for place, path in enumerate(batch["path"]):
            yield {"path": path, "start": int(batch["start"][place]), "audio": batch["audio"][place]}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert all(torch.equal(audio, expected[key]) for key, audio in found.items())


def test_frames_are_those_of_the_files(folder, shards):
    found = list(StreamingAudioDataset(shards, **OPTIONS, shuffle=False))
    expected = list(StreamingAudioDataset(folder, **OPTIONS, shuffle=False))
    assert_same(by_place(found), by_place(expected))
    assert [item["start"] for item in found] == [item["start"] for item in expected]
    assert found[0]["path"] == f"tar://0.mp3::{shards}/0000.tar"
    assert found[0]["num_samples"] == 70_000


@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_two_workers_of_two_ranks_share_the_members(folder, shards, context):
    seen = []
    for rank in range(2):
        dataset = StreamingAudioDataset(f"{shards}/{{0000..0002}}.tar", **OPTIONS, rank=rank, world_size=2)
        seen += flat(DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context=context))
    expected = by_place(StreamingAudioDataset(folder, **OPTIONS))
    assert len(seen) == len(expected)  # the members are in the order of the files, so their phases are the same
    assert_same(by_place(seen), expected)


def test_an_index_of_shards(folder, shards, tmp_path):
    index = AudioIndex.build(shards, num_workers=0)
    assert index.root == str(shards)
    assert index.table["path"][0].as_py() == "tar://0.mp3::0000.tar"
    assert len(index) == 8
    assert not index.bad_files()
    index.save(tmp_path / "index.parquet")
    frames = list(StreamingAudioDataset(tmp_path / "index.parquet", **OPTIONS))
    assert_same(by_place(frames), by_place(StreamingAudioDataset(AudioIndex.build(folder), **OPTIONS)))
    again = AudioIndex.build(shards, previous=index)
    assert again.table == index.table
    numbered, expected = AudioFrameDataset(index), AudioFrameDataset(AudioIndex.build(folder))
    assert all(torch.equal(numbered[place], expected[place]) for place in range(len(expected)))


def test_an_index_moves_with_its_shards(shards, tmp_path):
    (tmp_path / "old").mkdir()
    for path in shards.iterdir():
        (tmp_path / "old" / path.name).write_bytes(path.read_bytes())
    AudioIndex.build(tmp_path / "old").save(tmp_path / "old" / "index.parquet")
    (tmp_path / "old").rename(tmp_path / "new")
    index = AudioIndex.load(tmp_path / "new" / "index.parquet")
    assert index.root == str(tmp_path / "new")
    assert len(list(StreamingAudioDataset(index, **OPTIONS))) > 20
    kept = index.without([f"{index.root}/0000.tar", f"tar://3.mp3::{index.root}/0001.tar"])
    assert len(kept) == 4


def test_an_index_reads_again_what_has_changed(folder, tmp_path, monkeypatch):
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    tar = tmp_path / "x.tar"
    tar.write_bytes(tar_of(files))
    index = AudioIndex.build(tar)
    assert index.root == str(tmp_path)
    tar.write_bytes(tar_of({**files, "2.mp3": files["3.mp3"]}))
    os.utime(tar, ns=(1, 1))
    stale = StreamingAudioDataset(index, **OPTIONS)
    assert len(list(stale)) == len(stale)
    skipped = stale.report().skipped
    # what lies before the change is as it was, as are its bytes; the rest has moved
    assert set(skipped) == {f"tar://{name}::{tar}" for name in files if name not in ("0.mp3", "1.mp3")}
    assert all("changed since it was indexed" in reason for reason in skipped.values())
    fresh = AudioIndex.build(tar, previous=index)
    assert len(list(StreamingAudioDataset(fresh, **OPTIONS, on_error="raise"))) > 20


def test_resuming_goes_on_at_the_next_frame(shards):
    def loader():
        return ResumableDataLoader(StreamingAudioDataset(shards, **OPTIONS), batch_size=3, num_workers=2)

    whole, first = list(loader()), loader()
    batches = iter(first)
    next(batches), next(batches)
    resumed = loader()
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert_same(by_place(flat(resumed)), by_place(flat(whole[2:])))


def test_sidecars_come_out_as_metadata(folder, shards):
    expected = {
        path.name: {"number": number, "txt": f"text {number}", "cls": number}
        for number, path in enumerate(sorted(folder.iterdir()))
    }
    options = {**OPTIONS, "metadata": "sidecar"}
    for files in (shards, AudioIndex.build(shards)):
        for item in StreamingAudioDataset(files, **options):
            name = item["path"].removeprefix("tar://").partition("::")[0]
            assert item["metadata"] == expected.pop(name, item["metadata"])
    assert not expected


def test_sidecars_belong_to_the_key(folder, tmp_path):
    """The name up to its first dot; a member without one is skipped, and said so."""
    audio = (folder / "0.mp3").read_bytes()
    members = {
        "a.b/one.left.mp3": audio, "a.b/one.json": b'{"n": 1}', "two.mp3": audio, "three.mp3": audio,
        "three.cls": b"x", "four.mp3": audio, "four.json": b"[1]",
    }  # fmt: skip
    (tmp_path / "x.tar").write_bytes(tar_of(members))
    dataset = StreamingAudioDataset(tmp_path / "x.tar", **OPTIONS, metadata="sidecar")
    assert {item["metadata"]["n"] for item in dataset} == {1}
    skipped = {path.partition("::")[0]: reason for path, reason in dataset.report().skipped.items()}
    assert "there is no two.json or two.txt or two.cls" in skipped["tar://two.mp3"]
    assert "three.cls is not a whole number" in skipped["tar://three.mp3"]
    assert "four.json holds list" in skipped["tar://four.mp3"]


def test_a_table_names_members(shards, tmp_path):
    lines = [f"tar://{number}.mp3::{shards.name}/000{number // 3}.tar,{number}" for number in range(5)]
    table = shards.parent / "labels.csv"
    table.write_text("\n".join(["file_name,n", *lines]))
    items = list(StreamingAudioDataset(shards, **OPTIONS, metadata=table))
    table.unlink()
    assert {item["metadata"]["n"] for item in items} == set(range(5))


def test_a_damaged_member_and_a_bad_one_are_reported(folder, tmp_path):
    audio = (folder / "4.mp3").read_bytes()
    middle = len(audio) // 2
    damaged = audio[:middle] + bytes(3_000) + audio[middle + 3_000 :]
    (tmp_path / "x.tar").write_bytes(tar_of({"bad.mp3": b"no audio", "damaged.mp3": damaged, "whole.mp3": audio}))
    dataset = StreamingAudioDataset(tmp_path, **OPTIONS)
    list(dataset)
    report = dataset.report()
    assert list(report.skipped) == [f"tar://bad.mp3::{tmp_path}/x.tar"]
    assert list(report.damaged) == [f"tar://damaged.mp3::{tmp_path}/x.tar"]


def test_aligned_sets_in_tars(folder, tmp_path):
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("?.mp3"))}
    (tmp_path / "mix.tar").write_bytes(tar_of({f"song/{name}": data for name, data in files.items()}))
    (tmp_path / "vocals").mkdir()
    (tmp_path / "vocals" / "song.tar").write_bytes(tar_of(files))
    (tmp_path / "stems").mkdir()
    (tmp_path / "stems" / "song.tar").write_bytes(tar_of(files))
    both = StreamingAudioDataset({"mix": tmp_path / "vocals", "vocals": tmp_path / "stems"}, **OPTIONS)
    frames = list(both)
    assert len(frames) > 10
    assert all(torch.equal(frame["audio"]["mix"], frame["audio"]["vocals"]) for frame in frames)
    other = {"mix": tmp_path / "mix.tar", "vocals": tmp_path / "mix.tar"}
    assert len(list(StreamingAudioDataset(other, **OPTIONS))) == len(frames)


def test_windows_of_wav_and_flac_in_tars_equal_those_of_the_files(folder, shards):
    index, plain = AudioIndex.build(shards), AudioIndex.build(folder)
    rng = np.random.default_rng(0)
    by_name = {plain.files.path(number).rpartition("/")[2]: plain.files.track(number) for number in range(8)}
    for number in range(8):
        track = index.files.track(number)
        (part,) = track.parts
        (other,) = by_name[track.path.removeprefix("tar://").partition("::")[0]].parts
        for start in rng.integers(0, part.num_samples - 5_000, 5).tolist():
            one = read_window(part, start, start + 5_000, "soundfile").samples.copy()
            assert np.array_equal(one, read_window(other, start, start + 5_000, "soundfile").samples)


def test_an_index_that_processes_make(folder, tmp_path, monkeypatch):
    """Each process gets the places of its members alone if the tar is in a store, and lists local tars."""
    monkeypatch.setattr(building, "_GROUPS_WORTH_A_PROCESS", 1)
    audio = (folder / "0.mp3").read_bytes()
    (tmp_path / "x.tar").write_bytes(tar_of({f"{number:03d}.mp3": audio for number in range(70)}))
    index = AudioIndex.build(tmp_path, num_workers=2)
    assert index.table == AudioIndex.build(tmp_path).table
    with WebServer().running() as web:
        web.files = {"x.tar": (tmp_path / "x.tar").read_bytes()}
        remote = AudioIndex.build(f"{web.root}/x.tar", num_workers=2)
        assert remote.table["num_samples"] == index.table["num_samples"]
        assert remote.table["offset"] == index.table["offset"]
        headers = [each for each in web.requests if each.method == "GET" and each.byte_range[0] < 512]
        assert len(headers) <= 3  # it was listed once
