import json
import pickle

import pytest

from flowmo_data.errors import AudioFileError, FilesError, OptionError
from flowmo_data.sources.metadata.of_files import LeftOutError, check_metadata, copied, open_metadata


@pytest.fixture
def files(tmp_path):
    return [str(tmp_path / name) for name in ("a.mp3", "b.mp3", "c.mp3")]


def labels(path):
    return {"name": path[-5]} if path[-5] != "c" else None


def test_a_function_is_asked(files):
    metadata = open_metadata(labels, files)
    assert metadata.of(files[0]) == {"name": "a"}
    with pytest.raises(LeftOutError, match="c.mp3: it is left out, because metadata= returned None for it"):
        metadata.of(files[2])
    assert metadata.is_known is None


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda path: {}["speaker"], "a.mp3: metadata= raised KeyError: 'speaker'"),
        (lambda path: 3, "a.mp3: metadata= returned int; return a dictionary, or None to leave the file out"),
    ],
)
def test_a_function_that_fails_is_a_problem_of_the_file(files, function, message):
    with pytest.raises(AudioFileError, match=message) as caught:
        open_metadata(function, files).of(files[0])
    assert caught.value.path == files[0]


def test_sidecars_are_read_when_they_are_needed(files, tmp_path):
    metadata = open_metadata("sidecar", files)
    (tmp_path / "a.json").write_text('\ufeff{"text": "ü", "tags": [1, {"x": null}]}', encoding="utf-8")
    assert metadata.of(files[0]) == {"text": "ü", "tags": [1, {"x": None}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "its sidecar a.json cannot be read: No such file or directory"),
        (b'{"text": ', "its sidecar a.json is not JSON: "),
        (b'{"text": "\xe9"}', "its sidecar a.json is not JSON: 'utf-8' codec"),
        (b"[1]", "its sidecar a.json holds list; it must be an object"),
    ],
)
def test_a_bad_sidecar_is_a_problem_of_the_file(files, tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(AudioFileError, match=f"a.mp3: {message}") as caught:
        open_metadata("sidecar", files).of(files[0])
    assert caught.value.path == files[0]


@pytest.fixture
def table(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is optional")
    path = tmp_path / "labels.jsonl"
    rows = [{"file_name": f"{name}.mp3", "text": name} for name in ("b", "a", "x", "a")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_table_has_a_row_for_a_file(files, table, caplog):
    metadata = open_metadata(table, files)
    assert [record.message for record in caplog.records] == [
        f"{table}: 1 of 4 rows name none of the files, for example {table.parent / 'x.mp3'}"
    ]
    for each in (metadata, pickle.loads(pickle.dumps(metadata))):
        assert each.of(files[0]) == {"text": "a"}
        assert each.is_known.tolist() == [True, True, False]
        with pytest.raises(AudioFileError, match="c.mp3: it has no row in .*labels.jsonl"):
            each.of(files[2])


def test_a_table_about_other_files_is_refused_with_examples(files, table):
    with pytest.raises(FilesError) as caught:
        open_metadata(table, ["/elsewhere/b.mp3", "/elsewhere/d.mp3"])
    assert str(caught.value) == (
        f"{table}: none of its 4 rows is about any of 2 files. Its first row is about {table.parent / 'b.mp3'} "
        "(file_name 'b.mp3', relative to the folder of the table), and the first file is /elsewhere/b.mp3"
    )


def test_two_different_rows_for_a_file_are_refused(files, table):
    with table.open("a") as opened:
        opened.write('{"file_name": "./b.mp3", "text": "other"}\n')
    with pytest.raises(FilesError, match="rows 1 and 5 are both about .*b.mp3 and differ; leave one row for each file"):
        open_metadata(table, files)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (3, "metadata=3: give a function from a path to a dictionary, 'sidecar', or the path of a table"),
        ("labels", "'labels': this is no table; give the path of a CSV, JSON lines or Parquet file"),
    ],
)
def test_the_option_is_checked(metadata, message):
    with pytest.raises(OptionError, match=message):
        check_metadata(metadata, return_info=True)


def test_it_needs_a_dictionary_to_come_out_in():
    with pytest.raises(OptionError, match="metadata='sidecar' comes out in the dictionary of return_info=True; set"):
        check_metadata("sidecar", return_info=False)
    check_metadata(None, return_info=False)


def test_a_copy_shares_no_list():
    metadata = {"a": [1, {"b": 2}], "c": {"d": "e"}}
    other = copied(metadata)
    assert other == metadata
    other["a"][1]["b"] = other["c"]["d"] = 0
    assert metadata == {"a": [1, {"b": 2}], "c": {"d": "e"}}
