import json
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch
from builders import EVERY_DECODER, RATE, make_mp3, make_ramp, make_wav, music, opened, told

from flowmo_data import AudioIndex, ResumableDataLoader, StreamingAudioDataset
from flowmo_data.decoding import fill_frame, read_window
from flowmo_data.errors import FilesError
from flowmo_data.tracks import Timeline, at_sample_rate
from flowmo_data.tracks.index.joining import sample_at

pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is optional")


def write_rows(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def segment(name, offset, duration, **more):
    return {"audio_filepath": f"files/{name}", "offset": offset, "duration": duration, **more}


@pytest.fixture
def files(tmp_path):
    """Ramps: every sample of the three files is another number."""
    folder = tmp_path / "files"
    folder.mkdir()
    make_ramp(folder / "a.wav", 1, 30_000)
    make_ramp(folder / "b.wav", 100_001, 20_000)
    make_ramp(folder / "c.wav", 200_001, 20_000)
    return folder


def indexed(files, *rows):
    return AudioIndex.build(files, segments=write_rows(files.parent / "segments.jsonl", *rows))


def emitted(index, **options):
    options = {"samples_per_frame": 1_000, "channels": 1, "shuffle": False, "return_info": True, **options}
    return list(StreamingAudioDataset(index, **options))


# Exact to the sample


def test_each_segment_is_a_track_of_its_own(files, tmp_path):
    rows = [
        segment("a.wav", 0.25, 0.05, text="late"),
        segment("a.wav", 0.1, 0.2, text="early, and over the other"),
        segment("b.wav", None, 0.01, text="from the start"),
        segment("b.wav", 0.4, None, text="to the end"),
    ]
    index = indexed(files, *rows)
    index.save(tmp_path / "i.parquet")
    places = {
        "early, and over the other": (4_410, 13_230),
        "late": (11_025, 13_230),
        "from the start": (100_000, 100_441),
        "to the end": (117_640, 120_000),
    }
    for each in (index, AudioIndex.load(tmp_path / "i.parquet")):
        found = {}
        for item in emitted(each):
            metadata = item["metadata"]
            found.setdefault(metadata["text"], []).append(item)
            first, stop = places[metadata["text"]]
            valid = item["audio"][0, : item["num_valid"]]
            assert valid.tolist() == list(range(first + 1 + item["start"], first + 1 + item["start"] + len(valid)))
            assert not item["audio"][0, item["num_valid"] :].any()
            assert item["num_samples"] == stop - first
            before = 100_000 if "b.wav" in item["path"] else 0
            assert metadata["segment_start"] == pytest.approx((first - before) / RATE, abs=1e-9)
            assert metadata["segment_stop"] == pytest.approx((stop - before) / RATE, abs=1e-9)
        assert list(found) == list(places)  # by file and place
        for text, items in found.items():
            assert sum(item["num_valid"] for item in items) == places[text][1] - places[text][0]
            assert [item["start"] for item in items] == list(range(0, 1_000 * len(items), 1_000))


@pytest.mark.parametrize(
    ("seconds", "rate", "expected"),
    [(0, 8_000, 0), (0.5, 8_000, 4_000), (0.005, 44_100, 221), (0.003 + 0.002, 44_100, 221), (1e-5, 44_100, 0)],
)
def test_a_time_is_the_nearest_sample(seconds, rate, expected):
    assert sample_at(round(seconds * 1e9), [rate], [100_000]) == (expected, 0.0)


def test_a_time_in_a_later_part_is_at_the_rate_of_that_part():
    assert sample_at(1_500_000_000, [8_000, 16_000], [8_000, 16_000]) == (16_000, 0.0)
    assert sample_at(2_500_000_000, [8_000, 16_000], [8_000, 16_000]) == (24_000, 0.5)


def test_segments_side_by_side_share_no_sample_and_leave_none_out(files):
    edges = np.cumsum([0.0123, 0.1, 0.007, 0.0501, 0.003, 0.002, 0.2])
    rows = [segment("a.wav", float(a), float(b - a)) for a, b in pairwise(edges)]
    samples = torch.cat([item["audio"][0, : item["num_valid"]] for item in emitted(indexed(files, *rows))])
    assert samples.tolist() == list(range(1 + round(edges[0] * RATE), 1 + round(edges[-1] * RATE)))


def make_joined(folder):
    """A file whose rate changes inside."""
    one, other = make_mp3(folder / "one.mp3", 40_000), make_mp3(folder / "other.mp3", 40_000, seed=1, rate=48_000)
    (folder / "joined.mp3").write_bytes(one.read_bytes() + other.read_bytes())
    one.unlink()
    other.unlink()


def whole(track, decoder):
    """All samples of a track's parts, as stored."""
    parts = [read_window(part, 0, part.num_samples, decoder).samples.copy() for part in track.parts]
    return np.concatenate(parts)


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_a_segment_is_a_slice_of_the_file(tmp_path, decoder):
    folder = tmp_path / "files"
    folder.mkdir()
    make_mp3(folder / "a.mp3", 60_000)
    soundfile.write(folder / "b.flac", music(60_000, seed=2), RATE)
    soundfile.write(folder / "c.ogg", music(60_000, seed=3), RATE)
    make_joined(folder)
    names = ("a.mp3", "b.flac", "c.ogg", "joined.mp3")
    index = indexed(folder, *(segment(name, 0.3, 0.9) for name in names))
    for number, name in enumerate(("a.mp3", "b.flac", "c.ogg", "joined.mp3")):
        track, file = index.columns.track(number), opened(folder / name)
        assert track.path == file.path
        start = round(0.3 * RATE)
        num_samples = round(1.2 * RATE) - start
        if name == "joined.mp3":
            in_first = file.parts[0].num_samples
            num_samples = in_first + round((1.2 - in_first / RATE) * 48_000) - start
        samples = whole(track, decoder)
        assert np.array_equal(samples, whole(file, decoder)[start : start + num_samples])
        for sr in (RATE, 32_000):  # frames, at the file's rate and at another, and in other dtypes
            timeline = at_sample_rate(track, sr, on_other_rate="resample")
            (length,) = index.columns.lengths(sr, on_other_rate="resample")[number : number + 1]
            assert timeline.num_samples == length
            for dtype in (torch.float32, torch.int16):
                all_at_once = torch.empty(2, timeline.num_samples, dtype=dtype)
                fill_frame(timeline, 0, all_at_once, decoder)
                frame = torch.empty(2, 7_001, dtype=dtype)
                for first in range(-1_234, timeline.num_samples, 7_001):
                    fill_frame(timeline, first, frame, decoder)
                    begin, end = max(first, 0), min(first + 7_001, timeline.num_samples)
                    assert torch.equal(frame[:, begin - first : end - first], all_at_once[:, begin:end])
                    assert not frame[:, : begin - first].any()
                    assert not frame[:, end - first :].any()


def test_a_segment_in_one_part_of_a_joined_file_has_nothing_of_the_other(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    make_joined(folder)
    index = indexed(folder, segment("joined.mp3", 0.2, 0.5))
    (part,) = index.columns.track(0).parts
    assert (part.sample_rate, part.num_samples) == (RATE, 22_050)
    dataset = StreamingAudioDataset(index, samples_per_frame=1_000, on_other_rate="raise")
    list(dataset)
    assert not dataset.report()


def test_no_sample_from_outside_gets_in_by_resampling(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    samples = music(60_000, seed=4)
    soundfile.write(folder / "a.wav", samples, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "cut.wav", samples[13_230:35_280], RATE, subtype="FLOAT")
    index = indexed(folder, segment("a.wav", 0.3, 0.5))
    resampled = []
    for track in (index.columns.track(0), opened(tmp_path / "cut.wav")):
        timeline = at_sample_rate(track, 16_000, on_other_rate="resample")
        resampled.append(torch.empty(2, timeline.num_samples))
        fill_frame(Timeline(track.path, timeline.parts), 0, resampled[-1], "soundfile")
    assert torch.equal(*resampled)


# Ranks, workers, resume


def test_ranks_and_workers_emit_every_sample_of_every_segment_once(files):
    rows = [segment("a.wav", 0.05 * number, 0.08) for number in range(10)] + [segment("c.wav", 0.1, 0.3)]
    index = indexed(files, *rows)
    options = {"samples_per_frame": 500, "channels": 1, "return_info": True, "batch_size": 4, "remainder": "repeat"}
    found = {}
    for rank in range(2):
        dataset = StreamingAudioDataset(index, rank=rank, world_size=2, **options)
        loader = ResumableDataLoader(dataset, batch_size=None, num_workers=2)
        batches = []
        for batch in loader:
            batches.append(batch)
            if len(batches) == 5:
                state = loader.state_dict()
        for batch in batches:
            for place, (path, start, valid) in enumerate(
                zip(batch["path"], batch["start"], batch["num_valid"], strict=True)
            ):
                begin = batch["metadata"]["segment_start"][place].item()
                key = (path, round(begin * RATE), start.item())
                found[key] = batch["audio"][place, 0, max(-start, 0) :][:valid]
        again = ResumableDataLoader(
            StreamingAudioDataset(index, rank=rank, world_size=2, **options), batch_size=None, num_workers=2
        )
        again.load_state_dict(json.loads(json.dumps(state)))
        rest = list(again)
        assert len(rest) == len(batches) - 5
        for one, other in zip(rest, batches[5:], strict=True):
            assert torch.equal(one["audio"], other["audio"])
            assert torch.equal(one["metadata"]["segment_start"], other["metadata"]["segment_start"])
    emitted = sorted(sample for samples in found.values() for sample in samples.tolist())
    expected = []
    for first, stop in [(round(0.05 * n * RATE), min(round((0.05 * n + 0.08) * RATE), 30_000)) for n in range(10)]:
        expected += range(first + 1, stop + 1)
    expected += range(204_411, 217_641)
    assert emitted == sorted(expected)


# Reports


def test_what_is_past_the_end_is_cut_and_reported(files, caplog):
    index = indexed(
        files,
        segment("a.wav", 0.5, 3),
        segment("a.wav", 0.6, 0.08027),  # to the last sample, nearly
        segment("b.wav", 0.5, 1),
        segment("none.wav", 0, 1),
    )
    table = files.parent / "segments.jsonl"
    assert told(caplog) == [
        f"{table}: 1 of 4 rows name none of the files, for example {files / 'none.wav'}",
        f"{table}: segments past the end of their file: 1 are cut there, 1 begin there and are left out; the first is "
        f"row 1, about {files / 'a.wav'}, which has 0.680 s",
        f"{table}: 2 files left out, as no segment is about them",
    ]
    caplog.clear()
    dataset = StreamingAudioDataset(index, samples_per_frame=1_000, channels=1, shuffle=False)
    emitted = torch.cat([frame[0] for frame in dataset])
    assert emitted.max() == 30_000
    assert dataset.report().damaged == {str(files / "a.wav"): "1 segment cut at its end, by up to 2.82 s"}
    assert told(caplog) == [f"{files / 'a.wav'}: 1 segment cut at its end, by up to 2.82 s; the rest is read"]


def damaged_mp3(folder):
    """Ten seconds, but for the packets of 3,000 bytes at 3 s."""
    path = make_mp3(folder / "a.mp3", 10 * RATE)
    data = path.read_bytes()
    place = len(data) * 3 // 10
    path.write_bytes(data[:place] + bytes(3_000) + data[place + 3_000 :])
    return path


def test_damage_counts_where_it_lies_in_a_segment(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    path = damaged_mp3(folder)
    whole_file = StreamingAudioDataset(AudioIndex.build(folder), samples_per_frame=RATE)
    list(whole_file)
    assert whole_file.report().seconds_lost > 0
    for rows, is_lost in [
        ([segment("a.mp3", 0, 2), segment("a.mp3", 4, 5)], False),
        ([segment("a.mp3", 0, 5), segment("a.mp3", 1, 8)], True),
    ]:
        dataset = StreamingAudioDataset(indexed(folder, *rows), samples_per_frame=RATE)
        list(dataset)
        report = dataset.report()
        once = (
            whole_file.report().seconds_lost
        )  # packets are missing once; two segments may have the silence behind them
        assert once <= report.seconds_lost < 2 * once if is_lost else report.seconds_lost == 0
        assert report.packets_lost == (whole_file.report().packets_lost if is_lost else 0)
        assert list(report.damaged) == ([str(path)] if is_lost else [])


def test_segments_of_a_bad_file_are_left_out_and_the_file_is_reported(files):
    (files / "bad.wav").write_bytes(b"RIFF" + bytes(40))
    index = indexed(files, segment("bad.wav", 0, 1), segment("a.wav", 0, 0.1))
    dataset = StreamingAudioDataset(index, samples_per_frame=1_000)
    assert len(list(dataset)) == len(dataset) > 0
    assert list(dataset.report().skipped) == [str(files / "bad.wav")]


@pytest.mark.parametrize(
    ("offset", "duration", "message"),
    [
        (
            0.1,
            0,
            "row 2, about .*b.wav: offset is 0.1, duration is 0.0; give a offset of at least 0 and a duration above",
        ),
        (0.1, -1, "duration is -1.0; give"),
        (-0.1, 1, "offset is -0.1, duration is 1.0"),
        (float("nan"), 1, "row 2, about .*b.wav: offset is NaN; give seconds"),
        (0, float("nan"), "row 2, about .*b.wav: duration is NaN"),
        (0, float("inf"), "duration is inf"),
        (0.1, 1e-6, "row 2, about .*b.wav: it is 1e-06 s long, which is less than a sample"),
    ],
)
def test_a_row_that_is_no_segment_is_named(files, offset, duration, message):
    with pytest.raises(FilesError, match=message):
        indexed(files, segment("a.wav", 0.0, 1), segment("b.wav", offset, duration))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"start": 1, "stop": 0.5}, "start is 1.0, stop is 0.5; give a start of at least 0 and a stop after it"),
        ({"duration": 1}, "segments need columns 'start' and 'stop', or 'offset' and 'duration', in seconds; it has"),
        ({"start": "0:01", "stop": "0:02"}, "its column 'start' does not hold numbers .*string.; give seconds"),
        ({"start": 30_000, "stop": 60_000}, "none of its segments lies in a readable file; check the units"),
        ({"path": "a.wav", "start": 0, "stop": 1}, "none of its 1 row is about any of 3 files"),
    ],
)
def test_a_table_without_segments_is_refused(files, row, message):
    with pytest.raises(FilesError, match=message):
        indexed(files, {"path": "files/a.wav", **row})


