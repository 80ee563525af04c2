import json
import os
import random
import shutil
from pathlib import Path

import pytest
from builders import DATA, make_wav
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import run
from tars import tar_of

from flowmo_data import (
    AudioFrameDataset,
    AudioIndex,
    FilesError,
    FilesNotFoundError,
    IndexVersionError,
    OptionError,
    StreamingAudioDataset,
)
from flowmo_data.cli.group import flowmo_data_command
from flowmo_data.sources.tars import listing as tar_listing

parquet = pytest.importorskip("pyarrow.parquet", reason="the extra index is not installed")

MANY = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A small corpus with everything that an index can hold: good, damaged and bad files, and odd names."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "deep" / "er").mkdir(parents=True)
    for number in range(12):
        shutil.copy(DATA / "seven_samples.mp3", folder / ("deep" if number % 3 else ".") / f"{number}.mp3")
    make_wav(folder / "a.wav", 300)
    make_wav(folder / "deep" / "er" / "é.wav", 400, rate=48_000, channels=1)
    shutil.copy(DATA / "damaged" / "reservoir.mp3", folder / "deep" / "damaged.mp3")
    (folder / "bad.mp3").write_bytes(b"text " * 100)
    shutil.copy(DATA / "seven_samples.mp3", os.fsencode(folder) + b"/caf\xe9.mp3")
    return folder


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    """Sets of a mixture and a voice, three of them incomplete, one with a bad file."""
    folder = tmp_path_factory.mktemp("aligned")
    for name in ("mix", "voice"):
        (folder / name).mkdir()
        for number in range(9):
            if (name, number) not in (("mix", 2), ("voice", 5), ("voice", 7)):
                make_wav(folder / name / f"{number}.wav", 300)
    (folder / "voice" / "1.wav").write_bytes(b"text " * 100)
    return {"mixture": folder / "mix", "voice": folder / "voice"}


def saved(index, path):
    index.save(path)
    return path.read_bytes()


def made_parts(files, count, folder, **options):
    """The paths of all parts, in a folder each, as machines that know nothing of each other make them."""
    paths = []
    for number in range(1, count + 1):
        (folder / str(number)).mkdir(parents=True, exist_ok=True)
        paths.append(folder / str(number) / "part.parquet")
        AudioIndex.build(files, part=(number, count), **options).save(paths[-1])
    return paths


@MANY
@given(count=st.integers(1, 25), seed=st.integers(0, 99))
def test_parts_in_any_order_are_the_index_of_all(corpus, tmp_path_factory, count, seed):
    folder = tmp_path_factory.mktemp("parts")
    paths = made_parts(corpus, count, folder)
    random.Random(seed).shuffle(paths)
    whole = saved(AudioIndex.build(corpus), folder / "corpus.parquet")
    assert saved(AudioIndex.merge(paths), folder / "corpus.parquet") == whole
    sizes = [len(AudioIndex.load(path)) for path in paths]
    assert sum(sizes) == 17
    if seed % 2:
        assert saved(AudioIndex.merge(folder / "[0-9]*"), folder / "corpus.parquet") == whole


@MANY
@given(count=st.integers(1, 12))
def test_parts_of_aligned_sets_are_the_index_of_all(aligned, tmp_path_factory, count):
    folder = tmp_path_factory.mktemp("parts")
    paths = made_parts(aligned, count, folder)
    merged = AudioIndex.merge(reversed(paths))
    assert saved(merged, folder / "corpus.parquet") == saved(AudioIndex.build(aligned), folder / "corpus.parquet")
    assert (merged.names, len(merged)) == (("mixture", "voice"), 9)
    assert sum(len(AudioIndex.load(path)) for path in paths) == 9  # whole sets in each part


def test_parts_of_tars_are_the_index_of_all(corpus, tmp_path, monkeypatch):
    memory = pytest.importorskip("fsspec", reason="the extra remote is not installed").filesystem("memory")
    samples = {path.name: path.read_bytes() for path in sorted(corpus.glob("[0-9a]*.[mw]*"))}
    for number in range(5):
        data = tar_of({f"{number}/{name}": each for name, each in samples.items()})
        memory.pipe(f"/shards/{number}.tar", data)
        (tmp_path / f"{number}.tar").write_bytes(data)
    memory.pipe("/shards/single.wav", samples["a.wav"])
    listed = []
    list_tar = tar_listing.list_tar
    monkeypatch.setattr(tar_listing, "list_tar", lambda tar, store: listed.append(tar) or list_tar(tar, store))
    try:
        for files in ("memory://shards", "memory://shards/{0..4}.tar", "memory://shards/0.tar", tmp_path):
            listed.clear()
            paths = made_parts(files, 3, tmp_path / "parts")
            if isinstance(files, str):  # tars in a store are listed once, each by the machine that reads it
                assert len(listed) == len(set(listed)) == (1 if files.endswith("/0.tar") else 5)
            whole = saved(AudioIndex.build(files), tmp_path / "corpus.parquet")
            assert saved(AudioIndex.merge(paths), tmp_path / "corpus.parquet") == whole
    finally:
        memory.rm("/shards", recursive=True)


