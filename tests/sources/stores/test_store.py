import pickle
import sys
import zipfile

import fsspec
import pytest
from web_server import WebServer

from flowmo_data import (
    FilesError,
    FilesNotFoundError,
    FilesTypeError,
    MissingPackageError,
    OptionError,
    StreamingAudioDataset,
)
from flowmo_data.sources import Store, excluded_paths, find_left_out, find_sources
from flowmo_data.sources.paths import split_url
from flowmo_data.sources.stores.storage_options import options_of

NAMES = [
    "b.mp3", "a.MP3", "deep/er/c.flac", "deep/d.wav", ".hidden/e.mp3", "deep/.f.mp3", "notes.md", "g.tak", "é ü.mp3",
]  # fmt: skip
WANTED = ["a.MP3", "b.mp3", "deep/d.wav", "deep/er/c.flac", "é ü.mp3"]


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    for name in NAMES:
        system.pipe_file(f"/tree/{name}", b"x")
    yield system
    system.rm("/tree", recursive=True)


def below(urls, folder):
    return [url.removeprefix(folder).lstrip("/") for url in urls]


def test_a_folder_an_object_and_globs(memory):
    root = "memory://tree"
    assert below(find_sources(root), root) == below(find_sources(root + "/"), root) == WANTED
    assert below(find_sources(f"{root}/notes.md"), root) == ["notes.md"]
    assert below(find_sources(f"{root}/*.[mM][pP]3"), root) == ["a.MP3", "b.mp3", "é ü.mp3"]
    assert below(find_sources(f"{root}/**/*.wav"), root) == ["deep/d.wav"]
    assert below(find_sources("memory://tr*/deep/*.wav"), root) == ["deep/d.wav"]
    assert list(find_left_out(root)) == [f"{root}/g.tak"]


def test_paths_and_urls_of_several_protocols_in_one_list(memory, tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"x")
    files = [tmp_path, "memory://tree/deep", f"file://{tmp_path}/a.mp3", "memory://tree/deep/d.wav"]
    assert list(find_sources(files)) == [
        str(tmp_path / "a.mp3"), "memory://tree/deep/d.wav", "memory://tree/deep/er/c.flac",
    ]  # fmt: skip


def test_chained_urls(memory, tmp_path):
    cached = find_sources("simplecache::memory://tree", store=Store({"simplecache": {"cache_storage": str(tmp_path)}}))
    assert below(cached, "simplecache::memory://tree") == WANTED
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("music/a.mp3", b"x")
    (inside,) = find_sources(f"zip://music::{tmp_path}/c.zip")
    assert inside == f"zip://music/a.mp3::{tmp_path}/c.zip"


def test_a_web_server_that_lists_its_folders():
    with WebServer().running() as web:
        web.files = {f"tree/{name}".replace(" ", "%20"): b"x" for name in NAMES if name.isascii()}
        assert below(find_sources(f"{web.root}/tree"), f"{web.root}/tree") == WANTED[:-1]
        assert below(find_sources(f"{web.root}/tree/b.mp3"), web.root) == ["tree/b.mp3"]
        with pytest.raises(FilesNotFoundError, match=r"none.mp3'?: there is no such object or folder"):
            find_sources(f"{web.root}/none.mp3")
        with_password = web.root.replace("://", "://user:password@")
        assert below(find_sources(f"{with_password}/tree/b.mp3"), with_password) == ["tree/b.mp3"]
        web.fault = lambda _: 403
        with pytest.raises(FilesError, match=r"its store cannot be listed .*403.*check the URL, and the access"):
            find_sources(f"{web.root}/tree")


def test_what_is_not_there_is_told(memory):
    with pytest.raises(FilesNotFoundError, match=r"memory://none'?: there is no such object or folder"):
        find_sources("memory://none")
    with pytest.raises(FilesNotFoundError, match="no object matches it"):
        find_sources("memory://tree/*.aiff")
    memory.pipe_file("/tree/empty/a.txt", b"")
    with pytest.raises(FilesNotFoundError, match="no file in it ends in"):
        find_sources("memory://tree/empty")


def test_a_list_of_files_to_leave_out_may_lie_in_a_store(memory):
    memory.pipe_file("/tree/bad.txt", b"a.MP3\ndeep/d.wav\n")
    for exclude in ("memory://tree/bad.txt", ["memory://tree/a.MP3", "memory://tree/deep/d.wav"]):
        excluded = excluded_paths(exclude)
        assert below(find_sources("memory://tree", excluded=excluded), "memory://tree") == ["b.mp3", *WANTED[3:]]
    with pytest.raises(FilesNotFoundError, match=r"none.txt'?: this list of files cannot be read"):
        excluded_paths("memory://tree/none.txt")


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # no test imports it, and fsspec remembers what was imported
    with pytest.raises(MissingPackageError, match=r"gs:// in a path needs another package .*flowmo_data\[remote\]"):
        find_sources("gs://bucket/music")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingPackageError, match=r"memory:// in a path needs fsspec .*flowmo_data\[remote\]"):
        find_sources("memory://music")


def test_unknown_protocols_are_refused():
    with pytest.raises(FilesError, match=r"nothing://a: .*is the protocol spelled as fsspec knows it\?"):
        find_sources("nothing://a")


@pytest.mark.parametrize("options", ["anon", 3, {3: 4}], ids=repr)
def test_options_of_another_type_are_refused(options):
    with pytest.raises(OptionError, match="storage_options=.*give a dictionary of options for fsspec"):
        StreamingAudioDataset("memory://music", storage_options=options)


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("memory://a", {"x": 1}, {"x": 1}),
        ("memory://a", {"memory": {"x": 1}, "s3": {"anon": True}}, {"x": 1}),
        ("ftp://a", {"x": {"y": 1}}, {"x": {"y": 1}}),
        ("simplecache::memory://a", {"memory": {"x": 1}, "z": 1}, {"memory": {"x": 1}, "z": 1, "simplecache": {}}),
        ("s3://a", {"config_kwargs": {}}, {"config_kwargs": {}}),
    ],
)  # fmt: skip
def test_options_are_those_of_the_protocol(url, given, expected):
    assert options_of(split_url(url), given) == expected


def test_a_store_pickles_without_its_connections(memory):
    store = Store({"x": 1})
    assert store.exists("memory://tree/b.mp3")
    assert pickle.loads(pickle.dumps(store)).options == {"x": 1}


def test_what_names_no_path_is_still_refused():
    with pytest.raises(FilesTypeError, match="does not name a file"):
        find_sources([3])
