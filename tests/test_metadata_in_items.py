"""Metadata under the audio: from a function, from sidecars, from a table and from an index, through real loaders."""

import json
import logging
import math

import pytest
import torch
from builders import make_ramps, told
from torch.utils.data import DataLoader

from flowmo_data import AudioFrameDataset, AudioIndex, ResumableDataLoader, StreamingAudioDataset
from flowmo_data.errors import AudioFileError, FilesError, NoReadableFileError, OptionError, StateError

pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is optional")

LENGTHS = [9_000, 7_000, 8_000, 6_000]
SMALL = {"samples_per_frame": 1_000, "channels": 1, "return_info": True}
TEXTS = ["zero", "one", "zwei, ü", ""]


@pytest.fixture
def files(tmp_path):
    make_ramps(tmp_path / "files", LENGTHS)
    return tmp_path / "files"


def name(number):
    return f"ramp_{number:03d}"


def write_table(path, numbers, **more):
    rows = [{"file_name": f"files/{name(n)}.wav", "text": TEXTS[n], "n": n if n else None, **more} for n in numbers]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def table(files):
    return write_table(files.parent / "labels.jsonl", range(4))


def number_of(path):
    return int(path[-7:-4])


def described(path):
    """A function that spawned workers can import."""
    return {"text": TEXTS[number_of(path)], "n": number_of(path)}


def all_but_two(path):
    return None if number_of(path) == 2 else described(path)


def with_a_gap(number):
    """The number of a file as the table has it: a gap is NaN, and so all are floats."""
    return float(number) if number else math.nan


def check_batches(batches, *, n=with_a_gap):
    """Every frame has what belongs to its file; gives the numbers of the files that came."""
    came = set()
    for batch in batches:
        for path, text, value in zip(batch["path"], batch["metadata"]["text"], batch["metadata"]["n"], strict=True):
            number = number_of(path)
            assert text == TEXTS[number]
            assert repr(value.item()) == repr(n(number))
            came.add(number)
    return came


# Where it comes from


@pytest.mark.parametrize("from_index", [False, True])
@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_row_belongs_to_every_frame_of_its_file(files, table, from_index, batch_size):
    source = AudioIndex.build(files) if from_index else files
    dataset = StreamingAudioDataset(source, metadata=table, batch_size=batch_size, **SMALL)
    loader = DataLoader(dataset, batch_size=None if batch_size else 4, num_workers=2 if batch_size else 0)
    assert check_batches(loader) == {0, 1, 2, 3}
    assert not dataset.report()


def test_an_index_has_its_own(files, table, tmp_path):
    index = AudioIndex.build(files, metadata=table)
    index.save(tmp_path / "i.parquet")
    other = write_table(tmp_path / "other.jsonl", range(4), more=[1, 2])
    for source, option in [(index, None), (tmp_path / "i.parquet", None), (tmp_path / "i.parquet", other)]:
        dataset = StreamingAudioDataset(source, metadata=option, **SMALL)
        batches = list(DataLoader(dataset, batch_size=4, num_workers=0))
        assert check_batches(batches) == {0, 1, 2, 3}
        assert ("more" in batches[0]["metadata"]) == (option is other)
    plain = StreamingAudioDataset(index, samples_per_frame=1_000)
    assert all(isinstance(frame, torch.Tensor) for frame in plain)


@pytest.mark.parametrize("from_index", [False, True])
def test_sidecars_and_functions_are_asked_in_workers(files, from_index):
    source = AudioIndex.build(files) if from_index else files
    for number in range(4):
        (files / f"{name(number)}.json").write_text(json.dumps(described(f"{name(number)}.wav")))
    for metadata in ("sidecar", described):
        dataset = StreamingAudioDataset(source, metadata=metadata, **SMALL)
        loader = DataLoader(dataset, batch_size=4, num_workers=2)
        assert check_batches(loader, n=int) == {0, 1, 2, 3}


