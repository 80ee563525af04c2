import os

import pytest
from tars import tar_of

from flowmo_data import AudioFileError, FilesError, FilesNotFoundError
from flowmo_data.sources import Sources, Store, excluded_paths, find_left_out, find_sources, source_at

MEMBERS = {"b.mp3": b"bb", "a/c.FLAC": b"c", ".hidden.mp3": b"h", "a/._d.mp3": b"m", "note.txt": b"t", "b.json": b"{}"}


@pytest.fixture
def shards(tmp_path):
    for number in range(3):
        (tmp_path / f"{number:04d}.tar").write_bytes(tar_of(MEMBERS))
    return tmp_path


def names(files, folder):
    return [path.replace(f"{folder}/", "") for path in find_sources(files)]


ONE = ["tar://a/c.FLAC::0000.tar", "tar://b.mp3::0000.tar"]
ALL = [each.replace("0000", f"{number:04d}") for number in range(3) for each in ONE]


def test_a_tar_gives_its_audio(shards):
    assert names(shards / "0000.tar", shards) == ONE
    assert names(f"{shards}/0000.tar", shards) == ONE


@pytest.mark.parametrize("files", ["", "*.tar", "{0000..0002}.tar", "000{0,1,2}.tar", "**/*.tar"])
def test_folders_globs_and_braces(shards, files):
    """Sorted by tar, then by name."""
    assert names(f"{shards}/{files}", shards) == ALL


def test_tars_and_files_together(shards):
    (shards / "0001.mp3").write_bytes(b"x")
    assert names(shards, shards) == [*ALL[:2], "0001.mp3", *ALL[2:]]
    assert names([shards / "0001.mp3", shards / "0002.tar", shards / "0002.tar"], shards) == ["0001.mp3", *ALL[4:]]


def test_relative_paths_of_tars(shards, monkeypatch):
    monkeypatch.chdir(shards)
    assert names("000{0..1}.tar", shards) == ALL[:4]
    assert names("tar://b.mp3::0000.tar", shards) == ONE[1:]


def test_braces_in_the_name_of_a_file_are_no_braces(shards):
    os.rename(shards / "0000.tar", shards / "{0..2}.tar")
    assert names(f"{shards}/{{0..2}}.tar", shards) == ["tar://a/c.FLAC::{0..2}.tar", "tar://b.mp3::{0..2}.tar"]


def test_a_missing_shard_is_named(shards):
    with pytest.raises(FilesNotFoundError, match=r"0003\.tar.*there is no such file"):
        find_sources(f"{shards}/{{0000..0003}}.tar")


def test_members_by_name(shards):
    place = f"{shards}/0000.tar"
    assert names(f"tar://note.txt::{place}", shards) == ["tar://note.txt::0000.tar"]
    assert names(f"tar://a::{place}", shards) == ONE[:1]
    assert names(f"tar://::{place}", shards) == ONE
    assert names(f"tar://*.json::{place}", shards) == ["tar://b.json::0000.tar"]
    with pytest.raises(FilesNotFoundError, match="the tar has no such member"):
        find_sources(f"tar://z.mp3::{place}")
    with pytest.raises(FilesError, match="No such file"):
        find_sources(f"tar://z.mp3::{shards}/none.tar")


def test_excluded_members_and_tars(shards):
    found = find_sources(shards, excluded={f"{shards}/0001.tar", f"tar://b.mp3::{shards}/0000.tar"})
    assert [path.replace(f"{shards}/", "") for path in found] == [ALL[0], *ALL[4:]]
    (shards / "list.txt").write_text("tar://b.mp3::0000.tar\n0001.tar\n")
    assert list(find_sources(shards, excluded=excluded_paths(shards / "list.txt"))) == list(found)


