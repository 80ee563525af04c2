import errno
import os
import pickle
import re
import socket
from pathlib import Path

import pytest

from flowmo_data import AudioFileError, FilesError, FilesNotFoundError, FilesTypeError, ResourceError
from flowmo_data.sources import LocalFile, Sources, find_left_out, find_sources, folders


@pytest.fixture
def tree(tmp_path):
    for name in (
        "b.mp3",
        "a.MP3",
        "deep/er/c.flac",
        "deep/d.wav",
        ".hidden/e.mp3",
        "deep/.f.mp3",
        "notes.txt",
        "g.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(files, tree):
    return [os.path.relpath(path, tree) for path in find_sources(files)]


def test_a_folder_gives_its_audio_sorted(tree):
    assert names(tree, tree) == ["a.MP3", "b.mp3", "deep/d.wav", "deep/er/c.flac"]
    assert names(str(tree), tree) == names(tree, tree)


def test_a_file_is_taken_whatever_it_is_called(tree):
    assert names(tree / "g.jpg", tree) == ["g.jpg"]


def test_globs(tree):
    assert names(f"{tree}/*.[mM][pP]3", tree) == ["a.MP3", "b.mp3"]
    assert names(f"{tree}/**/*.wav", tree) == ["deep/d.wav"]
    assert names(f"{tree}/dee*", tree) == ["deep/d.wav", "deep/er/c.flac"]


def test_a_relative_glob_in_a_folder_whose_name_looks_like_a_glob(tree, monkeypatch):
    strange = tree / "a[b]*"
    strange.mkdir()
    (strange / "x.mp3").write_bytes(b"x")
    monkeypatch.chdir(strange)
    assert names("*.mp3", tree) == ["a[b]*/x.mp3"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree):
    (tree / "take[1].mp3").write_bytes(b"x")
    assert names(tree / "take[1].mp3", tree) == ["take[1].mp3"]


def test_a_sequence_is_sorted_and_each_file_comes_once(tree):
    files = [tree / "deep", tree / "b.mp3", f"{tree}/./b.mp3", f"{tree}/*.mp3", tree / "a.MP3"]
    assert names(files, tree) == ["a.MP3", "b.mp3", "deep/d.wav", "deep/er/c.flac"]


def test_relative_paths_are_the_same_files(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert names(["b.mp3", tree / "b.mp3", "deep/../b.mp3"], tree) == ["b.mp3"]


def test_links_to_folders_are_followed_once(tree):
    (tree / "deep" / "loop").symlink_to(tree)
    assert len(find_sources(tree)) == 4


@pytest.mark.parametrize("value", [None, 3, b"bytes.mp3", [3], [None], {"a": 1}], ids=repr)
def test_what_is_no_path_is_refused_by_name(value):
    shown = repr(value[0]) if isinstance(value, list) else repr(value)
    with pytest.raises(FilesTypeError) as caught:
        find_sources(value)
    assert f"files={shown}" in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_what_does_not_exist_is_refused_by_name(tree):
    with pytest.raises(FilesNotFoundError, match="nowhere.mp3'?: there is no such file or folder"):
        find_sources([tree / "b.mp3", tree / "nowhere.mp3"])
    assert issubclass(FilesNotFoundError, FileNotFoundError)
    assert issubclass(FilesNotFoundError, FilesError)


def test_a_folder_without_audio_is_refused(tree):
    (tree / "empty").mkdir()
    with pytest.raises(FilesNotFoundError, match=r"empty'?: no file in it ends in \.mp3"):
        find_sources(tree / "empty")
    with pytest.raises(FilesNotFoundError, match="no file matches it"):
        find_sources(f"{tree}/*.aiff")
    with pytest.raises(FilesNotFoundError, match="it is empty"):
        find_sources([])
    with pytest.raises(FilesNotFoundError, match="files='': an empty path"):
        find_sources("")


def test_a_folder_that_cannot_be_listed_is_named(tree, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(os, "scandir", refuse)  # tests may run as root, who may list everything
    with pytest.raises(FilesError, match="cannot be listed .Permission denied.; make it readable"):
        find_sources(tree)


def test_what_cannot_be_accessed_does_not_stop_the_rest(tree, monkeypatch, caplog):
    (tree / "self.mp3").symlink_to(tree / "self.mp3")
    (tree / "self").symlink_to(tree / "self")
    (tree / "one.wav").symlink_to(tree / "two.wav")
    (tree / "two.wav").symlink_to(tree / "one.wav")
    (tree / "gone.mp3").symlink_to(tree / "nowhere.mp3")
    (tree / "album 1.5").symlink_to("/mnt/nowhere/album")
    os.mkfifo(tree / "pipe.mp3")
    assert names(tree, tree) == ["a.MP3", "b.mp3", "deep/d.wav", "deep/er/c.flac"]
    reasons = {os.path.relpath(path, tree): reason for path, reason in find_left_out(tree).items()}
    circle = f"it cannot be accessed ({os.strerror(errno.ELOOP)})"
    assert reasons == {
        **dict.fromkeys(["self.mp3", "self", "one.wav", "two.wav"], circle),
        **dict.fromkeys(["gone.mp3", "album 1.5"], "it is a link that leads nowhere"),
        "pipe.mp3": "it is a pipe, a socket or a device, not a file",
    }
    (record,) = caplog.records
    assert "left out: 7 others (it cannot be accessed" in record.message
    assert f"it is a link that leads nowhere: {tree}" in record.message


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EACCES, errno.ENOENT, errno.ELOOP])
@pytest.mark.parametrize("call", ["stat", "scandir"])
def test_a_folder_below_that_cannot_be_listed_is_left_out(tree, monkeypatch, caplog, call, code):
    real = getattr(os, call)

    def refuse(path, *args, **kwargs):
        if os.fspath(path) == str(tree / "deep"):
            raise OSError(code, os.strerror(code), path)
        return real(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)  # a network mount fails so, and nothing else does on demand
        assert names(tree, tree) == ["a.MP3", "b.mp3"]
        assert find_left_out(tree) == {str(tree / "deep"): f"the folder cannot be listed ({os.strerror(code)})"}
        with pytest.raises(FilesError, match=f"{re.escape(os.strerror(code))}|there is no such file or folder"):
            find_sources([tree / "b.mp3", tree / "deep"])
    assert f"the folder cannot be listed ({os.strerror(code)}): {tree}/deep" in caplog.records[0].message


def test_a_shortage_of_descriptors_leaves_nothing_out(tree, monkeypatch):
    def refuse(folder):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ResourceError, match="has reached its limit of"):
        find_sources(tree)


