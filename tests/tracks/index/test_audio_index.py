import json
import os
import shutil
import sys

import numpy as np
import pytest
from builders import CORPUS, DATA, RATE, ZOO, make_mp3, make_wav, needs_corpus, needs_zoo, opened, read

from flowmo_data import AudioFileError, AudioIndex, FilesError, FilesNotFoundError, MissingPackageError, OptionError
from flowmo_data.tracks.index import building

pyarrow = pytest.importorskip("pyarrow", reason="the extra index is not installed")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "music"
    (folder / "deep").mkdir(parents=True)
    for number in range(3):
        make_mp3(folder / f"{number}.mp3", 60_000 + 9_000 * number, seed=number)
    make_wav(folder / "deep" / "a.wav", 30_000)
    (folder / "bad.mp3").write_bytes(b"text " * 100)
    return folder


def rows(index):
    return {row["path"]: row for row in index.table.to_pylist()}


def test_an_index_says_what_files_hold(folder):
    row = rows(AudioIndex.build(folder))
    assert list(row) == ["0.mp3", "1.mp3", "2.mp3", "bad.mp3", "deep/a.wav"]
    mp3, wav, bad = row["1.mp3"], row["deep/a.wav"], row["bad.mp3"]
    assert (mp3["format"], mp3["sample_rate"], mp3["channels"], mp3["num_samples"], mp3["delay"]) == (
        "MPEG-1 Layer III", RATE, 2, 69_000, 1_105,
    )  # fmt: skip
    assert (wav["format"], wav["num_samples"], wav["delay"]) == ("WAV/PCM_16", 30_000, 0)
    assert mp3["size"] == (folder / "1.mp3").stat().st_size
    assert mp3["mtime_ns"] == (folder / "1.mp3").stat().st_mtime_ns
    assert "no MPEG audio packets" in bad["error"]
    assert (bad["format"], bad["num_samples"], bad["parts"]) == (None, 0, [])
    assert mp3["error"] is None


def same_windows(one, other):
    assert one.path == other.path
    assert one.damage == other.damage
    for part, again in zip(one.parts, other.parts, strict=True):
        assert (part.num_samples, part.sample_rate, part.channels, part.format) == (
            again.num_samples, again.sample_rate, again.channels, again.format,
        )  # fmt: skip
        for start in range(0, part.num_samples, max(part.num_samples // 5, 1)):
            stop = min(start + 3_000, part.num_samples)
            assert np.array_equal(read(part, start, stop).samples.copy(), read(again, start, stop).samples)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(DATA, id="data"),
        pytest.param(ZOO, id="zoo", marks=needs_zoo),
        pytest.param(CORPUS, id="corpus", marks=needs_corpus),
    ],
)
def test_tracks_from_an_index_are_those_from_files(where, tmp_path):
    index = AudioIndex.build(where)
    index.save(tmp_path / "index.parquet")
    columns = AudioIndex.load(tmp_path / "index.parquet").columns
    bad = columns.bad_files()
    for number in range(len(columns)):
        if number in bad:
            with pytest.raises(AudioFileError, match=columns.path(number)) as caught:
                opened(columns.path(number))
            assert caught.value.reason == bad[number]
        else:
            same_windows(columns.track(number), opened(columns.path(number)))


def test_lengths_are_at_the_rate_that_is_asked_for(tmp_path):
    make_wav(tmp_path / "a.wav", 1_000)
    make_wav(tmp_path / "b.wav", 1_000, rate=48_000)
    joined = (
        make_mp3(tmp_path / "c.mp3", 5_000).read_bytes() + make_mp3(tmp_path / "d.mp3", 4_000, rate=48_000).read_bytes()
    )
    (tmp_path / "c.mp3").write_bytes(joined)
    (tmp_path / "d.mp3").unlink()
    columns = AudioIndex.build(tmp_path).columns
    assert columns.lengths(RATE, on_other_rate="resample").tolist() == [1_000, 919, 5_000 + 3_675]
    assert columns.lengths(RATE, on_other_rate="skip").tolist() == [1_000, 0, 5_000]
    assert columns.files_at_other_rates(RATE) == [1, 2]


def test_what_has_not_changed_is_not_read_again(folder, monkeypatch):
    index = AudioIndex.build(folder)
    described = []
    monkeypatch.setattr(building, "describe", lambda path, name, store: described.append(name) or real(path, name))
    real = sys.modules["flowmo_data.tracks.index.describing"].describe
    assert AudioIndex.build(folder, previous=index).table.equals(index.table)
    assert described == ["bad.mp3"]  # what was wrong with it need not have been in it
    make_mp3(folder / "1.mp3", 50_000)
    make_mp3(folder / "new.mp3", 40_000)
    (folder / "0.mp3").unlink()
    described.clear()
    updated = AudioIndex.build(folder, previous=index)
    assert described == ["1.mp3", "bad.mp3", "new.mp3"]
    assert updated.table.equals(AudioIndex.build(folder).table)


