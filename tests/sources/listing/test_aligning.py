import os
import pickle

import fsspec
import pytest
from tars import tar_of

from flowmo_data import FilesNotFoundError, FilesTypeError
from flowmo_data.sources import AlignedSources, find_aligned


@pytest.fixture
def tree(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return tmp_path

    return make


def found(files, **options):
    """The sets, with paths as they were given."""
    sources = find_aligned(files, **options)
    return [tuple(os.path.relpath(path) for path in paths) for paths in sources]


def test_files_match_by_their_paths_without_suffixes(tree, monkeypatch):
    monkeypatch.chdir(tree("mix/b.mp3", "mix/a/1.wav", "vocals/a/1.flac", "vocals/b.MP3", "mix/notes.txt"))
    assert found({"mixture": "mix/", "vocals": "vocals"}) == [
        ("mix/a/1.wav", "vocals/a/1.flac"),
        ("mix/b.mp3", "vocals/b.MP3"),
    ]
    sources = find_aligned({"mixture": "mix/", "vocals": "vocals"})
    assert (sources.names, sources.problems, len(sources)) == (("mixture", "vocals"), {}, 2)
    assert sources[0:2] == list(sources)


def test_dots_in_names_and_the_order_of_suffixes(tree, monkeypatch):
    monkeypatch.chdir(tree("x/a.b.wav", "x/a.wav", "y/a.b.mp3", "y/a.mp3"))
    assert found({"x": "x", "y": "y"}) == [("x/a.wav", "y/a.mp3"), ("x/a.b.wav", "y/a.b.mp3")]


@pytest.mark.parametrize(
    ("files", "first", "second"),
    [
        ({"x": "x/*.wav", "y": "y/**/*.wav"}, ("x/1.wav", "y/1.wav"), ("x/2.wav", "y/2.wav")),
        ({"x": ["x/1.wav", "x/2.wav"], "y": ["y"]}, ("x/1.wav", "y/1.wav"), ("x/2.wav", "y/2.wav")),
        ({"x": "[12]/mix.wav", "y": "./?/bass.wav"}, ("1/mix.wav", "1/bass.wav"), ("2/mix.wav", "2/bass.wav")),
        ({"x": "[12]/mix.wav", "y": "y"}, ("1/mix.wav", "y/1.wav"), ("2/mix.wav", "y/2.wav")),
        ({"x": "[12]/raw/a.wav", "y": "[12]/mix.wav"}, ("1/raw/a.wav", "1/mix.wav"), ("2/raw/a.wav", "2/mix.wav")),
        ({"x": "[12]/raw", "y": "[12]/wet"}, ("1/raw/a.wav", "1/wet/a.mp3"), ("2/raw/a.wav", "2/wet/a.mp3")),
    ],
    ids=["globs", "lists", "folder for each song", "folder for each song, and files", "deeper", "folders by a glob"],
)
def test_globs_lists_and_a_folder_for_each_song(tree, monkeypatch, files, first, second):
    in_songs = ("mix.wav", "bass.wav", "raw/a.wav", "wet/a.mp3")
    monkeypatch.chdir(tree(*(f"{song}/{name}" for song in (1, 2) for name in in_songs)))
    tree("x/1.wav", "x/2.wav", "y/1.wav", "y/2.wav")
    assert found(files) == [first, second]


def test_members_files_by_url_and_braces_in_manifests(tree, monkeypatch):
    root = tree("x/1.wav", "x/2.wav", "y/1.mp3", "y/2.mp3", "[z]/x/1.wav", "[z]/y/1.wav")
    monkeypatch.chdir(root)
    for name, suffix in (("x", "wav"), ("y", "mp3")):
        (root / f"{name}.tar").write_bytes(tar_of({f"in_{name}/{number}.{suffix}": b"x" for number in (1, 2)}))
        (root / f"{name}.txt").write_text(f"{name}/{{1,2}}.{suffix}\n")
    in_folders = [("x/1.wav", "y/1.mp3"), ("x/2.wav", "y/2.mp3")]
    assert found({"x": f"file://{root}/x", "y": f"file://{root}/y"}) == in_folders
    assert found({"x": "x.txt", "y": "y.txt"}) == in_folders
    for inside in ("in_{}", "in_{}/*"):
        sets = find_aligned({name: f"tar://{inside.format(name)}::{root}/{name}.tar" for name in "xy"})
        assert list(sets) == [
            tuple(
                f"tar://in_{name}/{number}.{suffix}::{root}/{name}.tar" for name, suffix in (("x", "wav"), ("y", "mp3"))
            )
            for number in (1, 2)
        ]
    monkeypatch.chdir(root / "[z]")
    assert found({"x": "x/*", "y": "y/*.wav"}) == [("x/1.wav", "y/1.wav")]


def test_what_is_missing_or_there_twice_is_a_problem_of_its_set(tree, monkeypatch):
    monkeypatch.chdir(tree("x/a.wav", "x/b.wav", "x/d.wav", "x/d.mp3", "y/b.wav", "y/c.mp3", "y/d.wav"))
    sources = find_aligned({"x": "x", "y": "y"})
    assert len(sources) == 1
    assert {os.path.relpath(path): reason for path, reason in sources.problems.items()} == {
        "x/a.wav": "its set is incomplete: there is no file 'a', with any suffix, for 'y'",
        "y/c.mp3": "its set is incomplete: there is no file 'c', with any suffix, for 'x'",
        "x/d.mp3": f"its set has more than one file for 'x' ({os.path.abspath('x/d.mp3')} and "
        f"{os.path.abspath('x/d.wav')}); remove all but one, or list them in exclude=",
    }


def test_excluding_a_file_leaves_out_its_set_or_one_of_two_files(tree, monkeypatch, caplog):
    monkeypatch.chdir(tree("x/a.wav", "x/b.wav", "x/d.wav", "x/d.mp3", "y/a.wav", "y/b.wav", "y/d.wav"))
    excluded = {os.path.abspath(name) for name in ("y/a.wav", "x/d.mp3")}
    sources = find_aligned({"x": "x", "y": "y"}, excluded=excluded)
    assert [os.path.relpath(paths[0]) for paths in sources] == ["x/b.wav", "x/d.wav"]
    assert (sources.problems, caplog.messages) == ({}, [])
    find_aligned({"x": "x/b.wav", "y": "y"}, excluded={"/nowhere/b.wav"})
    assert "exclude= leaves out nothing" in caplog.text


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({}, FilesTypeError, "it is empty; give files by name"),
        ({1: "x"}, FilesTypeError, "1 is not a name; use strings"),
        ({"": "x"}, FilesTypeError, "'' is not a name"),
        ({"x": "x", "y": {"z": "x"}}, FilesTypeError, "'y' must be a folder, a file, a glob"),
        ({"x": "x.parquet", "y": "y"}, FilesTypeError, "one index for all: flowmo-data index NAME=FOLDER"),
        ({"x": "x", "y": 3}, FilesTypeError, "files=3: int does not name a file"),
        ({"x": "x", "y": "nowhere"}, FilesNotFoundError, "files='nowhere': there is no such file or folder"),
        (
            {"x": "x", "y": "other"},
            FilesNotFoundError,
            r"no set of files is complete \(2 of 2 sets of files are .* 'a'",
        ),
        ({"x": "x", "y": []}, FilesNotFoundError, "no set of files is complete"),
        ({"x": [], "y": []}, FilesNotFoundError, "no set of files is complete; the files of a set have the same path"),
    ],
)
def test_nothing_that_can_be_matched_is_refused(tree, monkeypatch, files, error, message):
    monkeypatch.chdir(tree("x/a.wav", "y/a.wav", "other/b.wav"))
    with pytest.raises(error, match=message):
        find_aligned(files)


