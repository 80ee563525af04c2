import gc
import json
import logging
import os
import re
import threading
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch
from builders import EVERY_DECODER, RATE, make_mp3, make_ramp, make_ramps, make_wav, music, opened, read, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from flowmo_data import AudioFileError, NoReadableFileError, OptionError, StateError, StreamingAudioDataset
from flowmo_data.decoding import fill_frame
from flowmo_data.tracks import Timeline

LENGTHS = [50, 7, 200, 1, 64, 129, 31, 32, 33, 96]


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    """A folder in which every sample of every file is another number, counted from 1 to the number returned."""
    folder = tmp_path_factory.mktemp("dataset") / "ramps"
    return folder, make_ramps(folder, LENGTHS)


def make(folder, **options):
    return StreamingAudioDataset(
        folder, **{"samples_per_frame": 32, "channels": 1, "shuffle_buffer_size": 5, **options}
    )


def samples(batches):
    """All numbers that are not padding."""
    values = torch.cat([batch.flatten() for batch in batches]) if batches else torch.zeros(0)
    return values[values != 0].to(torch.int64).tolist()


def every_rank(folder, world_size, num_workers, epoch, **options):
    for rank in range(world_size):
        dataset = make(folder, rank=rank, world_size=world_size, **options)
        dataset.set_epoch(epoch)
        yield list(DataLoader(dataset, batch_size=3, num_workers=num_workers))


# Exactly once


@pytest.mark.parametrize("num_workers", [0, 1, 3])
@pytest.mark.parametrize("world_size", [1, 2])
def test_two_epochs_emit_every_sample_once(ramps, world_size, num_workers):
    folder, total = ramps
    orders = []
    for epoch in range(2):
        ranks = [samples(batches) for batches in every_rank(folder, world_size, num_workers, epoch)]
        assert sorted(sample for rank in ranks for sample in rank) == list(range(1, total + 1))
        orders.append(ranks)
    assert orders[0] != orders[1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frame=st.integers(1, 80), buffer=st.integers(1, 40), world_size=st.integers(1, 4), seed=st.integers(0, 2**32),
    epoch=st.integers(0, 5), shuffle=st.booleans(),
)  # fmt: skip
def test_every_sample_once_whatever_the_options(ramps, frame, buffer, world_size, seed, epoch, shuffle):
    folder, total = ramps
    options = {"samples_per_frame": frame, "shuffle_buffer_size": buffer, "seed": seed, "shuffle": shuffle}
    ranks = every_rank(folder, world_size, 0, epoch, **options)
    assert sorted(sample for batches in ranks for sample in samples(batches)) == list(range(1, total + 1))


