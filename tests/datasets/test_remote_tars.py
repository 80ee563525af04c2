"""Tar shards in stores: indexed, listed, and read from end to end; a web server, and S3 by moto's server."""

import threading

import pytest
import soundfile
import torch
from builders import RATE, make_folder, music
from tars import samples_of, tar_of, write_shards
from torch.utils.data import DataLoader
from web_server import WebServer

from flowmo_data import AudioFileError, AudioIndex, OptionError, ResumableDataLoader, StreamingAudioDataset
from flowmo_data.sources import find_sources
from flowmo_data.sources.stores import retrying

OPTIONS = {"samples_per_frame": 30_000, "return_info": True, "shuffle_buffer_size": 10}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of MP3s and of other formats."""
    path = make_folder(tmp_path_factory.mktemp("folder"))
    soundfile.write(path / "7.ogg", music(90_000, seed=7), RATE)
    return path


@pytest.fixture(scope="module")
def shards(folder, tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"), samples_of(folder))


@pytest.fixture
def web(shards, monkeypatch):
    monkeypatch.setattr(retrying, "DELAYS", (0, 0, 0))
    with WebServer().running() as server:
        server.files = {f"music/{path.name}": path.read_bytes() for path in shards}
        yield server


@pytest.fixture(scope="module")
def whole(folder):
    """Each file by its name, decoded whole."""
    items = StreamingAudioDataset(folder, samples_per_frame=150_000, shuffle=False, return_info=True)
    return {item["path"].rpartition("/")[2]: item["audio"][:, : item["num_valid"]] for item in items}


def name_of(path):
    return path.removeprefix("tar://").partition("::")[0].rpartition("/")[2]


def flat(batches):
    for batch in batches:
        for place in range(len(batch["path"])):
            yield {key: value[place] for key, value in batch.items() if key != "metadata"}


def assert_exact(items, whole):
    """Every sample of every file comes once, as it is in the whole decode."""
    left = {name: torch.ones(audio.shape[1], dtype=torch.int64) for name, audio in whole.items()}
    for item in items:
        audio, start = whole[name_of(item["path"])], int(item["start"])
        first, stop = max(start, 0), min(start + item["audio"].shape[1], audio.shape[1])
        assert torch.equal(item["audio"][:, first - start : stop - start], audio[:, first:stop])
        left[name_of(item["path"])][first:stop] -= 1
    assert all(not each.any() for each in left.values())


def no_threads():
    return not [thread for thread in threading.enumerate() if thread.name.startswith("flowmo_data")]


def test_an_index_reads_ranges_of_members(web, whole, tmp_path):
    index = AudioIndex.build(f"{web.root}/music/{{0000..0002}}.tar")
    assert index.root == f"{web.root}/music"
    index.save(tmp_path / "index.parquet")
    web.requests.clear()
    index = AudioIndex.load(tmp_path / "index.parquet")
    index = index.without([index.files.path(number) for number in (5, 6, 7)])
    items = list(StreamingAudioDataset(index, **OPTIONS))
    ranges = [each for each in web.requests if each.method == "GET"]
    assert len(ranges) == len(items)
    assert {each.path for each in ranges} <= set(web.files)
    assert_exact(items, {name: audio for name, audio in whole.items() if name.endswith("mp3")})


def test_workers_with_an_index(web, whole):
    index = AudioIndex.build(f"{web.root}/music")
    loader = DataLoader(StreamingAudioDataset(index, **OPTIONS), batch_size=4, num_workers=2)
    assert_exact(flat(loader), whole)
    web.requests.clear()
    assert AudioIndex.build(f"{web.root}/music", previous=index).table == index.table
    assert len(web.requests) < 40  # the headers again, and no member


def test_without_an_index_each_tar_comes_once_from_end_to_end(web, whole):
    dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS, max_buffered_bytes=1 << 22)
    assert not [each for each in web.requests if each.method == "GET" and each.byte_range]  # nothing is listed
    web.requests.clear()
    assert_exact(dataset, whole)
    for path, data in web.files.items():
        ranges = [each.byte_range for each in web.requests if each.path == path and each.method == "GET"]
        state, *ranges = sorted(ranges)
        assert state == (0, 1)
        assert ranges == [(start, min(start + 65_536, len(data))) for start in range(0, len(data), 65_536)]
    assert no_threads()


def test_no_more_comes_ahead_than_the_limit_allows(web, folder):
    audio = (folder / "4.mp3").read_bytes()
    web.files["music/x.tar"] = tar_of({f"{number:03d}.mp3": audio for number in range(60)})
    options = {**OPTIONS, "shuffle": False, "max_buffered_bytes": 1 << 20}
    frames = iter(StreamingAudioDataset(f"{web.root}/music/x.tar", **options))
    next(frames)
    fetched = sum(stop - start for start, stop in (each.byte_range for each in web.requests if each.byte_range))
    assert fetched <= len(audio) + (1 << 17) + 2 * (1 << 16) < len(web.files["music/x.tar"]) / 4
    frames.close()
    assert no_threads()


def test_workers_share_tars_and_resume(web, whole):
    def loader(**options):
        dataset = StreamingAudioDataset(f"{web.root}/music/{{0000..0002}}.tar", **OPTIONS, **options)
        return ResumableDataLoader(dataset, batch_size=3, num_workers=2)

    batches, first = list(loader()), loader()
    assert_exact(flat(batches), whole)
    taken = iter(first)
    next(taken), next(taken), next(taken)
    resumed = loader()
    resumed.load_state_dict(first.state_dict())
    found = list(resumed)
    assert len(found) == len(batches) - 3
    assert all(torch.equal(one["audio"], other["audio"]) for one, other in zip(found, batches[3:], strict=True))
    assert len({int(seed) for batch in batches for seed in batch["seed"]}) == sum(len(each["seed"]) for each in batches)
    with pytest.raises(OptionError, match="rank 3 of 4 gets none of 3 files.*a tar in a store counts as one"):
        next(iter(StreamingAudioDataset(f"{web.root}/music", **OPTIONS, repeat=True, rank=3, world_size=4)))


def test_the_order_does_not_depend_on_time(web):
    def order():
        dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS, seed=3)
        return [(item["path"], item["start"]) for item in dataset]

    first = order()
    web.delay = 0.01
    assert order() == first
    in_order = StreamingAudioDataset(f"{web.root}/music", **OPTIONS, shuffle=False)
    assert [name_of(item["path"]) for item in in_order if item["start"] == 0] == sorted(name_of(path) for path, _ in {
        (path, 0) for path, _ in first})  # fmt: skip


def test_sidecars_come_by_with_their_members(web, folder):
    numbers = {path.name: number for number, path in enumerate(sorted(folder.iterdir()))}
    for options in ({}, {"max_buffered_bytes": 1 << 20}):
        dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS, metadata="sidecar", **options)
        for item in dataset:
            number = numbers[name_of(item["path"])]
            assert item["metadata"] == {"number": number, "txt": f"text {number}", "cls": number}
    web.files = {"music/x.tar": tar_of({"a.mp3": (folder / "0.mp3").read_bytes(), "b.json": b"{}"})}
    dataset = StreamingAudioDataset(f"{web.root}/music/x.tar", **OPTIONS, metadata="sidecar")
    with pytest.raises(AudioFileError, match="none of the 1 files can be read.* it has no sidecar in its tar"):
        list(dataset)


def test_metadata_by_a_function_or_a_table(web, tmp_path):
    url = f"{web.root}/music/0000.tar"
    by_function = StreamingAudioDataset(url, **OPTIONS, metadata=lambda path: {"name": name_of(path)})
    assert {item["metadata"]["name"] for item in by_function} == {"0.mp3", "1.mp3", "2.mp3"}
    (tmp_path / "t.csv").write_text("\n".join(["path,n", *(f"tar://{n}.mp3::{url},{n}" for n in range(3))]))
    by_table = StreamingAudioDataset(url, **OPTIONS, metadata=tmp_path / "t.csv")  # its members are listed
    assert {item["metadata"]["n"] for item in by_table} == {0, 1, 2}


def test_excluded_members_and_tars(web):
    files = f"{web.root}/music"
    dataset = StreamingAudioDataset(files, **OPTIONS, exclude=[f"tar://1.mp3::{files}/0000.tar", f"{files}/0002.tar"])
    assert {name_of(item["path"]) for item in dataset} == {"0.mp3", "2.mp3", "3.mp3", "4.mp3", "5.wav"}


def test_members_larger_than_their_share_are_read_piece_by_piece(web, whole):
    dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS, max_buffered_bytes=1 << 20)
    assert_exact(dataset, whole)


def test_many_members_with_one_key_are_not_held_together(web, folder):
    """Names such as take.1.mp3: the sidecar is that of all of them, and comes last."""
    audio = (folder / "4.mp3").read_bytes()
    files = {f"take.{number}.mp3": audio for number in range(12)}
    web.files["music/x.tar"] = tar_of({**files, "take.cls": b"7"})
    options = {**OPTIONS, "metadata": "sidecar", "max_buffered_bytes": 1 << 20}
    dataset = StreamingAudioDataset(f"{web.root}/music/x.tar", **options)
    items = list(dataset)
    assert {name_of(item["path"]) for item in items} == set(files)
    assert {item["metadata"]["cls"] for item in items} == {7}


def test_a_url_with_a_query(web):
    assert len(find_sources(f"{web.root}/music/0000.tar?download=true")) == 3


def test_a_tar_that_is_cut_off_gives_what_it_holds(web, caplog):
    data = web.files["music/0001.tar"]
    web.files["music/0001.tar"] = data[: len(data) // 3]
    url = f"{web.root}/music/0001.tar"
    dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS)
    names = {name_of(item["path"]) for item in dataset}
    assert {"0.mp3", "1.mp3", "2.mp3", "6.flac"} <= names
    assert "5.wav" not in names
    assert "cut off inside the member" in dataset.report().damaged[url] + caplog.text
    assert len(find_sources(url)) == len([name for name in names if name in ("3.mp3", "4.mp3")])


def test_a_store_that_fails_in_the_middle_of_a_tar(web, folder):
    def fault(request):
        is_late = request.byte_range is not None and request.byte_range[0] >= 131_072
        return 503 if request.path == "music/0001.tar" and is_late else None

    web.fault = fault
    dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS, max_buffered_bytes=1 << 22)
    names = {name_of(item["path"]) for item in dataset}
    assert {"0.mp3", "1.mp3", "2.mp3", "6.flac", "7.ogg"} <= names
    assert "5.wav" not in names
    (reason,) = dataset.report().skipped.values()
    assert "503" in reason
    assert "of it came before" in reason
    with pytest.raises(AudioFileError, match=r"0001\.tar: its store does not give it .*503"):
        list(StreamingAudioDataset(f"{web.root}/music", **OPTIONS, on_error="raise", max_buffered_bytes=1 << 22))
    assert no_threads()


def test_a_tar_that_changes_is_noticed(web):
    index = AudioIndex.build(f"{web.root}/music")
    web.files["music/0000.tar"] = bytes(1_024) + web.files["music/0000.tar"]
    dataset = StreamingAudioDataset(index, **OPTIONS)
    assert len(list(dataset)) == len(dataset)
    assert {name_of(path) for path in dataset.report().skipped} == {"0.mp3", "1.mp3", "2.mp3"}
    assert all("changed since it was indexed" in reason for reason in dataset.report().skipped.values())


def test_what_is_no_tar_is_reported(web):
    web.files["music/0001.tar"] = b"\x1f\x8b" + bytes(5_000)
    web.files["music/0003.tar"] = tar_of({"a.txt": b"a"})
    web.files["music/0004.tar.gz"] = b"x"
    dataset = StreamingAudioDataset(f"{web.root}/music", **OPTIONS)
    assert {name_of(item["path"]) for item in dataset} == {"0.mp3", "1.mp3", "2.mp3", "6.flac", "7.ogg"}
    reasons = {path.rpartition("/")[2]: reason for path, reason in dataset.report().skipped.items()}
    assert "compressed tar (gzip)" in reasons["0001.tar"]
    assert "none of its members is audio" in reasons["0003.tar"]


def test_s3(shards, whole, monkeypatch):
    """Streamed, indexed and listed, with workers."""
    server_module = pytest.importorskip("moto.server", reason="moto's server is not installed; it is for tests")
    s3fs = pytest.importorskip("s3fs", reason="the extra remote is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        access = {"client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
        system = s3fs.S3FileSystem(**access, skip_instance_cache=True)
        system.mkdir("tars")
        for path in shards:
            system.pipe_file(f"tars/shards/{path.name}", path.read_bytes())
        options = {**OPTIONS, "storage_options": access}
        files = "s3://tars/shards/{0000..0002}.tar"
        assert_exact(flat(DataLoader(StreamingAudioDataset(files, **options), batch_size=4, num_workers=2)), whole)
        AudioIndex.build("s3://tars/shards", storage_options=access).save("s3://tars/shards.parquet")
        indexed = StreamingAudioDataset("s3://tars/shards.parquet", **options)
        assert_exact(flat(DataLoader(indexed, batch_size=4, num_workers=2)), whole)
    finally:
        server.stop()
