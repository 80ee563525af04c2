"""Remote files: their bytes come ahead of their use, within a limit, and never in another order."""

import time
import weakref

import fsspec
import pytest
import torch
from builders import make_mp3

from flowmo_data import AudioIndex, StreamingAudioDataset
from flowmo_data.epochs.progress import Progress
from flowmo_data.epochs.sharding import Shard
from flowmo_data.sources import RemoteFile, Store

OPTIONS = {"samples_per_frame": 20_000, "return_info": True, "shuffle_buffer_size": 40}
MIB = 1 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve files in memory, some 100 kB each, as a URL."""
    memory, path = fsspec.filesystem("memory"), tmp_path_factory.mktemp("files")
    for index in range(12):
        make_mp3(path / f"{index:02d}.mp3", 300_000 + 1_000 * index, seed=index)
        memory.pipe_file(f"/fetching/{index:02d}.mp3", (path / f"{index:02d}.mp3").read_bytes() * 3)
    yield "memory://fetching"
    memory.rm("/fetching", recursive=True)


def order(dataset):
    return [(item["path"], item["start"]) for item in dataset]


def test_the_buffer_shrinks_before_it_breaks_and_the_order_is_that_of_the_sizes(folder, monkeypatch):
    large, small = (StreamingAudioDataset(folder, **OPTIONS, max_buffered_bytes=mib * MIB) for mib in (256, 2))
    first, ample = order(small), order(large)
    assert sorted(path for path, _ in first) == sorted(path for path, _ in ample)  # nothing is lost
    assert first != ample
    real = RemoteFile.fetch

    def slow(self, ranges):
        time.sleep(int(self.path[-5]) % 3 / 100)
        real(self, ranges)

    monkeypatch.setattr(RemoteFile, "fetch", slow)
    again = StreamingAudioDataset(folder, **OPTIONS, max_buffered_bytes=2 * MIB, decode_threads=2)
    assert order(again) == first


def test_objects_held_stay_within_the_limit(folder, monkeypatch):
    dataset = StreamingAudioDataset(folder, **OPTIONS, max_buffered_bytes=2 * MIB)
    sizes = [Store().stamp(url).size for url in dataset.stream._sources]
    assert max(sizes) < MIB / 2 < 2 * MIB < sum(sizes)
    alive, real = weakref.WeakSet(), RemoteFile.fetch

    def noted(self, ranges):
        real(self, ranges)
        alive.add(self.held)

    monkeypatch.setattr(RemoteFile, "fetch", noted)
    most = [sum(held.num_bytes for held in list(alive)) for _ in dataset.spans(Progress(0, 0), Shard())]
    assert MIB < max(most) <= 2 * MIB


def test_with_an_index_only_ranges_of_bytes_are_fetched(folder):
    index = AudioIndex.build(folder)
    spans = list(StreamingAudioDataset(index, **OPTIONS).spans(Progress(0, 0), Shard()))
    sources = [span.timeline.parts[0].source for span in spans]
    assert all(0 < source.held.num_bytes < source.stamp.size / 2 for source in sources)


def test_frames_are_those_of_local_files(folder, tmp_path):
    memory = fsspec.filesystem("memory")
    for path in memory.find("/fetching"):
        (tmp_path / path.rpartition("/")[2]).write_bytes(memory.cat_file(path))
    options = {**OPTIONS, "samples_per_frame": 100_000, "shuffle": False}
    frames = [item["audio"] for item in StreamingAudioDataset(tmp_path, **options)]
    for files in (folder, AudioIndex.build(folder)):
        remote = [item["audio"] for item in StreamingAudioDataset(files, **options)]
        assert len(frames) == len(remote) > 50
        assert all(torch.equal(one, other) for one, other in zip(frames, remote, strict=True))
