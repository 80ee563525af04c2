"""Aligned files, mixtures, metadata and segments in a store: the frames are those of local files."""

import csv
import json
import weakref

import fsspec
import pytest
import torch
from builders import make_mp3, make_wav

from flowmo_data import (
    AudioFileError,
    AudioFrameDataset,
    AudioIndex,
    FilesError,
    FilesNotFoundError,
    MixedAudioDataset,
    ResumableDataLoader,
    StreamingAudioDataset,
)
from flowmo_data.cli.group import flowmo_data_command
from flowmo_data.epochs.progress import Progress
from flowmo_data.epochs.sharding import Shard
from flowmo_data.sources import RemoteFile

pytest.importorskip("pyarrow", reason="the extra index is not installed")

OPTIONS = {"samples_per_frame": 20_000, "return_info": True, "shuffle_buffer_size": 20}
MIB = 1 << 20
ROOT = "memory://sets"


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Two folders of files with the same names, sidecars and tables."""
    folder = tmp_path_factory.mktemp("local")
    rows = []
    for name in ("mix", "vocals"):
        (folder / name).mkdir()
    for index in range(4):
        make_mp3(folder / f"mix/{index}.mp3", 90_000 + 5_000 * index, seed=index)
        make_wav(folder / f"vocals/{index}.wav", 90_000 + 5_000 * index, seed=10 + index)
        (folder / f"mix/{index}.json").write_text(json.dumps({"text": f"about {index}"}))
        rows.append({"file_name": f"mix/{index}.mp3", "text": f"about {index}", "start": 0.5, "stop": 1.5})
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def store(local):
    """The same in memory."""
    memory = fsspec.filesystem("memory")
    for path in local.rglob("*.*"):
        memory.pipe_file(f"/sets/{path.relative_to(local).as_posix()}", path.read_bytes())
    yield memory
    memory.rm("/sets", recursive=True)


def sets(root):
    return {"mixture": f"{root}/mix", "vocals": f"{root}/vocals"}


def assert_same(found, expected, root):
    """Compare items, but for the roots of their paths; there are some."""
    found, expected = list(found), list(expected)
    assert len(found) == len(expected) > 5
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            if key == "audio":
                values = value if isinstance(value, dict) else {"": value}
                others = other[key] if isinstance(value, dict) else {"": other[key]}
                assert all(torch.equal(audio, others[name]) for name, audio in values.items())
            elif key == "path":
                assert str(value).replace(ROOT, "") == str(other[key]).replace(str(root), "")
            else:
                assert value == other[key], key


def test_aligned_files_of_a_store(store, local):
    for files in ({"shuffle": False}, {}):
        remote, near = (StreamingAudioDataset(sets(root), **OPTIONS, **files) for root in (ROOT, local))
        assert_same(remote, near, local)
    indexes = [AudioIndex.build(sets(root)) for root in (ROOT, local)]
    assert indexes[0].names == ("mixture", "vocals")
    assert_same(*(StreamingAudioDataset(index, **OPTIONS) for index in indexes), local)
    batches = [[frames[place] for place in range(len(frames))] for frames in map(AudioFrameDataset, indexes)]
    assert all(torch.equal(one["vocals"], other["vocals"]) for one, other in zip(*batches, strict=True))


def test_aligned_files_are_matched_by_globs_and_single_objects(store):
    globs = {"mixture": f"{ROOT}/mix/[01].mp3", "vocals": f"{ROOT}/vocals/*.wav"}
    dataset = StreamingAudioDataset(globs, **OPTIONS)
    assert {item["path"]["vocals"] for item in dataset} == {f"{ROOT}/vocals/{number}.wav" for number in (0, 1)}
    one = {"mixture": f"{ROOT}/mix/2.mp3", "vocals": [f"{ROOT}/vocals/2.wav"]}
    assert {item["path"]["mixture"] for item in StreamingAudioDataset(one, **OPTIONS)} == {f"{ROOT}/mix/2.mp3"}
    missing = StreamingAudioDataset(
        {"mixture": f"{ROOT}/mix", "vocals": f"{ROOT}/vocals"}, **OPTIONS, exclude=[f"{ROOT}/vocals/3.wav"]
    )
    assert f"{ROOT}/mix/3.mp3" not in {item["path"]["mixture"] for item in missing}


def test_an_object_of_a_set_that_is_gone_names_the_set(store):
    dataset = StreamingAudioDataset(sets(ROOT), **OPTIONS, on_error="raise")
    data = store.cat_file("/sets/vocals/2.wav")
    store.rm_file("/sets/vocals/2.wav")
    try:
        with pytest.raises(AudioFileError, match=r"vocals/2\.wav: there is no such object; the files that are aligned"):
            list(dataset)
    finally:
        store.pipe_file("/sets/vocals/2.wav", data)


def test_all_objects_of_a_set_count_for_the_limit(store, monkeypatch):
    dataset = StreamingAudioDataset(sets(ROOT), **OPTIONS, max_buffered_bytes=2 * MIB)
    alive, real = weakref.WeakSet(), RemoteFile.fetch

    def noted(self, ranges):
        real(self, ranges)
        alive.add(self.held)

    monkeypatch.setattr(RemoteFile, "fetch", noted)
    most = [sum(held.num_bytes for held in list(alive)) for _ in dataset.spans(Progress(0, 0), Shard())]
    total = sum(info["size"] for info in store.find("/sets/vocals", detail=True).values())
    assert total / 2 < max(most) <= 2 * MIB


def mixture(root, indexes=True, **options):
    folders = [f"{root}/mix", f"{root}/vocals"]
    files = [AudioIndex.build(folder) for folder in folders] if indexes else folders
    parts = dict(zip("ab", (StreamingAudioDataset(each, **OPTIONS) for each in files), strict=True))
    return MixedAudioDataset(parts, weights={"a": 3, "b": 1}, **options)


@pytest.mark.parametrize("indexes", [True, False])
def test_a_mixture_of_stores(store, local, indexes):
    assert_same(mixture(ROOT, indexes), mixture(local, indexes), local)


def test_weights_of_an_endless_mixture_change_behind_what_is_fetched_ahead(store):
    def run(state=None):
        loader, begin, batches = ResumableDataLoader(mixture(ROOT, stop="never"), batch_size=4), 0, []
        if state is not None:
            loader.load_state_dict(state)
            begin = 8
        for step, batch in enumerate(loader, begin + 1):
            batches.append("".join(batch["dataset"]))
            if step == 4:
                loader.dataset.set_weights({"a": 0, "b": 1})
            if step == 8:
                state = loader.state_dict()
            if step == 46:
                return batches, state
        raise AssertionError

    batches, state = run()
    assert all("a" in batch for batch in batches[: 4 + 32])  # 128 frames are ahead
    assert batches[4 + 32 :] == ["bbbb"] * 10
    assert run(state)[0] == batches[8:]


@pytest.mark.parametrize("metadata", ["sidecar", "table.csv", "table.jsonl", "table.parquet"])
@pytest.mark.parametrize("indexed", [False, True])
def test_metadata_in_a_store(store, local, metadata, indexed):
    if metadata == "table.parquet":
        from pyarrow import json as reader
        from pyarrow import parquet

        parquet.write_table(reader.read_json(local / "table.jsonl"), local / metadata)
        store.pipe_file(f"/sets/{metadata}", (local / metadata).read_bytes())
    datasets = []
    for root in (ROOT, local):
        files = AudioIndex.build(f"{root}/mix") if indexed else f"{root}/mix"
        known = metadata if metadata == "sidecar" else f"{root}/{metadata}"
        datasets.append(StreamingAudioDataset(files, **OPTIONS, metadata=known))
    assert_same(*datasets, local)
    assert {item["metadata"]["text"] for item in datasets[0]} == {f"about {number}" for number in range(4)}


def test_a_local_table_names_objects_by_urls(store, tmp_path):
    table = tmp_path / "table.jsonl"
    table.write_text(json.dumps({"file_name": f"{ROOT}/mix/1.mp3", "text": "one"}) + "\n")
    dataset = StreamingAudioDataset(f"{ROOT}/mix/1.mp3", **OPTIONS, metadata=table)
    assert {item["metadata"]["text"] for item in dataset} == {"one"}
    with pytest.raises(FilesNotFoundError, match=r"memory://sets/none\.csv: there is no such table"):
        StreamingAudioDataset(f"{ROOT}/mix", **OPTIONS, metadata=f"{ROOT}/none.csv")
    with pytest.raises(FilesError, match=r"none of its 1 row is about any of 4 files"):
        StreamingAudioDataset(f"{ROOT}/vocals", **OPTIONS, metadata=table)


def test_segments_in_a_store_are_ranges_of_bytes(store, local):
    from pyarrow.compute import field

    indexes = [AudioIndex.build(f"{root}/mix", segments=f"{root}/table.csv") for root in (ROOT, local)]
    options = {**OPTIONS, "shuffle": False}
    assert_same(*(StreamingAudioDataset(index, **options) for index in indexes), local)
    spans = list(StreamingAudioDataset(indexes[0], **options).spans(Progress(0, 0), Shard()))
    sources = [span.timeline.parts[0].part.source for span in spans]
    assert all(0 < source.held.num_bytes < source.stamp.size for source in sources)
    filtered = indexes[0].filter(field("text") == "about 2")
    assert {item["path"] for item in StreamingAudioDataset(filtered, **options)} == {f"{ROOT}/mix/2.mp3"}


def test_commands_take_names_and_tables_of_a_store(store):
    from click.testing import CliRunner

    index = f"{ROOT}/sets.parquet"
    named = [f"mixture={ROOT}/mix", f"vocals={ROOT}/vocals"]
    for arguments in (
        ["index", *named, "-o", index, "--metadata", f"{ROOT}/table.csv", "--workers", "0"],
        ["inspect", index],
        ["inspect", *named, "--workers", "0"],
        ["check", index, "--workers", "0"],
        ["check", *named, "--workers", "0"],
    ):
        done = CliRunner().invoke(flowmo_data_command, arguments)
        assert done.exit_code == 0, (arguments, done.output)
    loaded = AudioIndex.load(index)
    assert (loaded.root, loaded.names) == (ROOT, ("mixture", "vocals"))
    assert loaded.columns.metadata(1)["text"] == "about 1"
