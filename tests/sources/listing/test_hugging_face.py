"""Columns of the real package `datasets`."""

import pytest
from builders import make_wav

from flowmo_data import FilesError, FilesNotFoundError, FilesTypeError, StreamingAudioDataset
from flowmo_data.sources import find_aligned, find_sources

pytest.importorskip("datasets.features", reason="datasets is not installed; it is optional")  # not tests/datasets
import datasets


@pytest.fixture
def paths(tmp_path):
    return [str(make_wav(tmp_path / f"{number}.wav", 300)) for number in range(3)]


@pytest.fixture
def dataset(paths):
    rows = {"audio": paths, "text": ["a", "b", "c"]}
    return datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio())


@pytest.fixture(autouse=True)
def _nothing_is_decoded(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("datasets decodes audio")

    monkeypatch.setattr(datasets.Audio, "decode_example", fail)


def test_a_column_of_audio_is_its_paths(dataset, paths):
    assert list(find_sources(dataset["audio"])) == paths
    assert list(find_sources(dataset)) == paths
    assert list(find_sources(dataset.select([2, 0])["audio"])) == [paths[0], paths[2]]
    bare = dataset.cast_column("audio", datasets.Audio(decode=False))
    assert list(find_sources(bare["audio"])) == list(find_sources(list(bare["audio"]))) == paths
    nested = datasets.Dataset.from_dict({"file": [{"path": path} for path in paths]})
    assert list(find_sources(nested["file"]["path"])) == list(find_sources(nested["file"])) == paths
    assert list(find_sources(datasets.Dataset.from_dict({"path": paths})["path"])) == paths
    assert len(list(StreamingAudioDataset(dataset["audio"], samples_per_frame=300, shuffle=False))) == 3
    assert list(find_aligned({"x": dataset["audio"], "y": paths})) == [(path, path) for path in paths]


def test_what_is_not_a_column_of_paths_is_refused(dataset, paths, tmp_path):
    two = dataset.add_column("more", paths).cast_column("more", datasets.Audio())
    with pytest.raises(FilesTypeError, match=r"a Dataset with 2 columns of audio; give the column .*'audio', 'text'"):
        find_sources(two)
    with pytest.raises(FilesTypeError, match=r"a DatasetDict with the splits train, test; give one of them"):
        StreamingAudioDataset(datasets.DatasetDict(train=dataset, test=dataset))
    with pytest.raises(FilesTypeError, match=r"an IterableDataset, which has no list of its rows; load it without"):
        find_sources(dataset.to_iterable_dataset())
    with pytest.raises(FilesNotFoundError, match=r"row 0 of the column 'audio': .*there is no such file"):
        find_sources(datasets.Dataset.from_dict({"audio": ["no.wav"]}).cast_column("audio", datasets.Audio())["audio"])
    with pytest.raises(FilesError, match=r"entry 0 holds no path \(None\)"):
        find_sources([{"path": None, "bytes": None}])


def test_bytes_in_place_of_a_path_are_refused(dataset):
    bare = dataset.cast_column("audio", datasets.Audio(decode=False))
    for path in (None, "0.wav"):
        inside = bare.map(lambda row, path=path: {"audio": {"path": path, "bytes": b"RIFF"}}, features=bare.features)
        with pytest.raises(FilesError, match=r"row 0 of the column 'audio' holds the bytes of a file, and not its"):
            find_sources(inside["audio"])