def test_parts_and_their_merger_lie_in_a_store(corpus, tmp_path):
    memory = pytest.importorskip("fsspec", reason="the extra remote is not installed").filesystem("memory")
    try:
        for number in (1, 2):
            AudioIndex.build(corpus, part=(number, 2)).save(f"memory://parts/{number}.parquet")
        merged = AudioIndex.merge("memory://parts")
        assert saved(merged, tmp_path / "c.parquet") == saved(AudioIndex.build(corpus), tmp_path / "c.parquet")
        command = ["merge", "memory://parts", "-o", "memory://parts/corpus.parquet"]
        for _ in range(2):  # the result is not taken for a part
            done = CliRunner().invoke(flowmo_data_command, command)
            assert done.exit_code == 0, done.output
        assert AudioIndex.load("memory://parts/corpus.parquet").table.equals(merged.table)
        assert len(AudioIndex.merge("memory://parts/[12].parquet")) == len(merged)
    finally:
        memory.rm("/parts", recursive=True)


def test_tables_are_joined_with_the_merged_index(corpus, tmp_path):
    (tmp_path / "t.csv").write_text(f"file_name,start,stop,text\n{corpus}/a.wav,0,0.003,one\n{corpus}/deep/1.mp3,,,b\n")
    made_parts(corpus, 3, tmp_path / "parts")
    for join in ("with_metadata", "with_segments"):
        merged, whole = (getattr(each, join)(tmp_path / "t.csv") for each in (
            AudioIndex.merge(tmp_path / "parts"), AudioIndex.build(corpus),
        ))  # fmt: skip
        assert saved(merged, tmp_path / "c.parquet") == saved(whole, tmp_path / "c.parquet")
    with pytest.raises(OptionError, match=r"tables are about the whole corpus; join them with the merged index"):
        AudioIndex.build(corpus, part=(1, 3), metadata=tmp_path / "t.csv")


def test_updated_parts_read_only_what_has_changed(corpus, tmp_path, monkeypatch):
    folder = tmp_path / "music"
    shutil.copytree(corpus, folder)
    old = AudioIndex.build(folder)
    paths = made_parts(folder, 3, tmp_path)
    (folder / "0.mp3").unlink()
    make_wav(folder / "0.wav", 500)  # the first by name: the others stay in their parts
    whole = saved(AudioIndex.build(folder), tmp_path / "corpus.parquet")
    read = []
    module = "flowmo_data.tracks.index.building"
    describe = __import__(module, fromlist=["describe"]).describe
    monkeypatch.setattr(f"{module}.describe", lambda path, name, store: read.append(name) or describe(path, name))
    for which in ("own", "whole"):
        read.clear()
        for number, path in enumerate(paths, 1):
            previous = AudioIndex.load(path) if which == "own" else old
            AudioIndex.build(folder, part=(number, 3), previous=previous).save(path)
        assert sorted(map(os.fsencode, read)) == [b"0.wav", b"bad.mp3", b"caf\xe9.mp3"]  # bad files are read again
        assert saved(AudioIndex.merge(paths), tmp_path / "corpus.parquet") == whole


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ((0, 16), r"part=\(0, 16\): there is no such part; parts count from 1, so the first of 16 is \(1, 16\) and "),
        ((17, 16), r"and the last \(16, 16\)"),
        ((1, 0), r"part=\(1, 0\): there is no such part"),
        ((True, 2), r"give two whole numbers, such as \(3, 16\)"),
        ("3/16", r"part='3/16': give its number and the number of parts, such as \(3, 16\)"),
    ],
)
def test_parts_count_from_one(corpus, part, message):
    with pytest.raises(OptionError, match=message):
        AudioIndex.build(corpus, part=part)