@pytest.mark.parametrize("kind", ["function", "table", "index"])
def test_workers_that_are_not_forked_have_it_too(files, table, kind):
    source = AudioIndex.build(files, metadata=table) if kind == "index" else files
    metadata = {"function": described, "table": table, "index": None}[kind]
    dataset = StreamingAudioDataset(source, metadata=metadata, **SMALL)
    loader = DataLoader(dataset, batch_size=4, num_workers=1, multiprocessing_context="forkserver")
    assert check_batches(loader, n=int if kind == "function" else with_a_gap) == {0, 1, 2, 3}


def test_the_dictionary_of_a_frame_is_its_own(files, table):
    def change(item):
        item["metadata"]["tags"].append(item["start"])
        return item

    table, shared = write_table(table, range(4), tags=["a"]), {"tags": ["a"]}
    for source in (files, AudioIndex.build(files)):
        for metadata in (table, lambda path: shared):
            dataset = StreamingAudioDataset(source, metadata=metadata, transform=change, **SMALL)
            assert all(item["metadata"]["tags"] == ["a", item["start"]] for item in dataset)


@pytest.mark.parametrize("kind", ["index", "table", "function", "segments"])
def test_frames_by_number_have_it_too(files, table, kind):
    index = AudioIndex.build(files, metadata=table if kind == "index" else None)
    if kind == "segments":
        rows = [
            {"path": f"files/{name(n)}.wav", "start": 0.1, "stop": 0.13, "text": TEXTS[n], "n": n} for n in range(4)
        ]
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
        index = index.with_segments(table)
    metadata = {"table": table, "function": described}.get(kind)
    dataset = AudioFrameDataset(index, metadata=metadata, **SMALL)
    for num_workers in (0, 2):
        loader = DataLoader(dataset, batch_size=3, shuffle=True, num_workers=num_workers)
        assert check_batches(loader, n=with_a_gap if kind in ("index", "table") else int) == {0, 1, 2, 3}
    if kind == "segments":
        assert len(dataset) == 4 * 2
        assert dataset[2]["audio"][0, 0] == 9_000 + 4_410 + 1


def test_a_transform_sees_it(files, table):
    dataset = StreamingAudioDataset(files, metadata=table, transform=lambda item: item["metadata"]["text"], **SMALL)
    assert set(dataset) == set(TEXTS)


# Files that have none


@pytest.mark.parametrize("from_index", [False, True, "joined"])
def test_a_file_without_a_row_is_skipped_and_reported(files, table, from_index, caplog):
    write_table(table, [0, 1, 3])
    source = AudioIndex.build(files, metadata=table if from_index == "joined" else None) if from_index else files
    metadata = None if from_index == "joined" else table
    dataset = StreamingAudioDataset(source, metadata=metadata, framing="drop", shuffle=False, **SMALL)
    items = list(dataset)
    assert {number_of(item["path"]) for item in items} == {0, 1, 3}
    assert len(items) == 22
    assert not from_index or len(dataset) == 22
    reason = "it has no row in " + ("the table of metadata" if from_index else str(table))
    path = str(files / f"{name(2)}.wav")
    assert dataset.report().skipped == {path: reason}
    assert told(caplog) == [f"skipped {path}: {reason}"]
    raising = StreamingAudioDataset(source, metadata=metadata, on_error="raise", **SMALL)
    with pytest.raises(AudioFileError, match=f"{name(2)}.wav: it has no row in"):
        list(raising)


@pytest.mark.parametrize("from_index", [False, True])
def test_a_broken_sidecar_is_a_bad_file(files, from_index):
    source = AudioIndex.build(files) if from_index else files
    for number in (0, 1, 3):
        (files / f"{name(number)}.json").write_text(json.dumps(described(f"{name(number)}.wav")))
    (files / f"{name(3)}.json").write_text("{")
    dataset = StreamingAudioDataset(source, metadata="sidecar", framing="drop", shuffle=False, **SMALL)
    items = list(dataset)
    assert {number_of(item["path"]) for item in items} == {0, 1}
    assert len(items) == (30 if from_index else 16)  # with an index, others come in their place
    skipped = dataset.report().skipped
    assert [path[-12:] for path in skipped] == ["ramp_002.wav", "ramp_003.wav"]
    assert [reason.partition(": ")[0] for reason in skipped.values()] == [
        "its sidecar ramp_002.json cannot be read",
        "its sidecar ramp_003.json is not JSON",
    ]
    with pytest.raises(AudioFileError, match=r"ramp_00[23].wav: its sidecar ramp_00[23].json"):
        list(StreamingAudioDataset(source, metadata="sidecar", on_error="raise", **SMALL))


