import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmo_data.sources.paths import (
    absolute,
    common_folder,
    folder_of,
    is_url,
    joined,
    name_below,
    relative,
    resolved,
    split_url,
)

FOLDERS = [
    "/music",
    "s3://bucket/music",
    "simplecache::s3://bucket/music",
    "zip://music::s3://b/c.zip",
    "memory://music",
]
NAMES = st.lists(st.text("ab .é", min_size=1).filter(lambda part: part.strip(".")), min_size=1).map("/".join)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/s3://b", False),
        ("a.mp3", False),
        ("a::b.mp3", False),
        ("file:///a.mp3", False),
        ("s3://bucket", True),
        ("hf://datasets/user/name/a.mp3", True),
        ("simplecache::s3://bucket/a.mp3", True),
        ("zip://a.mp3::/local.zip", True),
        ("http://[::1]:8000/a.mp3", True),
    ],
)
def test_what_is_a_url(path, expected):
    assert is_url(path) is expected


def test_the_parts_of_a_url():
    assert split_url("http://[::1]:8000/a.mp3") == ("http://", "[::1]:8000/a.mp3", "")
    assert split_url("zip://a.mp3::/local.zip").tail == "::/local.zip"
    assert split_url("simplecache::zip://a.mp3::s3://b/c").protocols == ["simplecache", "zip", "s3"]


def test_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("a/../b") == str(tmp_path / "b")
    assert absolute("file:///a/b%20c.mp3") == "/a/b c.mp3"
    assert absolute("s3://bucket/a/") == "s3://bucket/a"


@pytest.mark.parametrize("folder", FOLDERS)
@given(name=NAMES)
def test_a_file_is_found_by_its_name_below_a_folder(folder, name):
    path = joined(folder, name)
    assert name_below(path, folder) == name
    assert joined(folder_of(path), name.rpartition("/")[2]) == path
    assert common_folder([path, joined(folder, "zz")]) == folder
    assert resolved(relative(path, folder), folder) == path
    assert name_below(joined(folder + "x" if "::s3://b/" not in folder else "/x", name), folder) is None


def test_what_is_in_other_stores_has_no_common_folder():
    assert common_folder(["/a/b.mp3", "s3://bucket/a.mp3"]) is None
    assert common_folder(["s3://one/a.mp3", "s3://other/a.mp3"]) is None
    assert common_folder(["gs://one/a.mp3", "s3://one/a.mp3"]) is None
    assert relative("s3://one/music", "s3://other") == relative("s3://one/music", "/a") == "s3://one/music"
    assert relative("/music", "s3://other") == resolved("/music", "s3://other") == "/music"
    assert resolved("../music", "s3://bucket/index") == "s3://bucket/music"
