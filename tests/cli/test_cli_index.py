import json

import pytest
from builders import make_mp3, make_wav
from click.testing import CliRunner

from flowmo_data import AudioIndex
from flowmo_data.cli.group import flowmo_data_command

pyarrow = pytest.importorskip("pyarrow", reason="the extra index is not installed")
parquet = pytest.importorskip("pyarrow.parquet")


def run(*arguments):
    return CliRunner().invoke(flowmo_data_command, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for number in range(2):
        make_mp3(folder / f"{number}.mp3", 60_000, seed=number)
    make_wav(folder / "a.wav", 48_000, rate=48_000, channels=1)
    (folder / "bad.mp3").write_bytes(b"text " * 100)
    data = make_mp3(folder / "damaged.mp3", 60_000).read_bytes()
    (folder / "damaged.mp3").write_bytes(data[:9_000] + bytes(999) + data[9_000:])
    return folder


def test_index_writes_and_says_what_is_bad(folder, tmp_path):
    path = tmp_path / "i.parquet"
    result = run("index", folder, "-o", path)
    assert result.exit_code == 0, result.output
    assert "bad.mp3" in result.output
    assert "4 files, 0.00 hours; 1 bad file" in result.output
    assert len(AudioIndex.load(path)) == 5
    before = path.read_bytes()
    assert run("index", folder, "-o", path).exit_code == 0
    assert path.read_bytes() == before
    assert run("index", folder, "-o", path, "--fresh", "--workers", "0").exit_code == 0


def test_an_index_of_another_version_is_made_anew(folder, tmp_path):
    path = tmp_path / "i.parquet"
    table = AudioIndex.build(folder).table
    parquet.write_table(table.replace_schema_metadata({"flowmo_data.index": json.dumps({"version": 99})}), path)
    assert run("inspect", path).exit_code == 1
    result = run("index", folder, "-o", path)
    assert result.exit_code == 0
    assert "made by another version; all files are read again" in result.output
    assert len(AudioIndex.load(path)) == 5


def test_an_index_is_updated_where_its_folder_has_moved(folder, tmp_path):
    path = tmp_path / "i.parquet"
    run("index", folder, "-o", path)
    folder.rename(tmp_path / "moved")
    assert run("index", tmp_path / "moved", "-o", path).exit_code == 0
    assert AudioIndex.load(path).root == str(tmp_path / "moved")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["index", "{folder}"], 2, "Missing option '-o'"),
        (["index", "{folder}", "-o", "{tmp}/i.csv"], 2, "the name of an index must end in .parquet"),
        (["index", "{tmp}/nowhere", "-o", "{tmp}/i.parquet"], 1, "there is no such file or folder"),
        (["index", "{folder}", "-o", "{tmp}/no/i.parquet"], 1, "it cannot be written (No such file or directory)"),
        (["index", "{folder}", "-o", "{tmp}/i.parquet", "--root", "{tmp}/other"], 1, "it is not under root="),
        (["index", "{folder}", "-o", "{tmp}/text.parquet"], 1, "or delete it, or choose another name"),
        (["index", "{folder}", "-o", "{tmp}/text.parquet", "--fresh"], 1, "text.parquet: this is not an index"),
        (["index", "{tmp}/text.parquet", "-o", "{tmp}/i.parquet"], 2, "is an index; to update it, give the folder"),
        (["index", "{folder}/bad.mp3", "-o", "{tmp}/i.parquet"], 1, "none of 1 file can be read; nothing is written"),
        (["inspect", "{tmp}/text.parquet"], 1, "text.parquet: this is not an index"),
        (["inspect", "{tmp}/none.parquet"], 1, "there is no such index; make one"),
        (["inspect", "{folder}", "--plot", "{tmp}/a.xyz"], 1, "its name must end in one of"),
        (["inspect", "{folder}", "--json", "{tmp}/no/a.json"], 1, "--json"),
        (["inspect"], 2, "Missing argument 'FOLDER|INDEX|NAME=FOLDER...'"),
    ],
)
def test_bad_input_is_said(folder, tmp_path, arguments, status, message):
    (tmp_path / "text.parquet").write_text("no index")
    result = run(*(argument.format(folder=folder, tmp=tmp_path) for argument in arguments))
    assert result.exit_code == status, result.output
    assert message in result.output
    assert (tmp_path / "text.parquet").read_text() == "no index"


@pytest.mark.parametrize("from_index", [False, True])
def test_inspect_says_what_is_there(folder, tmp_path, from_index):
    files = folder
    if from_index:
        files = tmp_path / "i.parquet"
        run("index", folder, "-o", files)
    written = ["--json", tmp_path / "out.json", "--plot", tmp_path / "out.png"]
    result = run("inspect", files, "--samples-per-frame", "10000", "--workers", "0", *written)
    assert result.exit_code == 0, result.output
    for text in (
        "MPEG-1 Layer III",
        "WAV/PCM_16",
        "48000",
        "damaged.mp3",
        "999 bytes inside",
        "bad.mp3",
        "frames of 10,000",
    ):
        assert text in result.output
    summary = json.loads((tmp_path / "out.json").read_text())
    assert summary["files"] == 4
    assert summary["channels"]["1"]["files"] == 1
    assert summary["formats"]["MPEG-1 Layer III"]["files"] == 3
    assert summary["frames_per_epoch"]["pad"] > summary["frames_per_epoch"]["drop"] > 0
    assert len(summary["bad_files"]) == len(summary["damaged_files"]) == 1
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_tables_are_joined_with_the_index(folder, tmp_path, caplog):
    path = tmp_path / "i.parquet"
    names = sorted(str(each.relative_to(tmp_path)) for each in folder.rglob("*.mp3") if each.name != "bad.mp3")
    rows = [{"file_name": name, "text": f"about {name}"} for name in names]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "parts.csv").write_text(f"file_name,start,stop\n{names[0]},0,0.2\n{names[0]},0.1,900\nno.mp3,0,1\n")
    tables = ["--metadata", tmp_path / "labels.jsonl", "--segments", tmp_path / "parts.csv"]
    result = run("index", folder, "-o", path, "--workers", "0", *tables)
    assert result.exit_code == 0, result.output
    for text in ("it has no row in the table of metadata", "1 segment cut at its end", "2 segments of 1 file,"):
        assert text in result.output
    assert "1 of 3 rows name none of the files" in caplog.text
    result = run("inspect", path, "--samples-per-frame", "1000", "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    for text in ("metadata", "text", "large_string", "2 segments, 0.00 hours"):
        assert text in result.output
    summary = json.loads((tmp_path / "out.json").read_text())
    assert summary["metadata"] == {"text": "large_string"}
    assert summary["segments"] == 2
    assert run("check", path).output.count(names[0].rpartition("/")[2]) <= 1
    result = run("index", folder, "-o", path, "--workers", "0")
    for gone in ("metadata", "segments"):
        assert (
            f"it had {gone} until now, and has none any more; to have them again, give --{gone} TABLE" in result.output
        )
    assert not AudioIndex.load(path).has_segments


def test_bad_tables_are_said(folder, tmp_path):
    for option in ("--metadata", "--segments"):
        for name, message in [
            ("none.csv", "there is no such table"),
            ("labels.txt", "this is no table; give the path"),
        ]:
            result = run("index", folder, "-o", tmp_path / "i.parquet", option, tmp_path / name)
            assert result.exit_code == 1
            assert message in result.output
    assert not (tmp_path / "i.parquet").exists()