def test_all_excluded_is_told(tree, monkeypatch):
    monkeypatch.chdir(tree("x/a.wav", "y/a.wav"))
    with pytest.raises(
        FilesNotFoundError, match="no set of files is complete, as they are among the paths in exclude="
    ):
        find_aligned({"x": "x", "y": "y"}, excluded={os.path.abspath("x/a.wav")})


def test_the_fingerprint_is_of_names_and_paths():
    sets = [("/x/a", "/y/a"), ("/x/b", "/y/b")]
    fingerprints = {
        AlignedSources(names, each, {}).fingerprint
        for names in (("x", "y"), ("y", "x"), ("x", "z"))
        for each in (sets, sets[:1], [paths[::-1] for paths in sets])
    }
    assert len(fingerprints) == 9
    same = pickle.loads(pickle.dumps(AlignedSources(("x", "y"), sets, {"/z": "no"})))
    assert (list(same), same.problems) == (sets, {"/z": "no"})
    assert same.fingerprint == AlignedSources(("x", "y"), sets, {}).fingerprint


@pytest.mark.parametrize(
    "files",
    [
        {"mix": "memory://aligning/songs/*/mix.mp3", "bass": "memory://aligning/songs/*/bass.wav"},
        {"mix": "memory://aligning/mix/", "bass": ["memory://aligning/bass"]},
        {"mix": "memory://aligning/mix/**/*.mp3", "bass": "memory://aligning/bass"},
    ],
)
def test_urls_are_matched_as_paths_are(files):
    memory = fsspec.filesystem("memory")
    for song in ("one", "two"):
        for path in (f"songs/{song}/mix.mp3", f"songs/{song}/bass.wav", f"mix/{song}/a.mp3", f"bass/{song}/a.wav"):
            memory.pipe_file(f"/aligning/{path}", b"x")
    try:
        found = [[path.split("/")[-2] for path in paths] for paths in find_aligned(files)]
    finally:
        memory.rm("/aligning", recursive=True)
    assert found == [["one", "one"], ["two", "two"]]
