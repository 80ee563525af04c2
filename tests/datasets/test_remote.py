"""Training from stores: a web server, and S3 by moto's server and s3fs."""

import json
import logging
import threading
import time
from collections import Counter

import programs
import pytest
import torch
from builders import make_folder
from torch.utils.data import DataLoader
from web_server import WebServer

from flowmo_data import AudioFileError, AudioFrameDataset, AudioIndex, ResumableDataLoader, StreamingAudioDataset
from flowmo_data.sources.stores import retrying
from flowmo_data.sources.stores.range_requests import S3Ranges
from flowmo_data.sources.stores.signing import Bucket

OPTIONS = {"samples_per_frame": 30_000, "return_info": True, "shuffle_buffer_size": 10}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A folder of MP3s and of other formats."""
    return make_folder(tmp_path_factory.mktemp("local"))


@pytest.fixture
def web(local, monkeypatch):
    monkeypatch.setattr(retrying, "DELAYS", (0, 0, 0))
    with WebServer().running() as server:
        server.files = {f"music/{path.name}": path.read_bytes() for path in local.iterdir()}
        yield server


def named(items):
    return {(item["path"].rpartition("/")[2], item["start"]): item["audio"] for item in items}


def flat(batches):
    for batch in batches:
        for place, path in enumerate(batch["path"]):
            yield {"path": path, "start": int(batch["start"][place]), "audio": batch["audio"][place]}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert all(torch.equal(audio, expected[key]) for key, audio in found.items())


@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_workers_give_what_a_local_folder_gives(web, local, context):
    """Each worker opens the store anew: what the main process has opened does not survive a fork."""
    root = f"{web.root}/music"
    index = AudioIndex.build(root)  # opens the store in this process
    loader = DataLoader(
        StreamingAudioDataset(index, **OPTIONS), batch_size=4, num_workers=2, multiprocessing_context=context
    )
    expected = named(StreamingAudioDataset(AudioIndex.build(local), **OPTIONS))
    assert_same(named(flat(loader)), expected)


def test_without_an_index_each_object_comes_once(web, local):
    dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS, shuffle=False)
    web.requests.clear()
    assert_same(named(dataset), named(StreamingAudioDataset(local, **OPTIONS, shuffle=False)))
    whole = Counter(each.path for each in web.requests if each.byte_range == (0, len(web.files[each.path])))
    state = Counter(each.path for each in web.requests if each.byte_range == (0, 1))
    assert whole == state == dict.fromkeys(web.files, 1)
    assert len(web.requests) == 2 * len(web.files)


@pytest.mark.parametrize("indexed", [False, True])
def test_sidecars_are_read_ahead_in_threads_with_one_request_each(web, local, indexed):
    names = [f"music/{index}" for index in range(5)]
    web.files |= {f"{name}.json": json.dumps({"name": name}).encode() for name in names}
    del web.files["music/5.wav"], web.files["music/6.flac"], web.files["music/3.json"]
    root, options = f"{web.root}/music", {**OPTIONS, "metadata": "sidecar"}
    dataset = StreamingAudioDataset(AudioIndex.build(root) if indexed else root, **options)
    web.requests.clear()
    at_once, most, lock = 0, 0, threading.Lock()

    def slow(request):
        nonlocal at_once, most
        if request.path.endswith(".json"):
            with lock:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.1)
            with lock:
                at_once -= 1

    web.fault = slow
    found = {(item["path"], item["metadata"]["name"]) for item in dataset}
    assert found == {(f"{web.root}/{name}.mp3", name) for name in names if name != "music/3"}
    assert "its sidecar 3.json cannot be read: there is no such object" in dataset.report().skipped[f"{root}/3.mp3"]
    assert most > 2
    if not indexed:
        assert Counter(each.path for each in web.requests if each.path.endswith(".json")) == dict.fromkeys(
            (f"{name}.json" for name in names), 1
        )


def test_with_an_index_a_frame_is_one_range_of_bytes(web, local):
    index = AudioIndex.build(f"{web.root}/music").without([f"{web.root}/music/5.wav", f"{web.root}/music/6.flac"])
    web.requests.clear()
    frames = list(StreamingAudioDataset(index, **OPTIONS))
    ranges = [each.byte_range for each in web.requests if each.method == "GET"]
    assert len(ranges) == len(frames)
    assert all(stop - start < 60_000 for start, stop in ranges)


def test_packages_are_imported_before_workers_are_forked_and_no_store_is_opened(web, tmp_path):
    AudioIndex.build(f"{web.root}/music").save(tmp_path / "music.parquet")
    code = (
        "import sys, threading; from flowmo_data import StreamingAudioDataset; StreamingAudioDataset(sys.argv[1]); "
        "assert 'fsspec.implementations.http' in sys.modules; assert threading.active_count() == 1"
    )
    programs.run("-c", code, str(tmp_path / "music.parquet"))


def test_frames_by_number_are_fetched_batch_by_batch(web, local):
    options = {"samples_per_frame": 30_000}
    frames = AudioFrameDataset(AudioIndex.build(f"{web.root}/music"), **options)
    expected = AudioFrameDataset(AudioIndex.build(local), **options)
    loader = DataLoader(frames, batch_size=8, num_workers=0)
    assert torch.equal(torch.cat(list(loader)), torch.stack(list(expected)))


def test_an_object_that_stays_broken_is_skipped_and_reported(web, caplog):
    web.fault = lambda request: 503 if request.path == "music/2.mp3" and request.byte_range else None
    dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS)
    assert {path for path, _ in named(dataset)} == {"0.mp3", "1.mp3", "3.mp3", "4.mp3", "5.wav", "6.flac"}
    assert list(dataset.report().skipped) == [f"{web.root}/music/2.mp3"]
    assert "skipped http://" in caplog.text
    assert "503" in caplog.text
    with pytest.raises(AudioFileError, match=r"2.mp3: its store does not give it .*503") as caught:
        list(StreamingAudioDataset(f"{web.root}/music", **OPTIONS, on_error="raise"))
    assert caught.value.reason
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flowmo_data")]


def test_an_object_that_changes_after_it_was_indexed_is_replaced_by_other_frames(web, local, caplog):
    caplog.set_level(logging.WARNING)
    index = AudioIndex.build(f"{web.root}/music")
    web.files["music/3.mp3"] = bytes(len(web.files["music/3.mp3"]))
    dataset = StreamingAudioDataset(index, **OPTIONS)
    assert len(list(dataset)) == len(dataset)
    assert "3.mp3: changed since it was indexed" in dataset.report().skipped[f"{web.root}/music/3.mp3"] + caplog.text


def test_resuming_goes_on_at_the_next_frame(web):
    def loader():
        dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS, max_buffered_bytes=1 << 20)
        return ResumableDataLoader(dataset, batch_size=3)

    whole, first = list(loader()), loader()
    batches = iter(first)
    next(batches), next(batches)
    resumed = loader()
    resumed.load_state_dict(first.state_dict())
    assert_same(named(flat(resumed)), named(flat(whole[2:])))
    other = StreamingAudioDataset(f"{web.root}/music", **OPTIONS)
    with pytest.raises(ValueError, match="max_buffered_bytes was 1048576 and is 268435456"):
        ResumableDataLoader(other, batch_size=3).load_state_dict(first.state_dict())


@pytest.fixture
def bucket(local, monkeypatch):
    """A bucket of a real S3 server on loopback; gives the storage options for it."""
    server_module = pytest.importorskip("moto.server", reason="moto's server is not installed; it is for tests")
    s3fs = pytest.importorskip("s3fs", reason="the extra remote is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    system = s3fs.S3FileSystem(**options, skip_instance_cache=True)
    system.mkdir("bucket")
    for path in local.iterdir():
        system.pipe_file(f"bucket/music/{path.name}", path.read_bytes())
    yield options
    server.stop()


def test_s3(bucket, local, web):
    """From listing to frames of workers, with an index in the bucket, and a changed object."""
    root, options = "s3://bucket/music", {**OPTIONS, "storage_options": bucket}
    AudioIndex.build(root, storage_options=bucket).save("s3://bucket/music.parquet", storage_options=bucket)
    index = AudioIndex.load("s3://bucket/music.parquet", storage_options=bucket)
    assert index.root == root
    expected = named(StreamingAudioDataset(AudioIndex.build(local), **OPTIONS))
    loader = DataLoader(StreamingAudioDataset("s3://bucket/music.parquet", **options), batch_size=4, num_workers=2)
    assert_same(named(flat(loader)), expected)
    folder = StreamingAudioDataset(local, **OPTIONS, shuffle=False)
    assert_same(named(StreamingAudioDataset(root, **options, shuffle=False)), named(folder))

    system, path = index.store._at(f"{root}/0.mp3")
    ranges = S3Ranges(system, {})
    plain = ranges.get(path, 10, 20)
    ranges._signer._buckets.clear()
    ranges._signer._find = lambda _: Bucket(f"{web.root}/", None)
    web.fault = lambda _: 403
    assert [ranges.get(path, 10, 20) for _ in range(5)] == [plain] * 5  # through botocore
    assert len(web.requests) == 3  # and no signed URL is tried again

    data = system.cat_file("bucket/music/1.mp3")
    system.pipe_file("bucket/music/1.mp3", bytes(len(data)))
    changed = StreamingAudioDataset(index, **OPTIONS, on_error="raise")
    with pytest.raises(AudioFileError, match="s3://bucket/music/1.mp3: changed since it was indexed"):
        list(changed)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flowmo_data")]
    system.rm_file("bucket/music/1.mp3")
    with pytest.raises(AudioFileError, match="s3://bucket/music/1.mp3: there is no such object"):
        list(changed)
