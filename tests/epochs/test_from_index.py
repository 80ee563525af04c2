"""What a dataset promises with an index: one order for all ranks and workers, equal counts, any place at once."""

import json
import os
import pickle
import textwrap
from collections import Counter
from itertools import chain, zip_longest

import pytest
import torch
from builders import RATE, make_mp3, make_ramps, make_wav, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import run_ranks
from torch.utils.data import DataLoader

from flowmo_data import (
    AudioFileError,
    AudioIndex,
    FilesError,
    NoReadableFileError,
    OptionError,
    ResumableDataLoader,
    SampleRateError,
    StateError,
    StreamingAudioDataset,
)
from flowmo_data.epochs.sharding import worker_quotas

pytest.importorskip("pyarrow", reason="the extra index is not installed")

LENGTHS = [50, 7, 200, 1, 64, 129, 31, 32, 33, 96]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexed") / "ramps"
    make_ramps(folder, LENGTHS)
    return AudioIndex.build(folder)


def make(index, **options):
    given = {"samples_per_frame": 16, "channels": 1, "shuffle_buffer_size": 5, "decoder": "soundfile"}
    return StreamingAudioDataset(index, **{**given, **options})


def load(index, num_workers=0, *, batch_size=3, loader=None, **options):
    return ResumableDataLoader(make(index, **options), batch_size=batch_size, num_workers=num_workers, **(loader or {}))


def lists(batches):
    return [batch.tolist() for batch in batches]


def global_batches(index, world_size, num_workers, batch_size, epochs=1, **options):
    """The batches of all ranks together, each as the sorted frames in it, epoch by epoch."""
    ranks = [
        load(index, num_workers, batch_size=batch_size, rank=rank, world_size=world_size, **options)
        for rank in range(world_size)
    ]
    return [[sorted(chain(*batch)) for batch in zip_longest(*map(lists, ranks), fillvalue=())] for _ in range(epochs)]


@pytest.mark.parametrize("buffer_size", [None, 5, 1_000])
@pytest.mark.parametrize("framing", ["pad", "drop"])
def test_every_sample_comes_once(index, buffer_size, framing):
    dataset = make(index, shuffle_buffer_size=buffer_size, framing=framing)
    seen = []
    for _ in range(2):
        frames = list(dataset)
        assert len(frames) == len(dataset)
        values = [value for frame in frames for value in frame[0].tolist() if value]
        assert len(set(values)) == len(values)
        if framing == "pad":
            assert sorted(values) == list(range(1, sum(LENGTHS) + 1))
        else:
            assert len(values) == 16 * len(frames)
        seen.append([frame.tolist() for frame in frames])
    assert seen[0] != seen[1]


@pytest.mark.parametrize("buffer_size", [None, 5])
def test_the_sequence_of_global_batches_is_the_same_for_all_ranks_and_workers(index, buffer_size):
    expected = global_batches(index, 1, 0, 12, epochs=2, shuffle_buffer_size=buffer_size)
    assert expected[0] != expected[1]
    for world_size, num_workers in [(1, 1), (1, 3), (2, 0), (2, 2), (4, 0), (4, 3), (3, 2)]:
        got = global_batches(
            index, world_size, num_workers, 12 // world_size, epochs=2, shuffle_buffer_size=buffer_size
        )
        for batches, right in zip(got, expected, strict=True):
            whole = len(right) - 1  # the remainder of the last batch may be left out
            assert batches[:whole] == right[:whole]