def test_what_is_left_out_of_tars(shards, caplog):
    (shards / "0000.tar").write_bytes(tar_of({"a.mp3": b"a", "b.mp3": bytes(9_000)})[:6_000])
    (shards / "0001.tar").write_bytes(b"no tar" * 200)
    (shards / "0002.tar").write_bytes(tar_of({"a.tak": b"a", "b.tar": b"b", "c.txt": b"c"}))
    (shards / "0003.tar.zst").write_bytes(b"x")
    (shards / "0004.tgz").write_bytes(b"x")
    assert names(shards, shards) == ["tar://a.mp3::0000.tar"]
    left_out = {path.replace(f"{shards}/", ""): reason for path, reason in find_left_out(shards).items()}
    assert left_out.keys() == {
        "0000.tar", "0001.tar", "0003.tar.zst", "0004.tgz", "tar://a.tak::0002.tar", "tar://b.tar::0002.tar",
    }  # fmt: skip
    assert "cut off inside the member b.mp3: 4464 of its 9000 bytes" in left_out["0000.tar"]
    assert "does not begin with the header of a tar" in left_out["0001.tar"]
    assert all("flowmo-data pack" in left_out[name] for name in ("0003.tar.zst", "0004.tgz"))
    assert "unpack the outer one" in left_out["tar://b.tar::0002.tar"]
    assert "1 file in formats that are not read (1 .tak)" in caplog.text
    assert f"{shards}/0000.tar" in caplog.text


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"])
def test_a_compressed_tar_is_refused_with_what_to_do(tmp_path, suffix):
    (tmp_path / f"x{suffix}").write_bytes(b"x")
    with pytest.raises(FilesError, match=r"compressed tar.*tar -xf.*flowmo-data pack FOLDER"):
        find_sources(tmp_path / f"x{suffix}")


def test_a_tar_that_is_named_must_be_one_and_have_audio(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8b" + bytes(1_000))
    with pytest.raises(FilesError, match=r"x\.tar': it is a compressed tar \(gzip\)"):
        find_sources(tmp_path / "x.tar")
    (tmp_path / "y.tar").write_bytes(tar_of({"a.txt": b"a"}))
    with pytest.raises(FilesNotFoundError, match=r"y\.tar': no audio is read from its 1 member"):
        find_sources(tmp_path / "y.tar")


def test_of_several_members_with_one_name_the_last_counts(tmp_path):
    data = tar_of({"a.mp3": b"first"})[:1_024] + tar_of({"a.mp3": b"second"})
    (tmp_path / "x.tar").write_bytes(data)
    sources = find_sources(tmp_path / "x.tar")
    assert len(sources) == 1
    assert source_at(sources[0]).read(0, 99) == b"second"


def test_a_member_is_read_in_place(shards):
    path = f"tar://b.mp3::{shards}/0001.tar"
    source = source_at(path)
    assert (source.path, source.stamp.size, source.read(0, 99), source.read(1, 2)) == (path, 2, b"bb", b"b")
    file = source.open()
    assert (file.pread(5, 1), file.pread(5, 2)) == (b"b", b"")
    file.close()
    with pytest.raises(AudioFileError, match=r"z\.mp3.*the tar has no such member"):
        source_at(f"tar://z.mp3::{shards}/0001.tar")


def test_a_tar_that_changes_is_noticed_and_another_member_in_it_is_not(shards):
    tar = shards / "0000.tar"
    path, store = f"tar://b.mp3::{tar}", Store()
    source = source_at(path, store)
    tar.write_bytes(tar_of({**MEMBERS, "new.mp3": b"n"}))  # behind it
    os.utime(tar, ns=(1, 1))
    assert source.read(0, 9) == b"bb"
    tar.write_bytes(tar_of({**MEMBERS, "b.mp3": b"xx"}))
    os.utime(tar, ns=(2, 2))
    with pytest.raises(AudioFileError, match=r"b\.mp3.*changed while it was in use \(2 bytes before, the same size"):
        source.read(0, 9)
    assert source_at(path, store).read(0, 9) == b"xx"  # listed again
    tar.write_bytes(tar_of({})[:512])
    os.utime(tar, ns=(3, 3))
    with pytest.raises(AudioFileError, match=r"changed while it was in use \(2 bytes before, 0 bytes now"):
        source.check_unchanged()
    tar.unlink()
    with pytest.raises(AudioFileError, match=r"tar://b\.mp3.*No such file"):
        source.read(0, 9)


def test_paths_of_members_are_held_in_two_buffers(shards):
    paths = find_sources(shards)
    assert not paths.has_urls
    assert Sources([*paths, "tar://a.mp3::s3://bucket/x.tar"]).has_urls
