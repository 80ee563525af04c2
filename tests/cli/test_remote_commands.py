"""The commands with URLs of a web server, of memory and of an index in a store."""

import json
import re

import fsspec
import pytest
from builders import make_mp3
from click.testing import CliRunner
from web_server import WebServer

from flowmo_data import AudioIndex
from flowmo_data.cli.group import flowmo_data_command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("folder")
    for index in range(3):
        make_mp3(path / f"{index}.mp3", 60_000, seed=index)
    (path / "bad.mp3").write_bytes(b"no audio")
    (path / "other.tak").write_bytes(b"x")
    return path


@pytest.fixture
def memory(folder):
    system = fsspec.filesystem("memory")
    for path in folder.iterdir():
        system.pipe_file(f"/commands/{path.name}", path.read_bytes())
    yield system
    system.rm("/commands", recursive=True)


@pytest.fixture
def web(folder):
    with WebServer().running() as server:
        server.files = {f"music/{path.name}": path.read_bytes() for path in folder.glob("?.mp3")}
        yield server


def run(*arguments, status=0):
    done = CliRunner().invoke(flowmo_data_command, [str(each) for each in arguments])
    assert done.exit_code == status, done.output
    return done.output


def test_index_into_the_store_then_inspect_and_check_it(memory, tmp_path):
    index = "memory://commands/music.parquet"
    said = run("index", "memory://commands", "-o", index, "--workers", 0)
    assert "bad.mp3" in said
    assert "other.tak" in said
    assert f"{index}: 3 files, 0.00 hours; 1 bad file" in said
    loaded = AudioIndex.load(index)
    assert (loaded.root, len(loaded)) == ("memory://commands", 4)
    reads = []
    real = memory.__class__.cat_file

    def noted(self, path, **options):
        reads.append(path)
        return real(self, path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory.__class__, "cat_file", noted)
        run("index", "memory://commands", "-o", index, "--workers", 0)
    assert set(reads) == {"/commands/music.parquet", "/commands/bad.mp3"}  # what is known is not read again
    assert "memory://commands: 3 files" in run("inspect", index)
    run("check", index, "--workers", 0, "--json", tmp_path / "check.json", status=1)
    files = json.loads((tmp_path / "check.json").read_text())["files"]
    assert {each["path"]: each["verdict"] for each in files} == {
        "memory://commands/bad.mp3": "unreadable",
        **{f"memory://commands/{number}.mp3": "whole" for number in range(3)},
    }


def test_check_writes_a_list_for_exclude(memory, tmp_path):
    said = run("check", "memory://commands", "--workers", 0, "--quarantine", tmp_path / "bad.txt", status=1)
    assert re.search(r"^ *bad\.mp3 +unreadable", said, re.MULTILINE), said  # relative to the URL
    assert (tmp_path / "bad.txt").read_text() == "memory://commands/bad.mp3\n"


def test_a_local_index_of_a_store(memory, tmp_path):
    run("index", "memory://commands", "-o", tmp_path / "music.parquet", "--workers", 0)
    assert AudioIndex.load(tmp_path / "music.parquet").root == "memory://commands"


def test_bench(web, tmp_path):
    json_path = tmp_path / "bench.json"
    options = ["--batch-size", 2, "--samples-per-frame", 20_000, "--warmup", 1, "--batches", 2, "--repeats", 1]
    secret = ["--storage-option", "headers.X-Secret=hush"]
    run("bench", f"{web.root}/music", "--workers", 0, *options, *secret, "--json", json_path)
    assert "hush" not in json_path.read_text()
    assert len(json.loads(json_path.read_text())["results"]) == 3
    assert "baselines read local files" in run("bench", f"{web.root}/music", "--baselines", "librosa", status=2)


def test_storage_options_are_given_as_keys_and_values(memory):
    given = ["--storage-option", "s3.client_kwargs.endpoint_url=http://x", "--storage-option", "s3.anon=true"]
    run("inspect", "memory://commands", "--workers", 0, *given)  # for another protocol: not used
    assert "'anon' is not KEY=VALUE" in run("inspect", "memory://commands", "--storage-option", "anon", status=2)
    said = run("inspect", "memory://commands", "--storage-option", "client_kwargs=", "--workers", 0)
    assert "3 files" in said


def test_what_is_not_there_is_told_in_one_line(memory):
    said = run("check", "memory://nowhere", status=1)
    assert said.startswith("flowmo-data: files='memory://nowhere': there is no such object or folder")
    assert "there is no such index" in run("inspect", "memory://nowhere.parquet", status=1)