def test_batches_of_the_dataset_and_of_the_resumable_loader_come_in_one_order(index):
    expected = lists(DataLoader(make(index), batch_size=4))
    for num_workers in (0, 1, 2, 3):
        in_place = DataLoader(make(index, batch_size=4), batch_size=None, num_workers=num_workers)
        assert lists(in_place) == expected
        assert lists(ResumableDataLoader(make(index), batch_size=4, num_workers=num_workers)) == expected


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_the_workers_of_a_plain_dataloader_take_turns_frame_by_frame(index, num_workers):
    order = lists(make(index))
    quotas, given = worker_quotas(len(order), num_workers), [[] for _ in range(num_workers)]
    for number in range(max(quotas)):
        for worker in range(num_workers):
            if number < quotas[worker]:
                given[worker].append(order[sum(map(len, given))])
    batches = [[frames[start : start + 4] for start in range(0, len(frames), 4)] for frames in given]
    expected = [batch for together in zip_longest(*batches) for batch in together if batch is not None]
    assert lists(DataLoader(make(index), batch_size=4, num_workers=num_workers)) == expected


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    world_size=st.integers(1, 7), num_workers=st.integers(1, 4), batch_size=st.integers(1, 9),
    remainder=st.sampled_from(["drop", "repeat"]), begin=st.integers(0, 60),
)  # fmt: skip
def test_shards_partition_the_places(index, world_size, num_workers, batch_size, remainder, begin):
    from flowmo_data.epochs.progress import Progress
    from flowmo_data.epochs.sharding import Shard

    stream = make(index, remainder=remainder).stream
    progress = Progress(0, 0, min(begin, stream.frames_per_epoch))
    left = stream.frames_per_epoch - progress.begin
    ranks = []
    for rank in range(world_size):
        shards = [Shard(rank, world_size, worker, num_workers) for worker in range(num_workers)]
        places = [list(stream._places(progress, shard, batch_size)) for shard in shards]
        ranks.append(sorted(chain(*places)))
        short = [len(each) % batch_size for each in places if len(each) % batch_size]
        assert len(short) <= 1
    assert len({len(places) for places in ranks}) == 1
    total = sorted(chain(*ranks))
    expected = left // world_size * world_size if remainder == "drop" else -(-left // world_size) * world_size
    assert total == list(range(progress.begin, progress.begin + expected))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
@pytest.mark.parametrize("remainder", ["drop", "repeat"])
def test_lengths_are_exact(index, num_workers, drop_last, remainder):
    options = {"rank": 1, "world_size": 3, "remainder": remainder}
    loader = DataLoader(make(index, **options), batch_size=4, num_workers=num_workers, drop_last=drop_last)
    for _ in range(2):
        batches = list(loader)
        assert len(batches) == len(loader)
        assert all(len(batch) == 4 for batch in batches[:-1])
    in_place = DataLoader(make(index, batch_size=4, **options), batch_size=None, num_workers=num_workers)
    assert len(list(in_place)) == len(in_place)


