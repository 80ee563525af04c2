"""An index of aligned files says of each set what its files say."""

import pickle

import numpy as np
import pytest
from builders import make_mp3, make_wav

from flowmo_data import AudioFileError, AudioIndex, FilesNotFoundError
from flowmo_data.tracks import at_sample_rate, open_aligned
from flowmo_data.tracks.aligned import sources_of_set

pytest.importorskip("pyarrow", reason="the extra index is not installed")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Sets that are whole, at several rates, of several lengths, damaged, joined, incomplete and bad."""
    folder = tmp_path_factory.mktemp("sets")
    for name in ("mix", "vocals"):
        (folder / name).mkdir()
    for number, length in enumerate([30_000, 50_000, 40_000, 60_000, 20_000, 30_000]):
        rate = 48_000 if number == 1 else 44_100
        make_wav(folder / f"mix/{number}.wav", length, seed=number, rate=rate)
        make_mp3(folder / f"vocals/{number}.mp3", length - 3_000 * (number == 2), seed=number)
    data = (folder / "vocals/3.mp3").read_bytes()
    (folder / "vocals/3.mp3").write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 2_000 :])
    joined = make_mp3(folder / "other.mp3", 48_000, rate=48_000).read_bytes() + (folder / "vocals/4.mp3").read_bytes()
    (folder / "vocals/4.mp3").write_bytes(joined)
    (folder / "vocals/5.mp3").write_bytes(b"text " * 100)
    make_wav(folder / "mix/6.wav", 100)
    return {"mix": str(folder / "mix"), "vocals": str(folder / "vocals")}


@pytest.fixture(scope="module")
def index(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "sets.parquet"
    AudioIndex.build(files).save(path)
    return AudioIndex.load(path)


@pytest.mark.parametrize("on_other_rate", ["resample", "skip"])
@pytest.mark.parametrize("sr", [44_100, 48_000, 22_050])
def test_lengths_and_tracks_are_those_of_the_files(index, sr, on_other_rate):
    lengths = index.columns.lengths(sr, on_other_rate=on_other_rate)
    assert len(index) == len(lengths) == 7
    assert lengths[6] == 0  # incomplete
    for number, length in enumerate(lengths[:6].tolist()):
        try:
            tracks = [open_aligned(index.names, sources_of_set(index.columns.paths(number)))]
            tracks.append(index.columns.track(number))
            expected = [at_sample_rate(track, sr, on_other_rate=on_other_rate).num_samples for track in tracks]
        except AudioFileError:
            expected = [0, 0]
        assert [length, length] == expected, number


def test_problems(index, files):
    mix, vocals = files.values()
    assert {path: reason[:30] for path, reason in index.bad_files().items()} == {
        f"{vocals}/5.mp3": "no MPEG audio packets in its 5",
        f"{mix}/6.wav": "its set is incomplete: there i",
    }
    assert [path.removeprefix(mix) for path in index.misaligned()] == ["/1.wav", "/2.wav", "/3.wav", "/4.wav"]
    assert list(index.columns.damaged_files()) == [1, 2, 3, 4]
    assert index.columns.files_at_other_rates(44_100) == [1, 4]
    assert index.columns.path(5) == f"{mix}/5.wav"
    assert np.flatnonzero(index.columns.seconds()).tolist() == [0, 1, 2, 3, 4]


def test_without_some_files_there_are_no_sets_of_them(index, files):
    mix, vocals = files.values()
    fewer = index.without([f"{vocals}/0.mp3", f"{mix}/3.wav", f"{mix}/6.wav"])
    assert [fewer.columns.path(number) for number in range(len(fewer))] == [
        f"{mix}/{number}.wav" for number in (1, 2, 4, 5)
    ]
    assert fewer.names == ("mix", "vocals")
    assert fewer.fingerprint != index.fingerprint
    assert pickle.loads(pickle.dumps(fewer)).fingerprint == fewer.fingerprint
    with pytest.raises(FilesNotFoundError, match="all 7 files of the index are excluded"):
        index.without([f"{mix}/{number}.wav" for number in range(6)])


def test_names_are_part_of_the_fingerprint(files):
    other = AudioIndex.build({"x": files["mix"], "y": files["vocals"]})
    assert AudioIndex.build(files).fingerprint != other.fingerprint


def test_files_that_have_not_changed_are_not_read_again(index, files, monkeypatch):
    monkeypatch.setattr("flowmo_data.tracks.index.building.describe", None)
    good = {
        name: [f"{folder}/{number}.{suffix}" for number in range(5)]
        for (name, folder), suffix in zip(files.items(), ("wav", "mp3"), strict=True)
    }
    again = AudioIndex.build(good, previous=index, root=index.root)
    assert len(again) == 5
    assert again.table.equals(index.table.slice(0, 10))
    alone = AudioIndex.build(good["mix"], previous=index, root=index.root)
    assert (len(alone), alone.names) == (5, ())


def test_a_folder_may_have_two_names(files):
    index = AudioIndex.build({"one": files["mix"], "two": files["mix"]})
    assert (len(index), index.bad_files()) == (7, {})
    track = index.columns.track(0)
    assert track.members[0].path == track.members[1].path