@pytest.mark.parametrize("num_workers", [0, 3])
def test_drop_emits_whole_frames_once(ramps, num_workers):
    folder, _ = ramps
    frames = torch.cat([batch for rank in every_rank(folder, 2, num_workers, 0, framing="drop") for batch in rank])
    assert frames.shape[1:] == (1, 32)
    assert (frames > 0).all()
    assert (frames.diff(dim=-1) == 1).all()
    counts = Counter(frames.flatten().tolist())
    assert set(counts.values()) == {1}
    assert len(frames) >= sum(length // 32 for length in LENGTHS) - len(LENGTHS)
    assert all(any(first <= value < first + n for value in counts) for first, n in _files() if n >= 32)


def _files():
    first = 1
    for length in LENGTHS:
        yield first, length
        first += length


def test_a_file_shorter_than_a_frame_is_told_with_drop(ramps, caplog):
    caplog.set_level(logging.INFO, "flowmo_data")
    list(make(ramps[0], framing="drop"))
    short = [record for record in caplog.records if "samples are less than a frame" in record.message]
    assert {record.levelname for record in short} == {"INFO"}
    assert len(short) == sum(length < 32 for length in LENGTHS)


# Order


def test_without_shuffle_files_come_in_order_from_their_first_sample(ramps):
    folder, total = ramps
    frames = list(make(folder, shuffle=False, return_info=True))
    assert samples([frame["audio"] for frame in frames]) == list(range(1, total + 1))
    assert [frame["start"] for frame in frames[:3]] == [0, 32, 0]
    assert [frame["num_valid"] for frame in frames[:3]] == [32, 18, 7]
    again = list(make(folder, shuffle=False))
    assert all(torch.equal(a["audio"], b) for a, b in zip(frames, again, strict=True))


def test_the_order_of_a_seed_is_golden(ramps):
    """If this changes, every stored state means something else: say so in the CHANGELOG."""
    dataset = make(ramps[0], seed=7, return_info=True)
    first = [(os.path.basename(frame["path"])[5:8], frame["start"], frame["num_valid"]) for frame in dataset]
    assert first[:8] == [
        ("000", -28, 4),
        ("000", 4, 32),
        ("009", -8, 24),
        ("007", -15, 17),
        ("007", 17, 15),
        ("009", 88, 8),
        ("009", 24, 32),
        ("002", -12, 20),
    ]


def test_each_iteration_is_the_next_epoch_and_set_epoch_goes_back(ramps):
    dataset = make(ramps[0])
    first, second = ([frame.tolist() for frame in dataset] for _ in range(2))
    assert first != second
    dataset.set_epoch(0)
    assert [frame.tolist() for frame in dataset] == first
    assert [frame.tolist() for frame in dataset] == second


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_follow_the_epochs(ramps, persistent):
    folder, _ = ramps
    expected = [[b.tolist() for b in DataLoader(_at_epoch(folder, e), num_workers=2)] for e in (0, 1, 5, 6)]
    dataset = make(folder)
    loader = DataLoader(dataset, num_workers=2, persistent_workers=persistent)
    got = [[batch.tolist() for batch in loader] for _ in range(2)]
    dataset.set_epoch(5)
    got += [[batch.tolist() for batch in loader] for _ in range(2)]
    assert got == expected


def _at_epoch(folder, epoch):
    dataset = make(folder)
    dataset.set_epoch(epoch)
    return dataset


def test_more_workers_than_files_is_fine(tmp_path):
    total = make_ramps(tmp_path / "two", [40, 50])
    loader = DataLoader(make(tmp_path / "two"), num_workers=4)
    assert sorted(samples(list(loader))) == list(range(1, total + 1))


# What comes out


def test_batches_are_those_of_the_standard_dataloader(mp3_folder):
    batch = next(iter(DataLoader(StreamingAudioDataset(mp3_folder), batch_size=4)))
    assert batch.shape == (4, 2, 196_608)
    assert batch.dtype == torch.float32


def test_info_collates(mp3_folder):
    dataset = StreamingAudioDataset(mp3_folder, samples_per_frame=30_000, return_info=True, shuffle=False)
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    assert batch["audio"].shape == (4, 2, 30_000)
    assert batch["start"].tolist() == [0, 0, 30_000, 0]
    assert batch["num_valid"].tolist() == [30_000, 30_000, 17_000, 30_000]
    assert [os.path.basename(path) for path in batch["path"]] == ["0.mp3", "1.mp3", "1.mp3", "2.mp3"]


@pytest.mark.parametrize("decoder", EVERY_DECODER)
@pytest.mark.parametrize("channels", [1, 2])
def test_frames_are_slices_of_the_whole_decode(mp3_folder, decoder, channels):
    dataset = StreamingAudioDataset(
        mp3_folder, samples_per_frame=20_000, decoder=decoder, channels=channels, return_info=True
    )
    frames = list(dataset)
    for path in {frame["path"] for frame in frames}:
        (part,) = opened(path).parts
        whole = read(part, 0, part.num_samples, decoder).samples.T.copy()
        if channels == 1:
            mean, whole = whole.mean(axis=0, keepdims=True), np.empty((1, part.num_samples), np.float32)
            fill_frame(Timeline(path, (part,)), 0, torch.from_numpy(whole), decoder)
            assert np.abs(whole - mean).max() < (5e-6 if decoder == "native" else 1e-9)
        for frame in (frame for frame in frames if frame["path"] == path):
            begin, stop = max(frame["start"], 0), min(frame["start"] + 20_000, part.num_samples)
            valid = frame["audio"][:, begin - frame["start"] : stop - frame["start"]].numpy()
            assert np.array_equal(valid, whole[:, begin:stop])
            assert frame["num_valid"] == stop - begin
            assert not frame["audio"][:, : begin - frame["start"]].any()
            assert not frame["audio"][:, stop - frame["start"] :].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int16])