def test_ranks_have_equally_many_frames(index):
    total = len(make(index))
    for world_size in (1, 2, 3, 5, 7):
        dropped = [len(list(make(index, rank=rank, world_size=world_size))) for rank in range(world_size)]
        assert dropped == [total // world_size] * world_size
        repeated = [
            len(list(make(index, rank=rank, world_size=world_size, remainder="repeat"))) for rank in range(world_size)
        ]
        assert repeated == [-(-total // world_size)] * world_size


def test_without_an_index_lengths_are_unknown(index):
    dataset = StreamingAudioDataset(index.root, samples_per_frame=16)
    with pytest.raises(TypeError, match="index them .flowmo-data index."):
        len(dataset)
    assert dataset
    with pytest.raises(TypeError, match="repeat=True: the stream has no end"):
        len(make(index, repeat=True))
    with pytest.raises(OptionError, match="shuffle_buffer_size=None shuffles all frames .*needs an index"):
        StreamingAudioDataset(index.root, shuffle_buffer_size=None)


def test_an_index_is_given_as_a_path_or_as_itself(index, tmp_path):
    index.save(tmp_path / "i.parquet")
    frames = [frame.tolist() for frame in make(index)]
    assert [frame.tolist() for frame in make(tmp_path / "i.parquet")] == frames
    assert [frame.tolist() for frame in make(str(tmp_path / "i.parquet"))] == frames
    assert [frame.tolist() for frame in pickle.loads(pickle.dumps(make(index)))] == frames


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_workers_of_every_kind(index, context):
    loader = DataLoader(make(index, batch_size=4), batch_size=None, num_workers=2, multiprocessing_context=context)
    assert lists(loader) == lists(DataLoader(make(index), batch_size=4))


@pytest.mark.parametrize("threads", [0, 2])
def test_frames_are_those_of_the_files(tmp_path, threads):
    for number in range(3):
        make_mp3(tmp_path / f"{number}.mp3", 40_000 + 31_000 * number, seed=number)
    make_wav(tmp_path / "a.wav", 30_000, rate=48_000)
    options = {"shuffle": False, "samples_per_frame": 20_000, "return_info": True, "decode_threads": threads}
    indexed = list(StreamingAudioDataset(AudioIndex.build(tmp_path), **options))
    for one, other in zip(indexed, StreamingAudioDataset(tmp_path, **options), strict=True):
        assert torch.equal(one.pop("audio"), other.pop("audio"))
        assert one.pop("seed") >= 0 <= other.pop("seed")  # they follow from the place in the order, and from the file
        assert one == other


# Resume


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize(
    ("before", "after"), [((1, 0, 12), (1, 2, 12)), ((4, 0, 3), (2, 0, 6)), ((2, 3, 6), (4, 1, 3))]
)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_run_goes_on_with_other_ranks_and_workers(index, before, after, steps, repeat):
    """World size, workers and batch size before and after."""
    options = {"repeat": repeat, "shuffle_buffer_size": None}

    def ranks(world_size, num_workers, batch_size):
        given = [{"rank": rank, "world_size": world_size} for rank in range(world_size)]
        return [load(index, num_workers, batch_size=batch_size, **each, **options) for each in given]

    def together(loaders, number):
        iterators = [iter(loader) for loader in loaders]
        batches = [[batch.tolist() for batch, _ in zip(each, range(number))] for each in iterators]  # noqa: B905
        return [sorted(chain(*batch)) for batch in zip(*batches, strict=True)]

    number = 9 if repeat else 3  # of some 4 batches an epoch
    expected = together(ranks(1, 0, 12), steps + number)
    first = ranks(*before)
    iterators = [iter(loader) for loader in first]
    seen = [sorted(chain(*[next(each).tolist() for each in iterators])) for _ in range(steps)]
    (state,) = {json.dumps(loader.state_dict()) for loader in first}  # the same on all ranks
    assert len(state) < 1_000
    later = ranks(*after)
    for loader in later:
        loader.load_state_dict(json.loads(state))
        assert json.dumps(loader.state_dict()) == state
    got = seen + together(later, number)
    whole = len(expected) if repeat else min(len(expected), 3)
    assert got[:whole] == expected[:whole]


@pytest.mark.parametrize(("num_workers", "persistent"), [(0, False), (2, False), (2, True)])
@pytest.mark.parametrize("steps", [0, 1, 5, -1])
def test_resuming_equals_the_uninterrupted_run(index, num_workers, steps, persistent):
    options = {"loader": {"persistent_workers": persistent}}
    whole = load(index, num_workers, **options)
    first, second, third = lists(whole), lists(whole), lists(whole)
    steps = len(second) if steps == -1 else steps
    loader = load(index, num_workers, **options)
    list(loader)
    if steps:
        for step, _ in enumerate(loader, 1):
            if step == steps:
                break
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = load(index, num_workers, **options)
    resumed.load_state_dict(state)
    assert lists(resumed) == second[steps:]
    assert lists(resumed) == third
    assert first != second


@pytest.mark.parametrize(("batch_size", "num_workers"), [(4, 2), (64, 2), (20, 4)])
@pytest.mark.parametrize("left", [1, 2, None])
def test_an_endless_stream_goes_on_though_an_epoch_has_nothing_for_a_worker(index, batch_size, num_workers, left):
    options = {"repeat": True, "shuffle": False}
    frames = make(index, **options).frames_per_epoch
    begin = 0 if left is None else frames - left
    loader = load(index, num_workers, batch_size=batch_size, **options)
    loader.load_state_dict({**loader.state_dict(), "frames": begin})
    order = [frame.tolist() for frame in make(index, shuffle=False)]
    got = [frame for batch, _ in zip(loader, range(5)) for frame in batch.tolist()]  # noqa: B905
    assert got == [order[(begin + place) % frames] for place in range(5 * batch_size)]


def test_a_state_of_a_worker_is_refused_by_others(index):
    dataset = make(index, rank=0, world_size=4, batch_size=3)
    frames = iter(DataLoader(dataset, batch_size=None))
    next(frames)
    state = json.loads(json.dumps(dataset.state_dict()))
    assert state["frames_per_turn"] == 3
    with pytest.raises(StateError, match="world_size was 4 and is 2"):
        make(index, rank=0, world_size=2, batch_size=3).load_state_dict(state)
    with pytest.raises(StateError, match="frames_per_turn was 3 and is 2"):
        make(index, rank=0, world_size=4, batch_size=2).load_state_dict(state)
    resumed = make(index, rank=0, world_size=4, batch_size=3)
    resumed.load_state_dict(state)
    assert lists(DataLoader(resumed, batch_size=None)) == lists(frames)


def test_too_few_frames_for_the_ranks_are_an_error(index):
    with pytest.raises(OptionError, match="frames are too few for 1000 ranks"):
        list(make(index, rank=0, world_size=1_000))


def test_an_index_among_other_files_is_refused():
    with pytest.raises(FilesError, match="an index cannot be part of a list; give its path"):
        StreamingAudioDataset(["a.parquet"])


@pytest.mark.parametrize("step_ns", [100, 1_000, 10_000_000, 1_000_000_000, 2_000_000_000, 1 << 62])
@pytest.mark.parametrize("make_file", [make_mp3, make_wav])
def test_a_copy_with_coarser_or_other_times_is_the_same_corpus(tmp_path, caplog, step_ns, make_file):
    dataset = changed(tmp_path, make_file)
    for path in list(tmp_path.iterdir()):
        time = path.stat().st_mtime_ns // step_ns * step_ns
        os.utime(path, ns=(time, time))
    assert len(list(dataset)) == len(dataset)
    assert not caplog.records


def test_files_that_were_swapped_are_not_the_same_corpus(tmp_path, caplog):
    make_wav(tmp_path / "a.wav", 60_000, seed=1)
    make_wav(tmp_path / "b.wav", 60_000, seed=2)
    index = AudioIndex.build(tmp_path)
    make_wav(tmp_path / "b.wav", 60_000, seed=3)
    streamed = StreamingAudioDataset(index, samples_per_frame=10_000, return_info=True)
    assert {os.path.basename(frame["path"]) for frame in streamed} == {"a.wav"}
    assert "b.wav: changed since it was indexed (" in caplog.records[0].message


def test_a_state_of_another_corpus_or_seed_is_refused(index, tmp_path):
    state = load(index).state_dict()
    with pytest.raises(StateError, match="seed was 0 and is 1"):
        load(index, seed=1).load_state_dict(state)
    make_ramps(tmp_path / "other", [50, 60])
    with pytest.raises(StateError, match="num_files was 10 and is 2"):
        load(AudioIndex.build(tmp_path / "other")).load_state_dict(state)
    with pytest.raises(StateError, match="index was None|index was .* and is"):
        load(index).load_state_dict(load(index.root).state_dict())


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's own
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("steps", [1, 5])
def test_torchdatas_loader_resumes_too(index, num_workers, steps):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed; it is optional")

    def loader():
        return stateful.StatefulDataLoader(make(index), batch_size=3, num_workers=num_workers)

    whole = loader()
    first, second = lists(whole), lists(whole)
    assert first == lists(DataLoader(make(index), batch_size=3, num_workers=num_workers))
    interrupted = loader()
    for step, _ in enumerate(interrupted, 1):
        if step == steps:
            break
    resumed = loader()
    resumed.load_state_dict(interrupted.state_dict())
    assert lists(resumed) == first[steps:]
    assert lists(resumed) == second


TRAIN = """
    import json, sys
    import torch.distributed as dist
    from flowmo_data import ResumableDataLoader, StreamingAudioDataset

    dist.init_process_group("gloo")
    index, out, num_workers, batch_size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    dataset = StreamingAudioDataset(index, samples_per_frame=16, channels=1, shuffle_buffer_size=None)
    loader = ResumableDataLoader(dataset, batch_size=batch_size, num_workers=num_workers)
    epochs = [[batch.tolist() for batch in loader] for _ in range(2)]
    assert all(len(epoch) == len(loader) for epoch in epochs)
    with open(f"{out}/{dist.get_rank()}.json", "w") as file:
        json.dump(epochs, file)
    dist.barrier()
    dist.destroy_process_group()
"""


@pytest.mark.parametrize(("world_size", "num_workers"), [(2, 2), (4, 0)])
def test_torchrun_gives_the_same_global_batches(index, tmp_path, world_size, num_workers):
    index.save(tmp_path / "i.parquet")
    (tmp_path / "train.py").write_text(textwrap.dedent(TRAIN))
    arguments = [tmp_path / "train.py", tmp_path / "i.parquet", tmp_path, num_workers, 12 // world_size]
    done = run_ranks(world_size, *arguments)
    assert done.returncode == 0, done.stderr
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(world_size)]
    expected = global_batches(index, 1, 0, 12, epochs=2, shuffle_buffer_size=None)
    for epoch in range(2):
        got = [sorted(chain(*batch)) for batch in zip(*(rank[epoch] for rank in ranks), strict=True)]
        assert got[:-1] == expected[epoch][: len(got) - 1]


# Files that are not as they were


SUFFIXES = {make_mp3: ".mp3", make_wav: ".wav"}


def changed(tmp_path, make_file=make_mp3, **options):
    for number in range(4):
        make_file(tmp_path / f"{number}{SUFFIXES[make_file]}", 50_000, seed=number)
    index = AudioIndex.build(tmp_path)
    return StreamingAudioDataset(index, samples_per_frame=10_000, return_info=True, **options)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_stale_file_is_named_and_gives_no_audio(tmp_path, caplog, threads, batch_size):
    dataset = changed(tmp_path, decode_threads=threads, batch_size=batch_size)
    make_mp3(tmp_path / "1.mp3", 60_000, seed=9)
    (tmp_path / "2.mp3").unlink()
    items = list(dataset)
    paths = [item["path"] for item in items] if batch_size is None else list(chain(*(item["path"] for item in items)))
    assert {os.path.basename(path) for path in paths} == {"0.mp3", "3.mp3"}
    assert len(items) == len(dataset)  # others come in their place, so that ranks have equally many
    messages = sorted(told(caplog))
    assert len(messages) == 2
    assert "1.mp3: changed since it was indexed (" in messages[0]
    assert "; run flowmo-data index again" in messages[0]
    assert "2.mp3: No such file or directory" in messages[1]


def test_a_file_that_changed_behind_its_times_gives_no_audio(tmp_path, caplog):
    dataset = changed(tmp_path)
    path = tmp_path / "1.mp3"
    status, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:2_000] + bytes(1) + data[2_000:-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "1.mp3" not in {os.path.basename(item["path"]) for item in dataset}
    assert "1.mp3: it is not the file that was indexed (packets 0 to " in caplog.records[0].message


def test_a_stale_file_is_raised_where_that_is_wanted(tmp_path):
    dataset = changed(tmp_path, on_error="raise")
    (tmp_path / "2.mp3").unlink()
    with pytest.raises(AudioFileError, match=r"2.mp3: No such file or directory"):
        list(dataset)


def test_a_corpus_that_is_gone_is_an_error(tmp_path):
    dataset = changed(tmp_path)
    for number in range(4):
        (tmp_path / f"{number}.mp3").unlink()
    with pytest.raises(
        NoReadableFileError,
        match="100 substitutes for a frame could not be read either; the last error: .*mp3: No such file",
    ):
        list(dataset)


@pytest.mark.parametrize("shuffle", [False, True])
def test_without_shuffling_all_epochs_have_the_same_substitutes(index, shuffle):
    dataset = StreamingAudioDataset(
        index, samples_per_frame=16, channels=1, shuffle=shuffle, return_info=True,
        transform=lambda item: item["path"] if item["num_valid"] == 16 else None,
    )  # fmt: skip
    one, other = list(dataset), list(dataset)
    assert dataset.report().rejected > 0
    assert (one == other) == (not shuffle)


def test_bad_files_are_told_by_one_worker(tmp_path, caplog):
    make_wav(tmp_path / "a.wav", 30_000)
    (tmp_path / "bad.mp3").write_bytes(b"text " * 100)
    make_wav(tmp_path / "c.wav", 30_000, rate=48_000)
    index = AudioIndex.build(tmp_path)
    dataset = make(index, on_other_rate="skip", samples_per_frame=10_000)
    assert len(list(dataset)) == len(list(dataset)) == len(dataset)
    assert [message.split("/")[-1].split(":")[0] for message in told(caplog)] == ["bad.mp3", "c.wav"]
    caplog.clear()
    list(make(index, on_other_rate="skip", samples_per_frame=10_000, rank=1, world_size=2))
    assert not caplog.records
    with pytest.raises(AudioFileError, match="bad.mp3: no MPEG audio packets"):
        list(make(index, on_error="raise"))
    with pytest.raises(SampleRateError, match="c.wav: its sample rate is 48000 Hz"):
        list(make(index, on_other_rate="raise"))


def test_an_index_without_frames_is_an_error(tmp_path):
    (tmp_path / "bad.mp3").write_bytes(b"text " * 100)
    index = AudioIndex.build(tmp_path)
    assert len(make(index)) == 0
    with pytest.raises(NoReadableFileError, match="no frame in any of 1 files of the index"):
        list(make(index))
    with pytest.raises(OptionError, match="0 frames are too few for 1 ranks"):
        next(iter(make(index, repeat=True)))


def test_damage_inside_is_told(tmp_path, caplog):
    data = make_mp3(tmp_path / "a.mp3", 2 * RATE).read_bytes()
    (tmp_path / "a.mp3").write_bytes(data[:9_000] + bytes(999) + data[9_000:])
    dataset = StreamingAudioDataset(AudioIndex.build(tmp_path), samples_per_frame=10_000)
    list(dataset)
    assert told(caplog) == [f"{tmp_path}/a.mp3: 999 bytes inside are not audio packets; the rest is read"]


# Overlap, and a fixed part of the corpus


def valid_samples(item):
    """The samples of the ramps in a frame."""
    return item["audio"][0][item["audio"][0] > 0].tolist()


@pytest.mark.parametrize("hop", [3, 16, 24])
def test_every_sample_comes_as_often_as_hop_says(index, hop):
    given = {"samples_per_frame": 16, "hop": hop, "channels": 1, "seed": 5, "return_info": True}
    dataset = StreamingAudioDataset(index, **given)
    epochs = [list(dataset) for _ in range(4)]
    assert [len(epoch) for epoch in epochs] == [len(dataset)] * 4
    of_files = list(StreamingAudioDataset(index.root, **given))
    for epoch in (*epochs, of_files):
        samples = Counter(sample for item in epoch for sample in valid_samples(item))
        assert (len(samples) == sum(LENGTHS)) == (hop <= 16)
        assert max(samples.values()) == max(-(-16 // hop), 1)
    assert len({tuple(sorted(item["start"] for item in epoch)) for epoch in epochs}) == 4


def test_a_state_of_another_hop_does_not_fit(index):
    state = StreamingAudioDataset(index, samples_per_frame=16).state_dict()
    StreamingAudioDataset(index, samples_per_frame=16, hop=16).load_state_dict(state)
    with pytest.raises(StateError, match="hop was 16 and is 8"):
        StreamingAudioDataset(index, samples_per_frame=16, hop=8).load_state_dict(state)


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_limit_is_one_fixed_set_for_any_number_of_ranks(index, shuffle):
    def places(world_size, epoch):
        found = []
        for rank in range(world_size):
            dataset = StreamingAudioDataset(
                index, samples_per_frame=16, limit=12, shuffle=shuffle, return_info=True, rank=rank,
                world_size=world_size,
            )  # fmt: skip
            dataset.set_epoch(epoch)
            loader = DataLoader(dataset, batch_size=None)
            found.append([(item["path"], item["start"]) for item in loader])
            assert len(found[-1]) == len(dataset) == 12 // world_size
        return found

    alone = places(1, 0)[0]
    assert len(set(alone)) == 12
    assert {start % 16 for _, start in alone} == {0}
    assert list(chain(*zip(*places(4, 0), strict=True))) == alone
    assert sorted(places(1, 3)[0]) == sorted(alone)
    assert (places(1, 3)[0] == alone) == (not shuffle)
