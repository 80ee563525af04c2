"""`exclude=`: a list of files is data, and every line of it a path and nothing else."""

import os

import pytest
from builders import make_ramps

from flowmo_data import AudioIndex, FilesNotFoundError, FilesTypeError, StreamingAudioDataset
from flowmo_data.sources import excluded_paths, find_sources


@pytest.fixture
def folder(tmp_path):
    make_ramps(tmp_path / "ramps", [100, 200, 300])
    return tmp_path / "ramps"


def lengths(files, **options):
    given = {"samples_per_frame": 50, "shuffle": False, "decoder": "soundfile", "return_info": True, **options}
    found = {}
    for item in StreamingAudioDataset(files, **given):
        name = os.path.basename(item["path"])
        found[name] = found.get(name, 0) + item["num_valid"]
    return found


WANTED = {"ramp_000.wav": 100, "ramp_002.wav": 300}


@pytest.mark.parametrize("with_index", [False, True])
def test_a_list_a_sequence_and_relative_paths_mean_the_same(folder, tmp_path, monkeypatch, with_index):
    files = folder
    if with_index:
        pytest.importorskip("pyarrow", reason="the extra index is not installed")
        files = AudioIndex.build(folder)
    path = folder / "ramp_001.wav"
    listed = tmp_path / "list.txt"
    listed.write_text(f"{path}\n{tmp_path}/not there\n\n")
    assert lengths(files, exclude=listed) == WANTED
    assert lengths(files, exclude=str(listed)) == WANTED
    assert lengths(files, exclude=[path, "nothing"]) == WANTED
    assert lengths(files, exclude=folder.glob("*_001*")) == WANTED
    listed.write_text("ramps/../ramps/ramp_001.wav")  # from the list's folder
    assert lengths(files, exclude=listed) == WANTED
    monkeypatch.chdir(folder)
    assert lengths(files, exclude=["ramp_001.wav"]) == WANTED


@pytest.mark.parametrize(
    "line",
    [
        b"# a comment.wav",
        b"$HOME.wav",
        b"~.wav",
        b"*.wav",
        b" spaces .wav",
        b"a;rm -rf x.wav",
        b"\xff\xfe.wav",
        b"\r.wav",
    ],
    ids=repr,
)
def test_a_line_is_a_path_and_nothing_else(tmp_path, line):
    listed = tmp_path / "list.txt"
    listed.write_bytes(line + b"\n")
    assert excluded_paths(listed) == {os.path.join(str(tmp_path), os.fsdecode(line))}
    for name in (os.fsdecode(line), "other.wav"):
        (tmp_path / name).touch()
    assert list(find_sources(tmp_path, excluded=excluded_paths(listed))) == [str(tmp_path / "other.wav")]


def test_what_is_no_list_is_refused(folder, tmp_path):
    with pytest.raises(FilesNotFoundError, match=r"exclude='.*none.txt': this list of files cannot be read"):
        StreamingAudioDataset(folder, exclude=tmp_path / "none.txt")
    with pytest.raises(FilesNotFoundError, match="this list of files cannot be read"):
        StreamingAudioDataset(folder, exclude=folder)
    with pytest.raises(FilesTypeError, match=r"ramp_000.wav': this is not a list of files.*exclude=\[path\]"):
        StreamingAudioDataset(folder, exclude=folder / "ramp_000.wav")
    for wrong in (5, [5]):
        with pytest.raises(FilesTypeError, match="give the path of a list of files, or a sequence of paths"):
            StreamingAudioDataset(folder, exclude=wrong)


@pytest.mark.parametrize("with_index", [False, True])
def test_when_nothing_is_left_it_is_said(folder, with_index):
    files = folder
    if with_index:
        pytest.importorskip("pyarrow", reason="the extra index is not installed")
        files = AudioIndex.build(folder)
    with pytest.raises(FilesNotFoundError, match="all 3 files of the index are excluded|all files are among the 3"):
        StreamingAudioDataset(files, exclude=sorted(folder.iterdir()))


def test_a_state_of_other_files_does_not_fit(folder):
    state = StreamingAudioDataset(folder).state_dict()
    with pytest.raises(ValueError, match="num_files was 3 and is 2"):
        StreamingAudioDataset(folder, exclude=[folder / "ramp_001.wav"]).load_state_dict(state)


@pytest.mark.parametrize("with_index", [False, True])
def test_it_is_said_when_nothing_is_left_out(folder, with_index, caplog):
    files = folder
    if with_index:
        pytest.importorskip("pyarrow", reason="the extra index is not installed")
        files = AudioIndex.build(folder)
    assert len(lengths(files, exclude=["ramp_001.wav"])) == 3
    assert caplog.records[0].message.startswith("exclude= leaves out nothing: none of its 1 paths, such as /")