@pytest.mark.parametrize("name", ["a.tak", "a.TAK", "a.m4p", "a.mpc", "a.spx", "a.dsf", "a.dts"])
def test_files_in_formats_that_are_not_read_are_told(tree, caplog, name):
    (tree / "deep" / name).write_bytes(b"x")
    (tree / f".{name}").write_bytes(b"x")
    assert names(tree, tree) == ["a.MP3", "b.mp3", "deep/d.wav", "deep/er/c.flac"]
    (record,) = caplog.records
    assert f"left out: 1 file in formats that are not read (1 {name[1:].lower()}); flowmo-data check" in record.message
    caplog.clear()
    find_sources(tree, excluded=[str(tree / "deep" / name)])
    assert not [record for record in caplog.records if "left out:" in record.message]


@pytest.mark.parametrize("name", ["a.m4a", "a.M4A", "a.webm", "a.aac", "a.wma", "a.ape", "a.wv", "a.tta", "a.ac3"])
def test_files_that_need_pyav_are_audio_if_it_is_there(tree, caplog, name, monkeypatch):
    (tree / "deep" / name).write_bytes(b"x")
    monkeypatch.setattr(folders, "is_installed", {"av": True}.get)
    assert f"deep/{name}" in names(tree, tree)
    monkeypatch.setattr(folders, "is_installed", {"av": False}.get)
    assert f"deep/{name}" not in names(tree, tree)
    (record,) = caplog.records
    needed = f"left out: 1 file in formats that need PyAV (1 {name[1:].lower()}): pip install 'flowmo_data[av]'; flowmo"
    assert needed in record.message