def test_what_is_not_all_parts_of_one_corpus_is_refused(corpus, aligned, tmp_path):
    one, two, three, four = made_parts(corpus, 4, tmp_path / "parts")
    with pytest.raises(
        FilesError, match=r"1/part.parquet and others: 2 parts of 4 missing: 2/4, 4/4; make them: .* 2/4"
    ):
        AudioIndex.merge([one, three])
    AudioIndex.build(corpus, part=(2, 5)).save(tmp_path / "of_5.parquet")
    with pytest.raises(
        FilesError, match=r"1/part.parquet is part 1/4, and .*of_5.parquet is part 2/5: the numbers of p"
    ):
        AudioIndex.merge([one, tmp_path / "of_5.parquet", two, three, four])
    AudioIndex.build(corpus / "deep", part=(2, 4)).save(tmp_path / "other.parquet")
    with pytest.raises(
        FilesError, match=r"1/part.parquet and .*other.parquet \(parts 1/4 and 2/4\) are parts of different"
    ):
        AudioIndex.merge([one, tmp_path / "other.parquet", three, four])
    AudioIndex.build(corpus).save(tmp_path / "whole.parquet")
    with pytest.raises(FilesError, match=r"whole.parquet: it is about a whole corpus, not a part of one; leave it out"):
        AudioIndex.merge([one, two, three, four, tmp_path / "whole.parquet"])
    (tmp_path / "text.parquet").write_text("no index")
    with pytest.raises(FilesError, match=r"text.parquet: this is not an index"):
        AudioIndex.merge([one, tmp_path / "text.parquet"])
    metadata = {"flowmo_data.index": json.dumps({"version": 99})}
    parquet.write_table(parquet.read_table(two).replace_schema_metadata(metadata), tmp_path / "version.parquet")
    with pytest.raises(IndexVersionError, match=r"version.parquet is an index of version 99, and this is flowmo_data"):
        AudioIndex.merge([one, tmp_path / "version.parquet"])
    with pytest.raises(FilesNotFoundError, match=r"none/\*: there is no part of a corpus"):
        AudioIndex.merge(tmp_path / "none" / "*")
    # the same part twice is taken once, if the two are equal
    shutil.copy(two, tmp_path / "again.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    assert saved(AudioIndex.merge([one, two, two, tmp_path / "again.parquet", three, four]), tmp_path / "c.parquet")
    assert saved(AudioIndex.merge(tmp_path / "parts"), tmp_path / "whole.parquet") == whole
    table = parquet.read_table(two)
    parquet.write_table(table.slice(1), tmp_path / "again.parquet")
    with pytest.raises(FilesError, match=r"again.parquet and .* are both part 2/4, and differ; leave out the one"):
        AudioIndex.merge([one, two, tmp_path / "again.parquet", three, four])


def test_parts_from_other_places_need_a_root(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "copy", copy_function=shutil.copy2)
    AudioIndex.build(corpus, part=(1, 2)).save(tmp_path / "1.parquet")
    AudioIndex.build(tmp_path / "copy", part=(2, 2)).save(tmp_path / "2.parquet")
    parts = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    with pytest.raises(
        FilesError, match=r"their files were in different folders .*; give the folder for the merged index"
    ):
        AudioIndex.merge(parts)
    merged = AudioIndex.merge(parts, root=corpus)
    assert saved(merged, tmp_path / "c.parquet") == saved(AudioIndex.build(corpus), tmp_path / "c.parquet")


def test_a_dataset_of_a_part_is_possible_with_a_warning(corpus, aligned, tmp_path, caplog):
    for dataset in (StreamingAudioDataset, AudioFrameDataset):
        caplog.clear()
        (path,) = made_parts(corpus, 2, tmp_path)[:1]
        assert len(dataset(path, samples_per_frame=100)) > 0
        assert "this index has part 1/2 of a corpus only; for all of it, merge the parts" in caplog.text
    caplog.clear()
    StreamingAudioDataset(AudioIndex.merge(made_parts(corpus, 2, tmp_path)), samples_per_frame=100)
    assert "part" not in caplog.text


def test_parts_without_a_file_or_a_whole_set_are_indexes(corpus, aligned, tmp_path):
    for files in (corpus / "a.wav", aligned):
        sizes = []
        for path in made_parts(files, 30, tmp_path):
            index = AudioIndex.load(path)
            sizes.append((len(index), len(index.columns), len(index.bad_files())))
            assert index.columns.seconds().shape == (len(index),)
        assert min(sizes) == (0, 0, 0)


@pytest.mark.slow
def test_the_merge_is_measured():
    script = Path(__file__).parents[3] / "docs" / "measure_merge.py"
    done = run(script, "--parts", "3", "--files", "4", "--minutes", "0.5")
    measured = json.loads(done.stdout)
    assert (measured["parts"], measured["files"]) == (3, 12)
    assert measured["seconds"] > measured["seconds_to_read_and_sort"] > 0
