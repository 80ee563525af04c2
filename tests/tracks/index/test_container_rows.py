"""Containers in an index: their rows lead to the same windows, and to frames of datasets."""

import tarfile

import numpy as np
import pytest
import torch
from builders import DATA, make_mp3, opened, read
from containers import make

from flowmo_data import AudioFrameDataset, AudioIndex, ResumableDataLoader, StreamingAudioDataset

pytest.importorskip("pyarrow", reason="the extra index is not installed")
NAMES = (
    "AAC in MP4", "AAC in ADTS", "AAC in Matroska", "ALAC", "Opus in WebM", "Opus of 2.5 ms", "Vorbis in WebM",
    "WavPack", "TTA", "AC-3", "WMA 2 with noise", "AMR-NB", "PCM in MOV",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexed")
    for name in NAMES:
        make(folder, name, seconds=5)
    for path in (DATA / "containers").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    make_mp3(folder / "plain.mp3", 100_000)
    (folder / "bad.m4a").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(100))
    return folder


@pytest.fixture(scope="module")
def index(folder):
    return AudioIndex.build(folder)


def test_tracks_of_an_index_read_the_same(folder, index, tmp_path):
    index.save(tmp_path / "index.parquet")
    loaded = AudioIndex.load(tmp_path / "index.parquet", root=folder)
    bad = loaded.bad_files()
    assert [path.rsplit("/", 1)[-1] for path in bad] == ["bad.m4a"]
    random = np.random.default_rng(0)
    for number in range(len(loaded.files)):
        if loaded.files.path(number) in bad:
            continue
        (part,) = loaded.columns.track(number).parts
        (fresh,) = opened(loaded.files.path(number)).parts
        assert (part.num_samples, part.format) == (fresh.num_samples, fresh.format)
        for start in [0, *random.integers(0, part.num_samples - 1, 5).tolist()]:
            stop = min(start + 30_000, part.num_samples)
            assert np.array_equal(read(part, start, stop).samples, read(fresh, start, stop).samples.copy()), part.format


def test_an_index_is_as_small_as_one_of_mp3s(index):
    rows = {row["path"]: row["parts"] for row in index.table.to_pylist()}
    for name, parts in rows.items():
        for part in parts:
            seconds = part["num_samples"] / part["sample_rate"]
            assert len(part["points"]) <= 1 + seconds * 2 * (2 if part["packet_samples"] == 0 else 1), name


def test_an_epoch_from_an_index_and_without_one_has_the_same_frames(folder, index):
    options = {"samples_per_frame": 40_000, "shuffle": False, "return_info": True, "framing": "drop"}
    streamed = {(item["path"], item["start"]): item["audio"] for item in StreamingAudioDataset(folder, **options)}
    indexed = {(item["path"], item["start"]): item["audio"] for item in StreamingAudioDataset(index, **options)}
    by_number = AudioFrameDataset(index, samples_per_frame=40_000, return_info=True, framing="drop")
    numbered = {
        (item["path"], item["start"]): item["audio"] for item in map(by_number.__getitem__, range(len(by_number)))
    }
    assert len(streamed) > len(NAMES)
    assert streamed.keys() == indexed.keys() == numbered.keys()
    assert all(
        torch.equal(streamed[key], indexed[key]) and torch.equal(streamed[key], numbered[key]) for key in streamed
    )


def test_workers_and_a_resume_give_the_same_frames(index):
    def loader():
        dataset = StreamingAudioDataset(index, samples_per_frame=60_000, batch_size=4, decode_threads=2)
        return ResumableDataLoader(dataset, batch_size=None, num_workers=2)

    whole = list(loader())
    first = loader()
    batches = iter(first)
    head = [next(batches) for _ in range(2)]
    second = loader()
    second.load_state_dict(first.state_dict())
    assert all(map(torch.equal, [*head, *second], whole))


def test_members_of_a_tar_are_read_in_place(folder, tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for path in sorted(folder.glob("*.m4a")) + sorted(folder.glob("*.webm")):
            shard.add(path, path.name.replace(" ", "_"))
    options = {"samples_per_frame": 40_000, "shuffle": False, "return_info": True, "framing": "drop"}
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".m4a", ".webm")]
    expected = [item["audio"] for item in StreamingAudioDataset(files, **options)]
    found = [item["audio"] for item in StreamingAudioDataset(tmp_path / "shard.tar", **options)]
    indexed = [item["audio"] for item in StreamingAudioDataset(AudioIndex.build(tmp_path / "shard.tar"), **options)]
    assert len(found) == len(indexed) == len(expected) > 5
    assert {each.numpy().tobytes() for each in found} == {each.numpy().tobytes() for each in expected}
    assert all(map(torch.equal, found, indexed))
