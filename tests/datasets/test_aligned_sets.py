"""Frames of files that are aligned with each other: cut at the same places of all, whatever their codecs."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from builders import RATE, make_mp3, make_ramp, make_wav, told, walk_bytes
from torch.utils.data import DataLoader

from flowmo_data import (
    AudioFileError,
    AudioFrameDataset,
    AudioIndex,
    FilesNotFoundError,
    NoReadableFileError,
    OptionError,
    ResumableDataLoader,
    SampleRateError,
    StateError,
    StreamingAudioDataset,
)

pytest.importorskip("pyarrow", reason="the extra index is not installed")

LENGTHS = [50, 7, 200, 1, 64, 129]
APART = 10_000
"""difference of the samples of two aligned ramps"""


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    """Two folders of ramps, whose samples at the same place differ by `APART`; the files of the second are longer."""
    folder, first = tmp_path_factory.mktemp("ramps"), 1
    for name in ("low", "high"):
        (folder / name / "deep").mkdir(parents=True)
    for number, length in enumerate(LENGTHS):
        make_ramp(folder / f"low/deep/{number}.wav", first, length)
        make_ramp(folder / f"high/deep/{number}.wav", first + APART, length + number)
        first += length
    return {"low": str(folder / "low"), "high": str(folder / "high")}


@pytest.fixture(scope="module", params=["folders", "index"])
def files(request, ramps, tmp_path_factory):
    """The two folders, and an index of both."""
    if request.param == "folders":
        return ramps
    path = tmp_path_factory.mktemp("index") / "sets.parquet"
    AudioIndex.build(ramps).save(path)
    return path


def make(files, **options):
    given = {"samples_per_frame": 32, "channels": 1, "shuffle_buffer_size": 5, "decoder": "soundfile"}
    return StreamingAudioDataset(files, **{**given, **options})


def check_aligned(batches):
    """The samples of the first, all of them, where all batches are aligned."""
    low, high = (torch.cat([batch[name].flatten() for batch in batches]) for name in ("low", "high"))
    valid = low != 0
    assert torch.equal(high != 0, valid)
    assert torch.equal(high[valid] - low[valid], torch.full_like(low[valid], APART))
    return sorted(low[valid].int().tolist())


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_every_sample_once_at_the_same_place_of_both(files, num_workers, batch_size):
    dataset = make(files, batch_size=batch_size)
    loader = DataLoader(dataset, batch_size=3 if batch_size is None else None, num_workers=num_workers)
    epochs = [list(loader), list(loader)]
    for batches in epochs:
        assert list(batches[0]) == ["low", "high"]
        assert batches[0]["low"].shape == (3, 1, 32)
        assert check_aligned(batches) == list(range(1, sum(LENGTHS) + 1))
    assert not torch.equal(epochs[0][0]["low"], epochs[1][0]["low"])


def test_threads_whole_frames_and_dtypes(files):
    frames = list(make(files, decode_threads=2, framing="drop", dtype=torch.float16))
    assert frames
    assert all(frame[name].dtype == torch.float16 and (frame[name] != 0).all() for frame in frames for name in frame)


def test_the_information_names_all_files(files):
    for item in make(files, return_info=True, shuffle=False):
        assert list(item) == ["audio", "path", "start", "num_valid", "num_samples", "seed"]
        assert [path.rpartition("/")[2] for path in item["path"].values()] == [f"{number_of(item)}.wav"] * 2
        assert list(item["path"]) == list(item["audio"]) == ["low", "high"]
        assert item["num_valid"] == int((item["audio"]["high"] != 0).sum())
        first = item["audio"]["low"][0, max(-item["start"], 0)]
        assert first == 1 + sum(LENGTHS[: number_of(item)]) + max(item["start"], 0)


def number_of(item):
    return int(item["path"]["low"].removesuffix(".wav").rpartition("/")[2])


def test_the_transform_sees_all_of_them(files):
    def difference(frames):
        return frames["high"] - frames["low"]

    values = torch.stack(list(make(files, transform=difference)))
    assert set(values.unique().tolist()) == {0, APART}
    batches = list(make(files, transform=difference, batch_size=4))
    assert batches[0].shape == (4, 1, 32)


def test_a_rejected_set_leaves_no_hole_in_a_batch(ramps):
    def whole(frames):
        return frames if (frames["low"] != 0).all() else None

    batches = list(make(ramps, transform=whole, batch_size=3))
    assert {len(batch["high"]) for batch in batches[:-1]} == {3}
    assert len(check_aligned(batches)) == 32 * sum(len(batch["low"]) for batch in batches)
    dataset = make(AudioIndex.build(ramps), transform=whole, batch_size=3)
    assert sum(len(batch["high"]) for batch in dataset) == dataset.frames_per_epoch


def test_ranks_report_each_missing_partner_once(ramps, tmp_path):
    for number in range(5):
        make_ramp(tmp_path / f"{number}.wav", 1, 10)
    named = []
    for rank in range(2):
        dataset = make({"low": [ramps["low"], str(tmp_path)], "high": ramps["high"]}, rank=rank, world_size=2)
        list(DataLoader(dataset, num_workers=2))
        named += dataset.report().skipped
    assert sorted(named) == [str(tmp_path / f"{number}.wav") for number in range(5)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loop_resumes_exactly(files, num_workers):
    def load(**options):
        return ResumableDataLoader(make(files, **options), batch_size=2, num_workers=num_workers)

    whole = list(load())
    loader = load()
    for _ in zip(range(3), loader, strict=False):
        pass
    resumed = load()
    resumed.load_state_dict(loader.state_dict())
    rest = list(resumed)
    assert len(rest) == len(whole) - 3
    assert all(torch.equal(one[name], two[name]) for one, two in zip(rest, whole[3:], strict=True) for name in one)


def test_a_state_belongs_to_the_names(ramps):
    state = make(ramps).state_dict()
    assert state["names"] == ["low", "high"]
    other = make({"high": ramps["high"], "low": ramps["low"]})
    with pytest.raises(StateError, match=r"names was \['low', 'high'\] and is \['high', 'low'\]"):
        other.load_state_dict(state)
    with pytest.raises(StateError, match="files was"):
        make(ramps["low"]).load_state_dict(state)


def test_ranks_and_lengths_by_an_index(ramps):
    index = AudioIndex.build(ramps)
    assert (index.names, len(index), index.bad_files()) == (("low", "high"), len(LENGTHS), {})
    ranks = [make(index, rank=rank, world_size=2, shuffle=False, remainder="repeat") for rank in range(2)]
    frames = [list(rank) for rank in ranks]
    assert [len(rank) for rank in ranks] == [len(each) for each in frames]
    assert sorted(set(check_aligned([*frames[0], *frames[1]]))) == list(range(1, sum(LENGTHS) + 1))


# Codecs


CLICK = np.hanning(48) * np.sin(np.arange(48) * 0.8)


@pytest.fixture(scope="module")
def clicks(tmp_path_factory):
    """The same clicks in several codecs, in a folder for each; Opus has 48 kHz only."""
    folder, generator = tmp_path_factory.mktemp("clicks"), np.random.default_rng(0)
    seconds = np.cumsum(generator.uniform(0.05, 0.15, 100))
    codecs = {"wav": RATE, "mp3": RATE, "flac": RATE, "ogg": RATE, "opus": 48_000, "wav48": 48_000, "mp348": 48_000}
    for codec, rate in codecs.items():
        samples = np.zeros((int(11 * rate), 2), np.float32)
        for start in (seconds[seconds < 10.5] * RATE).astype(int) * rate / RATE:
            first = int(np.ceil(start))
            places = (np.arange(first, first + 60) - start) * RATE / rate  # in samples of the click
            samples[first : first + 60] += np.interp(places, np.arange(48), CLICK, 0, 0)[:, None].astype(np.float32)
        kind = codec.removesuffix("48")
        (folder / codec).mkdir()
        options = {"opus": {"format": "OGG", "subtype": "OPUS"}}.get(kind, {"format": kind.upper()})
        soundfile.write(folder / codec / f"clicks.{kind}", samples, rate, **options)
    return {codec: str(folder / codec) for codec in codecs}


@pytest.mark.parametrize("decoder", ["auto", "soundfile"])
def test_an_mp3_lines_up_with_its_wav_and_so_do_all_codecs(clicks, decoder):
    frames = list(make(clicks, samples_per_frame=2 * RATE, decoder=decoder, framing="drop", seed=1))
    assert len(frames) in (4, 5)
    for frame in frames:
        spectra = {codec: np.fft.rfft(audio[0].double().numpy()) for codec, audio in frame.items()}
        for codec, spectrum in spectra.items():
            alike = np.fft.irfft(spectrum * spectra["wav"].conj())  # by lag
            assert np.argmax(alike) == 0, codec
            assert alike[0] > 0.85 * np.fft.irfft(np.abs(spectra["wav"]) ** 2)[0], codec


def test_an_mp3_without_its_tag_is_late_as_its_encoder_was(clicks, tmp_path):
    data = Path(clicks["mp3"], "clicks.mp3").read_bytes()
    (section,) = walk_bytes(data).sections
    (tmp_path / "clicks.mp3").write_bytes(data[section.offsets[0] :])
    files = {"wav": clicks["wav"], "mp3": str(tmp_path)}
    frame = next(iter(make(files, samples_per_frame=4 * RATE, shuffle=False)))
    wav, mp3 = (np.fft.rfft(frame[name][0].double().numpy()) for name in files)
    assert np.argmax(np.fft.irfft(mp3 * wav.conj())) == 1_105


# Sets that do not fit, and bad files


@pytest.fixture
def music(tmp_path):
    """Three sets of a WAV and an MP3 file, of one second and more."""
    for name in ("mix", "vocals"):
        (tmp_path / name).mkdir()
    for number in range(3):
        make_wav(tmp_path / f"mix/{number}.wav", RATE + 5_000 * number, seed=number, channels=1)
        make_mp3(tmp_path / f"vocals/{number}.mp3", RATE + 5_000 * number, seed=number, channels=1)
    return tmp_path


def both(files):
    """Two sources of the same sets: the folders, and an index of them."""
    return [files, AudioIndex.build(files)]


def sets(folder):
    return {"mix": str(folder / "mix"), "vocals": str(folder / "vocals")}


def epoch_of(files, **options):
    """The items of an epoch in the order of files, and its report."""
    dataset = make(files, **{"samples_per_frame": 8_192, "return_info": True, "shuffle": False, **options})
    return list(dataset), dataset.report()


def seconds_by_file(items):
    seconds = {}
    for item in items:
        path = item["path"]["mix"].rpartition("/")[2]
        seconds[path] = seconds.get(path, 0) + item["num_valid"] / RATE
    return {path: round(length, 3) for path, length in seconds.items()}


def test_the_shortest_counts_and_more_than_50_ms_are_reported(music, caplog):
    make_wav(music / "mix/0.wav", RATE + int(0.049 * RATE))
    make_wav(music / "mix/1.wav", RATE)
    for files in both(sets(music)):
        caplog.clear()
        items, report = epoch_of(files)
        assert seconds_by_file(items) == {"0.wav": 1.0, "1.wav": 1.0, "2.wav": 1.227}
        said = "the lengths of the aligned files differ (mix 1.000 s, vocals 1.113 s), and the shortest counts"
        assert (report.skipped, report.damaged) == ({}, {str(music / "mix/1.wav"): said})
        assert report.seconds_lost == 0
        assert told(caplog) == [f"{music / 'mix/1.wav'}: {said}"]


def test_the_end_of_the_longer_is_padding_in_all(music):
    make_wav(music / "mix/0.wav", RATE // 2)
    items, _ = epoch_of({"mix": str(music / "mix/0.wav"), "vocals": str(music / "vocals/0.mp3")})
    last = items[-1]
    assert 0 < last["num_valid"] < 8_192
    assert not any(frames[0, last["num_valid"] :].any() for frames in last["audio"].values())


def test_partners_that_are_missing_or_bad_skip_their_set_and_are_named(music, caplog):
    (music / "vocals/0.mp3").unlink()
    (music / "vocals/1.mp3").write_bytes(b"text " * 100)
    for files in both(sets(music)):
        caplog.clear()
        items, report = epoch_of(files)
        assert set(seconds_by_file(items)) == {"2.wav"}
        missing, bad = str(music / "mix/0.wav"), str(music / "vocals/1.mp3")
        assert sorted(report.skipped) == [missing, bad]
        assert report.skipped[missing] == "its set is incomplete: there is no file '0', with any suffix, for 'vocals'"
        assert report.skipped[bad].startswith("no MPEG audio packets in its 500 bytes")
        assert report.skipped[bad].endswith("; the files that are aligned with it are skipped too")
        assert len([line for line in told(caplog) if missing in line]) == 1


def test_many_sets_without_partners_make_one_line(music, caplog):
    for number in range(5):
        make_wav(music / f"mix/alone_{number}.wav", 100)
    dataset = make(sets(music), samples_per_frame=8_192)
    assert told(caplog) == [
        "5 of 8 sets of files are skipped: "
        + "; ".join(
            f"{music}/mix/alone_{number}.wav: its set is incomplete: there is no file 'alone_{number}', with any "
            "suffix, for 'vocals'"
            for number in range(3)
        )
        + "; and 2 more; report() lists them"
    ]
    for num_workers in (0, 2):
        list(DataLoader(dataset, num_workers=num_workers))
        assert len(dataset.report().skipped) == 5
    assert len(told(caplog)) == 1


def test_on_error_decides_about_sets(music):
    (music / "vocals/0.mp3").unlink()
    with pytest.raises(AudioFileError, match=r"mix/0.wav: its set is incomplete"):
        make(sets(music), on_error="raise")
    seen = []
    epoch_of(sets(music), on_error=seen.append)
    assert [error.path for error in seen] == [str(music / "mix/0.wav")]
    with pytest.raises(AudioFileError, match=r"mix/0.wav: its set is incomplete"):
        list(make(AudioIndex.build(sets(music)), on_error="raise"))


def test_sets_without_a_readable_one(music):
    for number in range(3):
        (music / f"vocals/{number}.mp3").write_bytes(b"")
    with pytest.raises(NoReadableFileError, match="the file is empty"):
        list(make(sets(music)))
    with pytest.raises(FilesNotFoundError, match="no set of files is complete"):
        make({"mix": str(music / "mix"), "other": [str(make_wav(music / "9.wav", 10))]})


def test_a_file_that_changes_later_has_its_name_in_the_report(music):
    index = AudioIndex.build(sets(music))
    make_mp3(music / "vocals/1.mp3", 2 * RATE)
    items, report = epoch_of(index)
    assert list(report.skipped) == [str(music / "vocals/1.mp3")]
    assert len(items) == len(make(index, samples_per_frame=8_192, shuffle=False))
    assert "1.wav" not in seconds_by_file(items)


def test_after_lost_packets_nothing_is_aligned_so_the_set_is_cut_there(music):
    path = music / "vocals/2.mp3"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 2_000 :])
    for files in both(sets(music)):
        items, report = epoch_of(files)
        kept = seconds_by_file(items)["2.wav"]
        assert 0.4 < kept < 0.65
        assert (
            f"the aligned files are cut at {kept:.3f} s, because audio is missing there from {path}"
            in report.damaged.values()
        )
        assert "bytes inside are not audio packets" in report.damaged[str(path)]
        assert report.seconds_lost > 0.5
        for item in items:
            mix, vocals = (item["audio"][name][0, : item["num_valid"]] for name in ("mix", "vocals"))
            if item["path"]["mix"].endswith("2.wav") and item["start"] + 8_192 < kept * RATE:
                assert torch.nn.functional.cosine_similarity(mix, vocals, 0) > 0.9


def test_rates_that_differ(music):
    make_wav(music / "mix/0.wav", 48_000, rate=48_000)
    for files in both(sets(music)):
        items, report = epoch_of(files, on_other_rate="skip")
        assert set(seconds_by_file(items)) == {"1.wav", "2.wav"}
        assert list(report.skipped) == [str(music / "mix/0.wav")]
        with pytest.raises(SampleRateError, match=r"mix/0.wav: its sample rate is 48000 Hz .* aligned with it"):
            epoch_of(files, on_other_rate="raise")
        items, report = epoch_of(files)
        assert (seconds_by_file(items)["0.wav"], report.skipped) == (1.0, {})


def test_a_file_without_one_of_its_parts_is_not_aligned(music):
    path = music / "vocals/0.mp3"
    other = make_mp3(music / "other.mp3", 48_000, rate=48_000)
    path.write_bytes(other.read_bytes() + path.read_bytes())
    for files in both(sets(music)):
        items, report = epoch_of(files, on_other_rate="skip")
        assert set(seconds_by_file(items)) == {"1.wav", "2.wav"}
        assert "some of its parts are not at sr=44100" in report.skipped[str(path)]


def test_excluded_files_take_their_sets_along(music):
    exclude = [str(music / "vocals/1.mp3")]
    for files in both(sets(music)):
        items, report = epoch_of(files, exclude=exclude)
        assert set(seconds_by_file(items)) == {"0.wav", "2.wav"}
        assert not report


@pytest.mark.parametrize("workers", [0, 2])
def test_frames_by_number(ramps, workers):
    dataset = AudioFrameDataset(AudioIndex.build(ramps), samples_per_frame=32, channels=1, decoder="soundfile")
    batches = list(DataLoader(dataset, batch_size=4, num_workers=workers))
    assert [batch["low"].shape for batch in batches[:-1]] == [(4, 1, 32)] * (len(batches) - 1)
    assert len(check_aligned(batches)) == sum(LENGTHS)
    assert torch.equal(dataset[1]["high"], batches[0]["high"][1])
    informed = AudioFrameDataset(AudioIndex.build(ramps), samples_per_frame=32, channels=1, return_info=True)
    item = informed[2]
    assert torch.equal(item["audio"]["low"], dataset[2]["low"])
    assert {name: Path(path).parts[-3] for name, path in item["path"].items()} == {"low": "low", "high": "high"}


@pytest.mark.parametrize("from_index", [False, True])
def test_metadata_is_that_of_the_first_file_of_a_set(ramps, tmp_path, from_index):
    table = tmp_path / "table.csv"
    rows = [f"{ramps['low']}/deep/{number}.wav,song {number}" for number in range(1, len(LENGTHS))]
    table.write_text("\n".join(["file_name,title", *rows]) + "\n")
    files = AudioIndex.build(ramps, metadata=table) if from_index else ramps
    dataset = make(files, metadata=None if from_index else table, return_info=True)
    items = list(dataset)
    assert {item["metadata"]["title"] for item in items} == {f"song {number}" for number in range(1, len(LENGTHS))}
    assert all(item["metadata"]["title"] == f"song {Path(item['path']['high']).stem}" for item in items)
    assert {Path(path).stem for path in dataset.report().skipped} == {"0"}  # which has no row
    if from_index:
        from pyarrow.compute import field

        kept = files.filter(field("title") == "song 2")
        assert len(kept) == 1
        assert len(kept.files) == 2
        with pytest.raises(OptionError, match="segments= is not for aligned files"):
            files.with_segments(table)