def test_a_folder_of_nothing_but_other_formats_says_so(tmp_path):
    (tmp_path / "a.tak").write_bytes(b"x")
    (tmp_path / "b.tak").write_bytes(b"x")
    with pytest.raises(FilesNotFoundError, match=r"no file in it ends in .*left out: 2 files in formats .*\(2 \.tak\)"):
        find_sources(tmp_path)


def test_a_path_that_cannot_be_accessed_is_named_with_the_reason(tmp_path):
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FilesError, match="self cannot be accessed .Too many levels of symbolic links"):
        find_sources(tmp_path / "self")
    with pytest.raises(FilesNotFoundError, match="gone'?: it is a link that leads nowhere"):
        find_sources(tmp_path / "gone")
    with pytest.raises(FilesError, match="pipe is neither a file nor a folder"):
        find_sources(tmp_path / "pipe")


def test_paths_that_are_no_text_survive(tmp_path):
    name = b"caf\xe9 \xff.mp3"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    (path,) = find_sources(tmp_path)
    assert os.fsencode(path).endswith(name)


def test_sources_are_a_sequence():
    sources = Sources(["/c", "/a", "/b"])
    assert list(sources) == ["/a", "/b", "/c"]
    assert sources[-1] == "/c"
    assert sources[1:] == ["/b", "/c"]
    assert "/b" in sources
    with pytest.raises(IndexError, match="there are 3 files, none at 3"):
        sources[3]


def test_a_fingerprint_is_that_of_the_paths():
    assert Sources(["/a", "/b"]).fingerprint == Sources(["/b", "/a"]).fingerprint
    assert Sources(["/a", "/b"]).fingerprint != Sources(["/ab"]).fingerprint


def test_a_million_paths_are_two_buffers():
    sources = Sources(f"/music/{i:07d}.mp3" for i in range(100_000))
    assert len(pickle.dumps(sources)) < 100_000 * 30


def test_reading_beyond_the_end_gives_what_there_is(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    source = LocalFile.at(str(tmp_path / "a"))
    assert source.read(3, 6) == b"345"
    assert source.read(8, 20) == b"89"
    assert source.read(20, 30) == b""


def test_a_file_that_changed_is_noticed(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    source = LocalFile.at(str(path))
    path.write_bytes(b"01234")
    with pytest.raises(AudioFileError, match=r"a: changed while it was in use \(10 bytes before, 5 bytes now\)"):
        source.read(0, 4)
    path.write_bytes(b"9876543210")
    os.utime(path, ns=(1, 1))
    with pytest.raises(AudioFileError, match="10 bytes before, the same size now"):
        source.read(0, 4)
    path.unlink()
    with pytest.raises(AudioFileError, match="a: No such file or directory"):
        source.read(0, 4)
    with pytest.raises(AudioFileError, match="No such file or directory"):
        LocalFile.at(str(path))


@pytest.mark.parametrize("size", [0, 1, 10, 4_096, 5_000, 12_288, 100_001])
def test_a_file_at_another_time_is_told_by_its_bytes(tmp_path, size):
    path, data = tmp_path / "a", os.urandom(size)
    path.write_bytes(data)
    source = LocalFile.at(str(path))
    for time in (1, 1_700_000_001_000_000_000):
        os.utime(path, ns=(time, time))
        assert source.read(0, size) == data
        source.check_unchanged()
    for place in {0, size // 2, size - 1} if size else ():
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        os.utime(path, ns=(1, 1))
        with pytest.raises(AudioFileError, match="the same size now"):
            source.read(0, size)
        with pytest.raises(AudioFileError, match="the same size now"):
            source.check_unchanged()


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, reason in ((tmp_path / "pipe", "it is a pipe"), (tmp_path / "folder", "it is a folder")):
        with pytest.raises(AudioFileError, match=f"{reason}, not a file with audio"):
            LocalFile.at(str(path))
    with pytest.raises(AudioFileError, match="it is a device, not a file with audio"):
        LocalFile.at("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(AudioFileError, match="socket: No such device or address"):
            LocalFile.at(str(tmp_path / "socket"))