def test_processes_give_the_same_index(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "_GROUPS_WORTH_A_PROCESS", 1)
    for number in range(70):
        shutil.copy(DATA / "seven_samples.mp3", tmp_path / f"{number:02d}.mp3")
    seen = []
    index = AudioIndex.build(tmp_path, num_workers=2, on_files=lambda done, total: seen.append((done, total)))
    assert index.table.equals(AudioIndex.build(tmp_path).table)
    assert seen[0] == (0, 70)
    assert seen[-1] == (70, 70)


def test_an_index_moves_with_its_folder(folder, tmp_path):
    AudioIndex.build(folder).save(tmp_path / "music.parquet")
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.move(folder, moved / "music")
    shutil.move(tmp_path / "music.parquet", moved / "music.parquet")
    assert AudioIndex.load(moved / "music.parquet").root == str(moved / "music")
    shutil.move(moved / "music", tmp_path / "elsewhere")
    with pytest.raises(FilesNotFoundError, match="its files are not where they were .looked in .*music"):
        AudioIndex.load(moved / "music.parquet")
    assert AudioIndex.load(moved / "music.parquet", root=tmp_path / "elsewhere").root == str(tmp_path / "elsewhere")


def test_an_index_alone_finds_its_folder_where_it_was(folder, tmp_path):
    AudioIndex.build(folder).save(folder / "i.parquet")
    (tmp_path / "far" / "away").mkdir(parents=True)
    shutil.move(folder / "i.parquet", tmp_path / "far" / "away" / "i.parquet")
    assert AudioIndex.load(tmp_path / "far" / "away" / "i.parquet").root == str(folder)


def test_pandas_reads_it(folder, tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    AudioIndex.build(folder).save(tmp_path / "i.parquet")
    frame = pandas.read_parquet(tmp_path / "i.parquet")
    assert frame["num_samples"].sum() == 60_000 + 69_000 + 78_000 + 30_000
    assert frame["error"].notna().sum() == 1
    assert frame["parts"][0][0]["num_packets"] > 50


def test_saving_is_atomic(folder, tmp_path, monkeypatch):
    path = tmp_path / "i.parquet"
    AudioIndex.build(folder).save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            AudioIndex.build(folder).save(path)
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["i.parquet", "music"]
    with pytest.raises(OptionError, match=r"the name of an index must end in \.parquet"):
        AudioIndex.build(folder).save(tmp_path / "i.csv")


def test_what_is_no_index_is_refused(folder, tmp_path):
    path = tmp_path / "i.parquet"
    with pytest.raises(FilesNotFoundError, match="there is no such index; make one: flowmo-data index FOLDER -o"):
        AudioIndex.load(path)
    path.write_bytes(b"no parquet at all")
    with pytest.raises(FilesError, match="this is not an index .*; leave it out, or make one: flowmo-data index"):
        AudioIndex.load(path)
    parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(FilesError, match="it is a Parquet file, but not an index; leave it out, or make one"):
        AudioIndex.load(path)
    table = AudioIndex.build(folder).table
    parquet.write_table(table.replace_schema_metadata({"flowmo_data.index": json.dumps({"version": 99})}), path)
    with pytest.raises(FilesError, match="an index of version 99, and this is flowmo_data for version 5; make one"):
        AudioIndex.load(path)


def test_a_file_outside_the_root_is_refused(folder, tmp_path):
    with pytest.raises(FilesError, match="it is not under root="):
        AudioIndex.build(folder, root=folder / "deep")
    (row,) = AudioIndex.build(folder / "1.mp3", root=tmp_path).table["path"].to_pylist()
    assert row == "music/1.mp3"


def test_a_name_that_is_no_text_is_told(tmp_path):
    make_mp3(tmp_path / "good.mp3", 5_000)
    os.rename(tmp_path / "good.mp3", os.fsencode(tmp_path) + b"/caf\xe9.mp3")
    make_mp3(tmp_path / "good.mp3", 5_000)
    index = AudioIndex.build(tmp_path)
    assert list(index.bad_files().values()) == ["its name is not UTF-8; rename it to have it indexed"]
    assert any("caf\\xe9.mp3" in path for path in index.bad_files())


def test_a_folder_whose_name_is_no_text_is_indexed(tmp_path):
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(folder)
    (tmp_path / os.fsdecode(folder) / "bad.wav").write_bytes(b"RIFF" + bytes(40))
    make_wav(tmp_path / "good.wav", 5_000).rename(tmp_path / os.fsdecode(folder) / "good.wav")
    index = AudioIndex.build(os.fsdecode(folder))
    assert len(index.bad_files()) == 1
    assert index.table["num_samples"].to_pylist() == [0, 5_000]


def test_another_corpus_has_another_fingerprint(folder):
    index = AudioIndex.build(folder)
    assert index.fingerprint == AudioIndex.build(folder).fingerprint
    make_mp3(folder / "1.mp3", 50_000)
    assert AudioIndex.build(folder).fingerprint != index.fingerprint


def test_without_pyarrow_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"an index needs pyarrow .*pip install 'flowmo_data\[index\]'"):
        AudioIndex.build(folder)
