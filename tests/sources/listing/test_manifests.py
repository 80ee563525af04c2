import os

import pytest
from builders import make_wav
from click.testing import CliRunner

from flowmo_data import AudioIndex, FilesError, FilesNotFoundError, StreamingAudioDataset
from flowmo_data.cli.group import flowmo_data_command
from flowmo_data.sources import find_aligned, find_sources


@pytest.fixture
def place(tmp_path):
    """A folder of audio, and beside it a folder for manifests; their paths are relative to that."""
    for name in ("music/a.wav", "music/b b.wav", "music/deep/c.wav", 'music/"d".wav', "music/ü.wav", "music/e,f.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        make_wav(tmp_path / name, 300)
    os.rename(make_wav(tmp_path / "latin.wav", 300), os.fsencode(tmp_path) + b"/music/\xe9.wav")
    (tmp_path / "lists").mkdir()
    return tmp_path


def names(files, place):
    return [os.path.relpath(path, place / "music") for path in find_sources(files)]


def write(place, name, text):
    path = place / "lists" / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("l.txt", "../music/b b.wav\n\n  \n../music/a.wav\n../music/a.wav", ["a.wav", "b b.wav"]),
        ("bom_and_crlf.TXT", "\ufeff../music/a.wav\r\n\r\n../music/ü.wav\r\n", ["a.wav", "ü.wav"]),
        ("quotes.txt", '"../music/a.wav"\n../music/"d".wav\n', ['"d".wav', "a.wav"]),
        ("bytes.txt", b"../music/\xe9.wav\n", ["\udce9.wav"]),
        ("braces.txt", "../music/{a,ü}.wav\n", ["a.wav", "ü.wav"]),
        ("folders_and_globs.txt", "../music/deep\n../music/[ab]*.wav\n", ["a.wav", "b b.wav", "deep/c.wav"]),
        ("absolute.txt", "{place}/music/a.wav\nfile://{place}/music/b%20b.wav\n", ["a.wav", "b b.wav"]),
        ("l.m3u8", "#EXTM3U\n#EXTINF:123,A - B\n../music/ü.wav\n", ["ü.wav"]),
        ("utf8.m3u", "../music/ü.wav\n", ["ü.wav"]),
        ("latin.m3u", "../music/ü.wav\n# ü\n".encode("latin-1"), ["ü.wav"]),
        ("l.csv", 'text,path\r\nhi,"../music/e,f.wav"\r\n"two\r\nlines",../music/a.wav\r\n', ["a.wav", "e,f.wav"]),
        ("bom.csv", "\ufefffile_name,path\n../music/a.wav,no.wav\n\n", ["a.wav"]),
        ("quotes.csv", 'path\n"../music/""d"".wav"\n', ['"d".wav']),
        ("l.tsv", "audio_filepath\ttext\n../music/b b.wav\ta, b\n", ["b b.wav"]),
        ("l.jsonl", '{"audio_filepath": "../music/a.wav", "duration": 1}\n\n{"path": "../music/\\u00fc.wav"}\n',
         ["a.wav", "ü.wav"]),
        ("l.json", '\ufeff{"path": "../music/a.wav"}\r\n', ["a.wav"]),
        ("l.ndjson", '{"file_name": "../music/deep/c.wav"}', ["deep/c.wav"]),
    ],
)  # fmt: skip
def test_manifests_list_files(place, name, text, expected):
    text = text.replace("{place}", str(place)) if isinstance(text, str) else text
    assert names(write(place, name, text), place) == expected