def test_dtypes(mp3_folder, dtype):
    frames = [
        list(StreamingAudioDataset(mp3_folder, samples_per_frame=20_000, dtype=d)) for d in (torch.float32, dtype)
    ]
    for full, other in zip(*frames, strict=True):
        assert other.dtype == dtype
        scaled = other.float() / (32_768 if dtype == torch.int16 else 1)
        assert (scaled - full.clamp(-1, 1)).abs().max() < 2e-2


def test_transform_is_called_in_order_in_the_thread_that_iterates(mp3_folder):
    seen = []

    def transform(frame):
        seen.append(threading.current_thread())
        return frame.mean()

    dataset = StreamingAudioDataset(mp3_folder, samples_per_frame=20_000, transform=transform, decode_threads=2)
    assert all(value.shape == () for value in dataset)
    assert set(seen) == {threading.current_thread()}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_threads_give_the_same_tensors_in_the_same_order(mp3_folder, num_workers):
    def batches(threads):
        dataset = StreamingAudioDataset(mp3_folder, samples_per_frame=9_999, decode_threads=threads)
        return list(DataLoader(dataset, batch_size=2, num_workers=num_workers))

    for alone, threaded in zip(batches(0), batches(3), strict=True):
        assert torch.equal(alone, threaded)


def test_resampled_frames_tile_the_resampled_file(tmp_path):
    path = make_mp3(tmp_path / "a.mp3", 60_000, rate=48_000)
    frames = list(StreamingAudioDataset(path, samples_per_frame=7_777, shuffle=False, return_info=True))
    total = -(-60_000 * 44_100 // 48_000)
    assert sum(frame["num_valid"] for frame in frames) == total
    (whole,) = StreamingAudioDataset(path, samples_per_frame=total, shuffle=False)
    joined = torch.cat([frame["audio"] for frame in frames], dim=1)[:, :total]
    assert (joined - whole).abs().max() < 1e-5


def test_leaving_early_leaves_no_thread(mp3_folder):
    def run(leave):
        for _ in StreamingAudioDataset(mp3_folder, samples_per_frame=9_999, decode_threads=2):
            leave()
            break

    run(lambda: None)
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flowmo_data")]
    with pytest.raises(KeyboardInterrupt):
        run(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flowmo_data")]


# Workers


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_every_start_method(ramps, context):
    folder, total = ramps
    loader = DataLoader(make(folder), num_workers=2, multiprocessing_context=context, persistent_workers=True)
    for _ in range(2):
        assert sorted(samples(list(loader))) == list(range(1, total + 1))


class ThreadCount:
    """A transform that gives the number of threads of this process, and of torch."""

    def __call__(self, frame):
        return torch.tensor([len(os.listdir("/proc/self/task")), torch.get_num_threads()])


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_a_worker_resamples_without_threads_of_its_own(tmp_path):
    make_wav(tmp_path / "a.wav", 20 * 48_000, rate=48_000)
    dataset = StreamingAudioDataset(tmp_path / "a.wav", transform=ThreadCount())
    (counts,) = [batch[-1] for batch in DataLoader(dataset, num_workers=1, batch_size=8)]
    threads, torch_threads = counts.tolist()
    assert torch_threads == 1
    assert threads <= 3  # the worker, its queue's feeder, its watchdog


# Bad files


@pytest.fixture
def with_bad_files(tmp_path):
    total = make_ramps(tmp_path / "mixed", [40, 50, 60])
    (tmp_path / "mixed" / "bad_empty.mp3").write_bytes(b"")
    (tmp_path / "mixed" / "bad_text.mp3").write_bytes(b"text " * 1_000)
    return tmp_path / "mixed", total


def test_a_bad_file_is_one_warning_and_the_epoch_goes_on(with_bad_files, caplog):
    folder, total = with_bad_files
    dataset = make(folder)
    for _ in range(2):
        assert sorted(samples(list(dataset))) == list(range(1, total + 1))
    messages = sorted(told(caplog))
    assert messages[0] == f"skipped {folder}/bad_empty.mp3: the file is empty (0 bytes)"
    assert messages[1].startswith(f"skipped {folder}/bad_text.mp3: no MPEG audio packets in its 5000 bytes")
    assert len(messages) == 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_file_is_raised_if_asked(with_bad_files, num_workers):
    folder, _ = with_bad_files
    loader = DataLoader(make(folder, on_error="raise", shuffle=False), num_workers=num_workers)
    with pytest.raises(AudioFileError, match=r"bad_empty.mp3: the file is empty \(0 bytes\)"):
        list(loader)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_without_a_readable_file_is_an_error(tmp_path, num_workers):
    for index in range(3):
        (tmp_path / f"{index}.mp3").write_bytes(b"text " * 1_000)
    with pytest.raises(NoReadableFileError, match="none of the 3 files can be read; the last error: "):
        list(DataLoader(make(tmp_path), num_workers=num_workers))


def test_a_worker_with_bad_files_only_just_warns(tmp_path):
    total = make_ramps(tmp_path / "mixed", [40])
    for index in range(5):
        (tmp_path / "mixed" / f"bad_{index}.mp3").write_bytes(b"")
    for epoch in range(3):
        dataset = make(tmp_path / "mixed")
        dataset.set_epoch(epoch)
        assert sorted(samples(list(DataLoader(dataset, num_workers=3)))) == list(range(1, total + 1))


def test_a_file_that_vanishes_while_its_frames_wait_is_skipped(tmp_path, caplog):
    make_ramps(tmp_path / "ramps", [320, 320])
    dataset = make(tmp_path / "ramps", shuffle=False)
    frames = iter(dataset)
    first = [next(frames) for _ in range(2)]
    (tmp_path / "ramps" / "ramp_000.wav").unlink()
    rest = samples(list(frames))
    assert samples(first) == list(range(1, 65))
    assert rest == list(range(321, 641))
    assert told(caplog) == [f"skipped {tmp_path}/ramps/ramp_000.wav: No such file or directory"]


def test_damage_is_warned_of_once(tmp_path, caplog):
    data = make_mp3(tmp_path / "a.mp3", 2 * RATE).read_bytes()
    (tmp_path / "a.mp3").write_bytes(data[:9_000] + bytes(999) + data[9_000:])
    dataset = StreamingAudioDataset(tmp_path, samples_per_frame=10_000)
    for _ in range(2):
        assert len(list(dataset)) >= 8
    assert told(caplog) == [f"{tmp_path}/a.mp3: 999 bytes inside are not audio packets; the rest is read"]


def test_silence_for_what_cannot_be_decoded_is_warned_of_once(tmp_path, caplog):
    path = tmp_path / "a.flac"
    soundfile.write(path, music(3 * RATE), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2_000] = bytes(2_000)
    path.write_bytes(data)
    dataset = StreamingAudioDataset(tmp_path, samples_per_frame=20_000, shuffle=False)
    assert len(list(dataset)) == len(list(dataset)) == 7
    (message,) = told(caplog)
    assert re.match(rf"{path}: \d+ samples from \d+ on cannot be decoded and are silent", message)


def test_a_bad_file_is_warned_of_once_however_it_fails(tmp_path, caplog):
    make_ramps(tmp_path / "ramps", [300, 320])
    dataset = make(tmp_path / "ramps", shuffle=False)
    frames = iter(dataset)
    next(frames)
    (tmp_path / "ramps" / "ramp_000.wav").unlink()
    list(frames)
    (tmp_path / "ramps" / "ramp_000.wav").write_bytes(b"no audio")
    list(dataset)
    assert len(told(caplog)) == 1


@pytest.mark.parametrize("on_error", ["skip", "raise"])
@pytest.mark.parametrize("what", ["skip", "raise"])
def test_other_rates_can_be_left_out(tmp_path, what, on_error, caplog):
    make_ramp(tmp_path / "a.wav", 1, 100)
    make_ramp(tmp_path / "b.wav", 500, 100, rate=48_000)
    dataset = make(tmp_path, on_other_rate=what, on_error=on_error)
    if what == "raise":
        with pytest.raises(AudioFileError, match=r"b.wav: its sample rate is 48000 Hz and not sr=44100"):
            list(dataset)
    else:
        assert sorted(samples(list(dataset))) == list(range(1, 101))
        assert len(told(caplog)) == 1


# Resume


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("handed_out", [0, 1, 7, 21])
def test_a_state_goes_on_where_it_was_taken(ramps, handed_out, threads):
    folder, _ = ramps
    dataset = make(folder, decode_threads=threads)
    list(dataset)
    frames = iter(dataset)
    for _ in range(handed_out):
        next(frames)
    state = json.loads(json.dumps(dataset.state_dict()))
    assert len(json.dumps(state)) < 1_000
    rest, following = [frame.tolist() for frame in frames], [frame.tolist() for frame in dataset]
    resumed = make(folder)
    resumed.load_state_dict(state)
    assert [frame.tolist() for frame in resumed] == rest
    assert [frame.tolist() for frame in resumed] == following


def test_resuming_decodes_nothing_that_was_handed_out(ramps, monkeypatch):
    dataset = make(ramps[0])
    frames = iter(dataset)
    for _ in range(10):
        next(frames)
    state, rest = dataset.state_dict(), len(list(frames))
    resumed, decoded = make(ramps[0]), []
    decode = resumed.reader.decoded
    monkeypatch.setattr(resumed.reader, "decoded", lambda work: decoded.append(work) or decode(work))
    resumed.load_state_dict(state)
    assert len(list(resumed)) == len(decoded) == rest


def test_before_the_first_frame_the_state_is_the_start_of_the_next_epoch(ramps):
    dataset = make(ramps[0])
    assert (dataset.state_dict()["epoch"], dataset.state_dict()["handed_out"]) == (0, 0)
    dataset.set_epoch(4)
    resumed = make(ramps[0])
    resumed.load_state_dict(dataset.state_dict())
    assert [frame.tolist() for frame in resumed] == [frame.tolist() for frame in dataset]


def test_a_state_that_was_loaded_is_the_state_until_iteration_begins(ramps):
    dataset = make(ramps[0])
    frames = iter(dataset)
    for _ in range(5):
        next(frames)
    resumed = make(ramps[0])
    resumed.load_state_dict(dataset.state_dict())
    assert resumed.state_dict() == dataset.state_dict()


def test_a_state_that_does_not_fit_is_refused_with_what_differs(ramps, tmp_path):
    folder, _ = ramps
    dataset = make(folder)
    next(iter(dataset))
    state = dataset.state_dict()
    with pytest.raises(StateError, match="seed was 0 and is 1"):
        make(folder, seed=1).load_state_dict(state)
    make_ramps(tmp_path / "other", [10])
    with pytest.raises(StateError, match="num_files was 10 and is 1"):
        make(tmp_path / "other").load_state_dict(state)
    with pytest.raises(StateError, match="world_size was 1 and is 2; rank was 0 and is 1"):
        make(folder, rank=1, world_size=2).load_state_dict(state)
    with pytest.raises(StateError, match="epoch is missing"):
        make(folder).load_state_dict({name: value for name, value in state.items() if name != "epoch"})
    other = make(folder)
    other.load_state_dict(state)
    with pytest.raises(StateError, match="num_workers was 1 and is 2 .a loader's state is loaded into a loader"):
        list(DataLoader(other, num_workers=2))


# Without end


@pytest.mark.parametrize("num_workers", [0, 2])
def test_repeat_goes_on_with_the_next_epoch(ramps, num_workers):
    folder, total = ramps
    finite = make(folder)
    expected = [sorted(samples(list(DataLoader(finite, num_workers=num_workers)))) for _ in range(3)]
    assert expected == [list(range(1, total + 1))] * 3
    counts = Counter()
    for batch in DataLoader(make(folder, repeat=True), num_workers=num_workers):
        counts.update(samples([batch]))
        if min(counts.values()) >= 3 and len(counts) == total:
            break
    assert set(counts) == set(range(1, total + 1))
    assert max(counts.values()) <= 6


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_repeat_with_nothing_to_emit_is_an_error_and_no_endless_loop(tmp_path, num_workers, shuffle):
    make_ramps(tmp_path / "short", [5, 6, 7])
    dataset = make(tmp_path / "short", repeat=True, framing="drop", shuffle=shuffle)
    with pytest.raises(NoReadableFileError, match="epochs in a row gave no frame to worker"):
        list(DataLoader(dataset, num_workers=num_workers))


def test_repeat_with_more_workers_than_files_leaves_some_idle(tmp_path):
    total = make_ramps(tmp_path / "two", [40, 50])
    batches = iter(DataLoader(make(tmp_path / "two", repeat=True), num_workers=4))
    assert set(samples([next(batches) for _ in range(40)])) == set(range(1, total + 1))


def test_repeat_with_more_ranks_than_files_is_refused(tmp_path):
    make_ramps(tmp_path / "two", [40, 50])
    with pytest.raises(OptionError, match="rank 3 of 4 gets none of 2 files"):
        list(make(tmp_path / "two", repeat=True, rank=3, world_size=4))


def train_as_rank(rank, dataset, folder, num_workers, context):
    """A rank that is spawned with a dataset which was made before there were ranks."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    start = {"multiprocessing_context": context, "persistent_workers": context == "spawn"} if num_workers else {}
    loader = DataLoader(dataset, num_workers=num_workers, **start)
    torch.save([samples(list(loader)) for _ in range(3)], f"{folder}/{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("num_workers", "context"), [(0, None), (2, "fork"), pytest.param(2, "spawn", marks=pytest.mark.slow)]
)
def test_ranks_spawned_with_a_dataset_share_its_files_and_not_its_epochs(ramps, tmp_path, num_workers, context):
    folder, total = ramps
    torch.multiprocessing.spawn(train_as_rank, (make(folder), str(tmp_path), num_workers, context), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for epoch in range(3):
        assert sorted(ranks[0][epoch] + ranks[1][epoch]) == list(range(1, total + 1))


def test_repeat_gives_the_epochs_in_order(ramps):
    folder, _ = ramps
    finite, endless = make(folder), iter(make(folder, repeat=True))
    for _ in range(3):
        assert all(torch.equal(frame, next(endless)) for frame in finite)


# Small


def test_the_shuffle_buffer_holds_no_audio(mp3):
    dataset = StreamingAudioDataset(mp3, samples_per_frame=100, shuffle_buffer_size=1_000_000)
    import tracemalloc

    tracemalloc.start()
    next(iter(dataset))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    frames = 12 * RATE // 100
    assert peak < 3_000_000 + frames * 300


class Shard(torch.utils.data.IterableDataset):
    """A sharding by ranks around a dataset, with the attributes of transformers' IterableDatasetShard."""

    def __init__(self, dataset, process_index):
        self.dataset, self.batch_size, self.num_processes, self.process_index = dataset, 2, 2, process_index

    def __iter__(self):
        return (frame for place, frame in enumerate(self.dataset) if place // 2 % 2 == self.process_index)


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_notice_a_sharding_around_their_dataset(ramps, monkeypatch, context):
    folder, num_samples = ramps
    monkeypatch.setenv("WORLD_SIZE", "2")
    seen = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        loader = DataLoader(Shard(make(folder), rank), batch_size=None, num_workers=2, multiprocessing_context=context)
        seen += [sample for frame in loader for sample in frame[0].tolist() if sample]
    assert sorted(seen) == list(range(1, num_samples + 1))