# The index


def test_other_segments_are_another_corpus_and_a_cut_part_is_only_where_needed(files):
    index = AudioIndex.build(files)
    one, other = (indexed(files, segment("a.wav", 0, stop)) for stop in (0.5, 0.6))
    assert len({index.fingerprint, one.fingerprint, other.fingerprint}) == 3
    assert indexed(files, segment("a.wav", 0, 0.5)).fingerprint == one.fingerprint
    whole = indexed(files, {"path": "files/a.wav", "start": None, "stop": None})
    assert whole.columns.track(0).parts == index.columns.track(0).parts


def test_a_new_table_reads_no_file_again(files, monkeypatch):
    index = indexed(files, segment("a.wav", 0, 0.5))
    monkeypatch.setattr("flowmo_data.tracks.index.building.describe", None)
    table = write_rows(files.parent / "other.jsonl", segment("b.wav", 0, 0.1), segment("b.wav", 0.2, 0.1))
    again = AudioIndex.build(files, previous=index, segments=table)
    assert [again.columns.path(number) for number in range(len(again.columns))] == [str(files / "b.wav")] * 2
    assert not AudioIndex.build(files, previous=index).has_segments


def test_files_left_out_take_their_segments_with_them(files):
    index = indexed(files, segment("a.wav", 0, 0.1), segment("b.wav", 0, 0.2), segment("c.wav", 0, 0.3))
    rest = index.without([str(files / "a.wav")])
    assert rest.columns.seconds().tolist() == pytest.approx([0.2, 0.3])


def test_wav_and_segments_of_it_at_another_rate_are_skipped_or_raise(files):
    make_wav(files / "d.wav", 48_000, rate=48_000)
    index = indexed(files, segment("d.wav", 0.5, 0.25), segment("a.wav", 0, 0.1))
    dataset = StreamingAudioDataset(index, samples_per_frame=500, on_other_rate="skip")
    assert len(dataset) == len(list(dataset)) > 8
    assert list(dataset.report().skipped) == [str(files / "d.wav")]
    assert index.columns.lengths(RATE, on_other_rate="resample").tolist() == [4_410, 11_025]