def test_manifests_are_entries_like_others(place):
    one, two = write(place, "1.txt", "../music/a.wav"), write(place, "2.jsonl", '{"path": "../music/ü.wav"}')
    assert names([one, str(two), place / "music" / "deep"], place) == ["a.wav", "deep/c.wav", "ü.wav"]
    assert names(place / "lists" / "*.txt", place) == ["a.wav"]
    (place / "lists" / "folder.txt").mkdir()
    make_wav(place / "lists" / "folder.txt" / "x.wav", 300)
    assert names(place / "lists" / "folder.txt", place) == ["../lists/folder.txt/x.wav"]
    write(place, "notes.csv", "no manifest")  # what lies in a folder is not a manifest
    assert names(place / "lists", place) == ["../lists/folder.txt/x.wav"]


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("l.txt", "../music/a.wav\n\n../music/no.wav\n", FilesNotFoundError, r"l.txt, line 3: .*there is no such file"),
        ("l.txt", "../music/*.ogg\n", FilesNotFoundError, r"l.txt, line 1: .*no file matches it"),
        ("l.txt", "\n\n", FilesNotFoundError, r"l.txt': this manifest lists no files; write a path in each line"),
        ("l.txt", "l.txt\n", FilesError, r"l.txt, line 1: l.txt is a manifest, and a manifest cannot list another"),
        ("l.txt", b"ID3\0\0", FilesError, r"line 1: it is not text in UTF-8; a file with this suffix is"),
        ("l.csv", "a.wav\nb.wav\n", FilesError, r"l.csv, line 1: no column 'file_name', 'path' or 'audio_filepath' .*"
         r"the columns are 'a.wav'"),
        ("l.csv", "", FilesError, r"l.csv, line 1: .*the columns are none at all"),
        ("l.csv", "text,path\nhi\n", FilesError, r"l.csv, line 2: it names no file"),
        ("l.csv", "path\n../music/a.wav\n../music/no.wav\n", FilesNotFoundError, r"l.csv, line 3: .*there is no such"),
        ("l.csv", f"path,{'x' * 200_000}\n", FilesError, r"l.csv, line 1: it cannot be read as a table \(field larger"),
        ("l.jsonl", '{"path": "../music/a.wav"}\n{"text": 1}\n', FilesError, r"l.jsonl, line 2: .*columns are 'text'"),
        ("l.jsonl", '{"path": null}\n', FilesError, r"line 1: it names no file"),
        ("l.jsonl", '{"path": 7}\n', FilesError, r"line 1: 7 is not a path"),
        ("l.jsonl", '["a"]\n', FilesError, r"line 1: it is a list and not an object; write one object a line"),
        ("l.jsonl", "a.wav\n", FilesError, r"l.jsonl, line 1: it is not JSON .*; write one object"),
    ],
)  # fmt: skip
def test_wrong_manifests_are_refused(place, name, text, error, message):
    path = write(place, name, text)
    with pytest.raises(error, match=message):
        find_sources(path)


def test_a_manifest_that_is_not_there_is_refused(place):
    with pytest.raises(FilesNotFoundError, match=r"no.txt': there is no such manifest"):
        find_sources(place / "no.txt")
    with pytest.raises(FilesNotFoundError, match=r"no\*.txt': there is no such|no\*.txt': no file matches it"):
        find_sources(place / "no*.txt")


def test_manifests_lie_at_urls_and_name_urls(place):
    fsspec = pytest.importorskip("fsspec", reason="the extra remote is not installed")
    memory = fsspec.filesystem("memory")
    memory.pipe("/m/music/a.wav", b"x")
    memory.pipe("/m/music/b/c.wav", b"x")
    memory.pipe("/m/list.jsonl", b'{"path": "music/a.wav"}\n{"path": "music/b"}\n{"path": "memory://m/music/no.wav"}\n')
    try:
        expected = [f"memory://m/music/{name}.wav" for name in ("a", "b/c", "no")]  # URLs of audio are not looked up
        assert list(find_sources("memory://m/list.jsonl")) == expected
        assert list(find_sources("memory://m/*.jsonl")) == expected
        assert list(find_sources(write(place, "l.txt", "\n".join(expected)))) == expected
        with pytest.raises(FilesNotFoundError, match=r"memory://m/no.txt': there is no such manifest"):
            find_sources("memory://m/no.txt")
        with pytest.raises(FilesNotFoundError, match=r"l.txt, line 1: .*there is no such object or folder"):
            find_sources(write(place, "l.txt", "memory://m/nowhere"))
    finally:
        memory.rm("/m", recursive=True)


def test_aligned_files_are_listed_by_manifests(place):
    make_wav(place / "a.wav", 300)
    one, two = write(place, "mix.txt", "../music/a.wav"), write(place, "voice.csv", "path\n../a.wav\n")
    assert list(find_aligned({"mix": one, "voice": two})) == [(str(place / "music/a.wav"), str(place / "a.wav"))]


def test_the_other_columns_are_metadata_and_segments(place):
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    rows = [f'{{"audio_filepath": "../music/{name}.wav", "offset": 0.001, "duration": 0.002}}' for name in ("a", "ü")]
    manifest = write(place, "nemo.jsonl", "\n".join(rows))
    dataset = StreamingAudioDataset(manifest, metadata=manifest, return_info=True, samples_per_frame=300, shuffle=False)
    assert [item["metadata"] for item in dataset] == [{"offset": 0.001, "duration": 0.002}] * 2
    index = AudioIndex.build(manifest, segments=manifest)
    assert (len(index), index.columns.seconds().round(3).tolist()) == (2, [0.002, 0.002])


def test_commands_take_manifests(place):
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    manifest = write(place, "l.txt", "../music/a.wav\n../music/deep\n")
    for command in (["check", manifest], ["inspect", manifest], ["index", manifest, "-o", place / "i.parquet"]):
        done = CliRunner().invoke(flowmo_data_command, list(map(str, command)))
        assert done.exit_code == 0, done.output
        assert "2 files, 0.00 hours" in done.output
    index = AudioIndex.load(place / "i.parquet")
    assert (index.root, index.table["path"].to_pylist()) == (str(place / "music"), ["a.wav", "deep/c.wav"])
