import json

import pytest
from builders import make_mp3, make_wav

from flowmo_data import AudioIndex, StreamingAudioDataset
from flowmo_data.errors import FilesError, FilesNotFoundError, OptionError

pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is optional")

from pyarrow.compute import field


@pytest.fixture
def table(tmp_path):
    """Three files and a bad one, and a table about two of them."""
    folder = tmp_path / "files"
    folder.mkdir()
    make_mp3(folder / "a.mp3", 44_100)
    make_wav(folder / "b.wav", 96_000, channels=1, rate=48_000)
    make_wav(folder / "c.wav", 132_300)
    (folder / "bad.wav").write_bytes(b"RIFF" + bytes(40))
    rows = [
        {"file_name": "files/a.mp3", "split": "train", "bpm": 120, "path": "own", "by": {"name": "x"}},
        {"file_name": "files/b.wav", "split": "test", "bpm": None, "path": "other", "by": {"name": "y"}},
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def index(table):
    return AudioIndex.build(table.parent / "files", metadata=table)


def names(index):
    return [index.columns.path(number).rpartition("/")[2] for number in range(len(index.columns))]


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        (field("seconds") > 1.5, ["b.wav", "c.wav"]),
        (field("sample_rate") == 44_100, ["a.mp3", "c.wav"]),
        ((field("channels") == 1) | (field("format") == "MPEG-1 Layer III"), ["a.mp3", "b.wav"]),
        (field("path") == "c.wav", ["c.wav"]),
        (field("metadata", "path") == "own", ["a.mp3"]),
        (field("split") == "train", ["a.mp3"]),
        (field("split") != "train", ["b.wav"]),  # null is neither
        (field("bpm").is_null(), ["b.wav", "bad.wav", "c.wav"]),
        (field("by", "name").isin(["y", "z"]), ["b.wav"]),
    ],
)
def test_rows_are_kept_by_an_expression(index, expression, kept):
    assert names(index.filter(expression)) == kept


def test_metadata_goes_along_and_the_corpus_is_another(index, tmp_path):
    kept = index.filter(field("split").is_valid())
    assert kept.fingerprint != index.fingerprint
    kept.save(tmp_path / "i.parquet")
    dataset = StreamingAudioDataset(tmp_path / "i.parquet", samples_per_frame=44_100, return_info=True, shuffle=False)
    assert repr([item["metadata"] for item in dataset]) == repr(
        [{"split": "train", "bpm": 120.0, "path": "own", "by": {"name": "x"}}]
        + [{"split": "test", "bpm": float("nan"), "path": "other", "by": {"name": "y"}}] * 2
    )
    assert not dataset.report()


def test_segments_are_kept_one_by_one(index, table):
    segments = table.parent / "segments.csv"
    segments.write_text(
        "file_name,start,stop,text\nfiles/a.mp3,0,0.5,u\nfiles/c.wav,2,3,v\nfiles/c.wav,0,1,w\nfiles/b.wav,0,1,x\n"
    )
    index = index.without_metadata().with_segments(segments)
    for expression, kept in [
        (field("seconds") < 0.9, ["u"]),
        (field("segment_start") >= 1, ["v"]),
        ((field("text") == "v") | (field("text") == "x"), ["x", "v"]),
        (field("sample_rate") == 44_100, ["u", "w", "v"]),
        ((field("sample_rate") == 44_100) & (field("segment_stop") < 1.5), ["u", "w"]),
    ]:
        found = index.filter(expression)
        assert [found.columns.metadata(number)["text"] for number in range(len(found.columns))] == kept
    with_both = index.with_metadata(table).filter((field("text") == "w") | (field("split") == "train"))
    assert [with_both.columns.metadata(number).get("text") for number in range(2)] == ["u", "w"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("seconds > 30", r"filter\('seconds > 30'\): give an expression of pyarrow.compute, such as field"),
        (
            field("bmp") > 3,
            r"filter\(\(bmp > 3\)\): No match for FieldRef.Name\(bmp\); the fields are split, bpm, .*, seco",
        ),
        (field("split") > 3, r"filter\(\(split > 3\)\): .*; the fields are split"),
        (field("bpm"), r"filter\(bpm\): .*; the fields are"),
    ],
)
def test_what_cannot_be_asked_is_said(index, expression, message):
    with pytest.raises(OptionError, match=message):
        index.filter(expression)


def test_an_index_of_nothing_is_refused(index):
    with pytest.raises(FilesNotFoundError, match=r"filter keeps none of 4 tracks: \(seconds > 100\)"):
        index.filter(field("seconds") > 100)


def test_a_table_of_names_alone_is_no_metadata(table):
    (table.parent / "names.csv").write_text("file_name\nfiles/a.mp3\n")
    with pytest.raises(FilesError, match="names.csv: it has no column beside 'file_name'; add what is to come out"):
        AudioIndex.build(table.parent / "files", metadata=table.parent / "names.csv")


def test_objects_that_parquet_cannot_hold_are_said(table):
    table.write_text('{"file_name": "files/a.mp3", "tags": [{"more": {}}], "start": 0, "stop": 1}\n')
    for option in ("metadata", "segments"):
        with pytest.raises(
            FilesError, match="its column 'tags' has empty objects only, which Parquet cannot hold; leave"
        ):
            AudioIndex.build(table.parent / "files", **{option: table})