@pytest.mark.parametrize("from_index", [False, True])
def test_a_function_leaves_files_out(files, from_index, caplog):
    caplog.set_level(logging.INFO)
    source = AudioIndex.build(files) if from_index else files
    dataset = StreamingAudioDataset(
        source, metadata=all_but_two, framing="drop", shuffle=False, on_error="raise", **SMALL
    )
    items = list(dataset)
    assert {number_of(item["path"]) for item in items} == {0, 1, 3}
    assert len(items) == (30 if from_index else 22)
    assert not dataset.report()
    assert told(caplog) == [f"{files / name(2)}.wav: it is left out, because metadata= returned None for it"]


@pytest.mark.parametrize("from_index", [False, True])
def test_a_function_that_leaves_out_everything_ends_in_an_error(files, from_index):
    source = AudioIndex.build(files) if from_index else files
    dataset = StreamingAudioDataset(source, metadata=lambda path: None, **SMALL)
    with pytest.raises(NoReadableFileError, match="it is left out, because metadata= returned None for it"):
        list(dataset)


@pytest.mark.parametrize("from_index", [False, True])
def test_a_table_about_other_files_is_an_error_at_construction(files, table, from_index):
    source = AudioIndex.build(files) if from_index else files
    table = table.rename(files / "labels.jsonl")
    with pytest.raises(
        FilesError, match=r"none of its 4 rows is about any of 4 files. Its first row is about .*/files/f"
    ):
        StreamingAudioDataset(source, metadata=table, **SMALL)


def test_the_option_is_checked_at_construction(files):
    with pytest.raises(OptionError, match="metadata=3: give a function from a path to a dictionary, 'sidecar', or"):
        StreamingAudioDataset(files, metadata=3, **SMALL)
    with pytest.raises(OptionError, match="metadata='sidecar' comes out in the dictionary of return_info=True"):
        StreamingAudioDataset(files, metadata="sidecar")


# States


@pytest.mark.parametrize("from_index", [False, True])
def test_a_state_fits_if_the_same_files_have_rows(files, table, from_index):
    source = AudioIndex.build(files) if from_index else files

    def loader(metadata):
        return ResumableDataLoader(
            StreamingAudioDataset(source, metadata=metadata, **SMALL), batch_size=3, num_workers=2
        )

    interrupted = loader(table)
    whole = list(loader(table))
    for _, _ in zip(range(4), interrupted, strict=False):
        state = interrupted.state_dict()
    again = loader(write_table(files.parent / "more.jsonl", range(4), more=1))
    again.load_state_dict(state)
    rest = list(again)
    assert len(rest) == len(whole) - 4
    assert all(torch.equal(one["audio"], other["audio"]) for one, other in zip(rest, whole[4:], strict=True))
    assert [batch["metadata"]["text"] for batch in rest] == [batch["metadata"]["text"] for batch in whole[4:]]
    fewer = loader(write_table(files.parent / "fewer.jsonl", [0, 1, 3]))
    with pytest.raises(StateError, match=r"this state does not fit: (files|index) was"):
        fewer.load_state_dict(state)
    loader(None).load_state_dict(state)


def test_indexing_again_reads_the_table_and_no_file(files, table, monkeypatch):
    index = AudioIndex.build(files, metadata=table)
    monkeypatch.setattr("flowmo_data.tracks.index.building.describe", None)
    again = AudioIndex.build(files, previous=index, metadata=write_table(table, [0, 1], more=7))
    assert again.columns.metadata(1) == {"text": "one", "n": 1.0, "more": 7}
    assert list(again.bad_files()) == [str(files / f"{name(number)}.wav") for number in (2, 3)]
    assert again.metadata_types() == {"text": "large_string", "n": "int64", "more": "int64"}
    assert not AudioIndex.build(files, previous=again).metadata_types()
