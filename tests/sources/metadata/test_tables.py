import json

import pytest
from builders import told

from flowmo_data.errors import FilesError, FilesNotFoundError, OptionError
from flowmo_data.sources.metadata.rows import Rows
from flowmo_data.sources.metadata.tables import Table

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is optional")

from pyarrow import parquet  # noqa: E402


def csv_table(folder, text, name="labels.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return Table(path)


def json_table(folder, *rows):
    path = folder / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Table(path)


def column(table, name):
    rows = Rows(table.columns)
    return [rows[row][name] for row in range(len(table))]


def test_the_three_formats_say_the_same(tmp_path):
    rows = [
        {"file_name": "a.mp3", "text": "älter, 東京", "bpm": 120.5},
        {"file_name": "b/c.mp3", "text": "", "bpm": 90.0},
    ]
    tables = [
        csv_table(tmp_path, '\ufefffile_name,text,bpm\na.mp3,"älter, 東京",120.5\nb/c.mp3,,90\n'),
        csv_table(tmp_path, "file_name\ttext\tbpm\na.mp3\tälter, 東京\t120.5\nb/c.mp3\t\t90\n", "labels.tsv"),
        json_table(tmp_path, *rows),
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "labels.parquet")
    tables.append(Table(tmp_path / "labels.parquet"))
    for table in tables:
        assert [table.file(row) for row in range(2)] == [str(tmp_path / "a.mp3"), str(tmp_path / "b" / "c.mp3")]
        assert column(table, "text") == ["älter, 東京", ""]
        assert column(table, "bpm") == [120.5, 90.0]


def test_cells_of_csv_are_what_they_look_like(tmp_path):
    cells = {
        "whole": (["1", "-20"], [1, -20]),
        "float": (["1", "2.5e3"], [1.0, 2_500.0]),
        "truth": (["true", "False"], [True, False]),
        "gap": (["7", ""], ["7.0", "nan"]),
        "name": (["007", "12"], ["007", "12"]),
        "long": (["1234567890123456789", "1"], ["1234567890123456789", "1"]),
        "date": (["2026-01-02", "2026-01-03"], ["2026-01-02", "2026-01-03"]),
        "null": (["NULL", "NA"], ["NULL", "NA"]),
        "lines": (['"one\ntwo"', '"say ""three"""'], ["one\ntwo", 'say "three"']),
        "none": (["", ""], ["", ""]),
    }
    lines = [
        ",".join(["path", *cells]),
        *(",".join([f"{row}.mp3", *(c[0][row] for c in cells.values())]) for row in (0, 1)),
    ]
    table = csv_table(tmp_path, "\n".join(lines) + "\n")
    for name, (_, expected) in cells.items():
        found = column(table, name)
        assert (list(map(str, found)) if name == "gap" else found) == expected, name
        assert name == "gap" or all(type(one) is type(other) for one, other in zip(found, expected, strict=True)), name


def test_json_lines_keep_lists_and_objects_and_may_lack_keys(tmp_path):
    table = json_table(
        tmp_path,
        {"audio_filepath": "a.wav", "tags": ["x", "y"], "by": {"name": "q", "age": 3}, "when": "2026-01-02"},
        {"audio_filepath": "b.wav", "tags": [], "by": {"name": "r"}},
    )
    rows = Rows(table.columns)
    assert rows[0] == {"tags": ["x", "y"], "by": {"name": "q", "age": 3.0}, "when": "2026-01-02"}
    assert repr(rows[1]) == repr({"tags": [], "by": {"name": "r", "age": float("nan")}, "when": ""})


def test_long_json_lines_are_read_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("flowmo_data.sources.metadata.tables._LINES_AT_A_TIME", 3)
    table = json_table(tmp_path, *({"path": f"{row}.mp3", "n": row if row < 8 else row + 0.5} for row in range(10)))
    assert column(table, "n") == [*map(float, range(8)), 8.5, 9.5]


def test_rows_are_found_by_path(tmp_path, caplog):
    names = ["a.mp3", "./b.mp3", "x/../c.mp3", str(tmp_path / "d.mp3"), "a.mp3", "ü\udc41"[:1] + ".mp3"]
    table = json_table(tmp_path, *({"file_name": name} for name in names))
    assert table.rows(str(tmp_path / "a.mp3")) == [0, 4]
    assert [table.rows(str(tmp_path / f"{name}.mp3")) for name in "bcdü"] == [[1], [2], [3], [5]]
    assert table.rows(str(tmp_path / "e.mp3")) == []
    assert list(table.repeated()) == [(0, 4)]
    assert table.compared([str(tmp_path / f"{name}.mp3") for name in "acx"]).tolist() == [True, True, False]
    assert told(caplog) == [f"{table}: 3 of 6 rows name none of the files, for example {tmp_path / 'b.mp3'}"]


def test_two_paths_with_one_hash_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("flowmo_data.sources.metadata.tables._hash", lambda path: 7)
    table = csv_table(tmp_path, "path,n\na.mp3,1\nb.mp3,2\n")
    assert [table.rows(str(tmp_path / name)) for name in ("a.mp3", "b.mp3", "c.mp3")] == [[0], [1], []]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "file,text\na,b\n", "no column that names files, only 'file', 'text'; give it a row for each file"),
        ("a.csv", "file_name,text\n", "this table has no rows"),
        ("a.csv", "", "it cannot be read as a table"),
        ("a.csv", "file_name,text\na,b,c\n", "it cannot be read as a table .*Expected 2 columns, got 3"),
        ("a.csv", "file_name,a,a\nx,b,c\n", "several columns with the name 'a'; rename them"),
        ("a.csv", "path,n\n1,2\n2,3\n", ""),
        ("a.jsonl", "", "no column that names files, only none at all"),
        ("a.jsonl", '{"path": "a"}\n{"path"\n', "line 2 is not JSON .*; write one object per line"),
        ("a.json", '[{"path": "a"}]', "line 1 is list and not an object; write one per line"),
        ("a.jsonl", '{"path": 1}\n', "its column 'path' names no files: its type is int64; give paths"),
        (
            "a.jsonl",
            '{"path": "a", "n": 1}\n{"path": "b", "n": "x"}\n',
            "it cannot be read as a table .*tried to convert",
        ),
        ("a.jsonl", '{"path": "a", "n": 99999999999999999999}\n', "it cannot be read as a table"),
        ("a.parquet", "no parquet", "it cannot be read as a table"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    if not message:
        assert Table(tmp_path / name).rows(str(tmp_path / "1")) == [0]  # a file may be called so
        return
    with pytest.raises(FilesError, match=message):
        Table(tmp_path / name)


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(FilesNotFoundError, match="none.csv: there is no such table"):
        Table(tmp_path / "none.csv")
    with pytest.raises(
        OptionError, match=r"labels.xlsx'?: this is no table; give the path of a CSV, JSON lines or Parquet"
    ):
        Table(tmp_path / "labels.xlsx")
    (tmp_path / "latin.csv").write_bytes("path,text\na,\xe9\n".encode("latin-1"))
    with pytest.raises(FilesError, match="latin.csv: it cannot be read as a table .*UTF"):
        Table(tmp_path / "latin.csv")
