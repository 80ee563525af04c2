"""What a mixture promises: true proportions, one order for all ranks and workers, and any place again."""

import copy
import json
import pickle
from collections import Counter
from itertools import chain, islice, zip_longest

import pytest
import torch
from builders import make_ramp, told
from torch.utils.data import DataLoader

from flowmo_data import (
    AudioFileError,
    AudioIndex,
    MixedAudioDataset,
    NoReadableFileError,
    OptionError,
    ResumableDataLoader,
    StateError,
    StreamingAudioDataset,
)
from flowmo_data.epochs import Progress, Shard, Span
from flowmo_data.epochs.from_index import IndexedStream

pytest.importorskip("pyarrow", reason="the extra index is not installed")

FILES = {"a": 5, "b": 8, "c": 20}
"""files of each set, of 160 samples each: ten frames without a phase"""
WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.2}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder for each set, and its index; every sample of a file is another number."""
    folder, indexes = tmp_path_factory.mktemp("mixed"), {}
    for first, (name, count) in enumerate(FILES.items(), 1):
        (folder / name).mkdir()
        for number in range(count):
            make_ramp(folder / name / f"{number}.wav", 1_000_000 * first + 1_000 * number + 1, 160)
        indexes[name] = AudioIndex.build(folder / name)
    return folder, indexes


def parts(corpus, *, files=False, **options):
    folder, indexes = corpus
    given = {
        "samples_per_frame": 16,
        "channels": 1,
        "shuffle_buffer_size": 50,
        "decoder": "soundfile",
        "framing": "drop",
    }
    return {
        name: StreamingAudioDataset(folder / name if files else indexes[name], **{**given, **options}) for name in FILES
    }


def make(corpus, *, files=False, weights=None, part=None, **options):
    return MixedAudioDataset(parts(corpus, files=files, **(part or {})), weights=weights or WEIGHTS, **options)


def load(corpus, num_workers=0, *, batch_size=8, loader=None, **options):
    return ResumableDataLoader(
        make(corpus, **options), batch_size=batch_size, num_workers=num_workers, **(loader or {})
    )


def lists(batches):
    return [batch.tolist() for batch in batches]


def names_of(batch):
    """The set of each frame of a batch, by its first sample."""
    return ["?abc"[int(frame[0, 0]) // 1_000_000] for frame in batch]


def ranks(corpus, world_size, num_workers, batch_size, **options):
    part = options.pop("part", {})
    return [
        load(
            corpus, num_workers, batch_size=batch_size, part={**part, "rank": rank, "world_size": world_size}, **options
        )
        for rank in range(world_size)
    ]


def together(loaders, number=None):
    """The batches of all ranks together, each as the frames in it in order."""
    batches = zip_longest(*(islice((batch.tolist() for batch in loader), number) for loader in loaders), fillvalue=[])
    return [list(chain(*batch)) for batch in batches]


# Proportions


@pytest.mark.parametrize(("batch_size", "world_size"), [(8, 1), (3, 2), (16, 1), (5, 2)])
def test_every_global_batch_has_its_shares_to_within_one_frame(corpus, batch_size, world_size):
    weights = {"a": 0.37, "b": 0.4, "c": 0.23}
    batches = together(ranks(corpus, world_size, 0, batch_size, weights=weights, stop="all"))
    assert len(batches) > 20
    for batch in batches[:-1]:
        counts = Counter(names_of(torch.tensor(batch)))
        assert all(abs(counts[name] - weights[name] * len(batch)) <= 1 for name in FILES)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_plain_loader_keeps_the_shares_in_every_batch_too(corpus, num_workers):
    """Its workers do not know the batch size, and take turns that most batch sizes divide."""
    loader = DataLoader(make(corpus), batch_size=8, num_workers=num_workers)
    batches = list(loader)
    assert len(batches) == len(loader)
    for batch in batches[:-1]:
        counts = Counter(names_of(batch))
        assert all(abs(counts[name] - weight * 8) <= 1 for name, weight in WEIGHTS.items())


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_report_has_the_frames_that_were_emitted(corpus, files, num_workers):
    mixture = make(corpus, files=files, part={"return_info": True})
    seen = Counter(chain(*(batch["dataset"] for batch in DataLoader(mixture, batch_size=8, num_workers=num_workers))))
    report = mixture.report()
    assert report.is_complete
    assert report.frames == dict(seen)
    assert sum(report.proportions.values()) == pytest.approx(1)
    assert all(abs(report.proportions[name] - weight) < 0.05 for name, weight in WEIGHTS.items())


def test_an_item_has_the_name_of_its_set(corpus):
    items = list(make(corpus, part={"return_info": True}))
    for item in items:
        assert list(item)[-1] == "dataset"
        assert item["dataset"] == names_of(item["audio"][None])[0]
        assert f"/{item['dataset']}/" in item["path"]
    assert torch.is_tensor(next(iter(make(corpus))))


def test_frames_are_those_of_the_sets_alone(corpus):
    mixture, alone = make(corpus), parts(corpus)
    for epoch in range(2):
        frames = list(mixture)
        for name, dataset in alone.items():
            dataset.set_epoch(epoch)
            own = [frame.tolist() for frame in frames if names_of(frame[None]) == [name]]
            if name == "a":  # the first to be used up: every frame once, in its own order
                assert own == [frame.tolist() for frame in dataset]
            elif epoch == 0:
                assert own == [frame.tolist() for frame in islice(dataset, len(own))]


# Ends


def test_first_goes_on_with_the_other_sets_in_the_next_epoch(corpus):
    mixture = make(corpus)
    frames = [frame.tolist() for _ in range(8) for frame in mixture]
    assert len(frames) == 8 * len(mixture)
    assert mixture.report(0).frames["a"] == len(parts(corpus)["a"])
    own = [frame for frame in frames if names_of(torch.tensor([frame])) == ["c"]]
    dataset = parts(corpus)["c"]
    assert own == [frame.tolist() for frame in islice(chain(dataset, dataset, dataset), len(own))]


def test_all_goes_through_every_set(corpus):
    mixture = make(corpus, stop="all")
    for epoch in range(2):
        frames = list(mixture)
        assert len(frames) == len(mixture)
        own = [frame.tolist() for frame in frames if names_of(frame[None]) == ["c"]]
        dataset = parts(corpus)["c"]
        dataset.set_epoch(epoch)
        assert own == [frame.tolist() for frame in dataset]
        assert mixture.report().frames["a"] > 2 * len(parts(corpus)["a"])


@pytest.mark.parametrize("files", [False, True])
def test_never_has_no_end(corpus, files):
    mixture = make(corpus, files=files, stop="never")
    frames = list(islice(mixture, 2_000))
    counts = Counter(chain(*(names_of(frame[None]) for frame in frames)))
    assert all(abs(counts[name] - weight * 2_000) < 2 for name, weight in WEIGHTS.items())
    own = [frame.tolist() for frame in frames if names_of(frame[None]) == ["a"]]
    dataset = parts(corpus, files=files)["a"]
    assert own == [frame.tolist() for _, frame in zip(own, (each for _ in range(50) for each in dataset), strict=False)]
    with pytest.raises(TypeError, match="stop='never'|is not known before"):
        len(mixture)


@pytest.mark.parametrize("stop", ["first", "all"])
@pytest.mark.parametrize("by", ["frame", "batch"])
def test_without_indexes_epochs_end_in_the_same_way(corpus, stop, by):
    part = {"batch_size": 4}
    mixture = make(corpus, files=True, stop=stop, by=by, part=part)
    batches = list(DataLoader(mixture, batch_size=None))
    counts, alone = mixture.report().frames, {name: len(list(each)) for name, each in parts(corpus, files=True).items()}
    if stop == "first":
        assert counts["a"] == alone["a"]
        assert counts["c"] < alone["c"]
    else:
        assert counts["c"] == alone["c"]
        assert counts["a"] > alone["a"]
    if by == "batch":
        assert all(len(set(names_of(batch))) == 1 for batch in batches)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("by", ["frame", "batch"])
@pytest.mark.parametrize("remainder", ["drop", "repeat"])
def test_ranks_are_equal_and_lengths_exact(corpus, world_size, by, remainder):
    loaders = ranks(corpus, world_size, 0, 4, by=by, part={"remainder": remainder})
    each = [lists(loader) for loader in loaders]
    assert len({len(batches) for batches in each}) == 1
    assert [len(loader) for loader in loaders] == [len(batches) for batches in each]
    assert len({len(batch) for batches in each for batch in batches[:-1]}) == 1
    if remainder == "drop":
        frames = [tuple(frame[0]) for batches in each for batch in batches for frame in batch]
        assert len(set(frames)) == len(frames)


# By batch


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_whole_batches_come_from_one_set(corpus, own, num_workers):
    if own:
        mixture = make(corpus, by="batch", part={"batch_size": 4})
        loader = DataLoader(mixture, batch_size=None, num_workers=num_workers)
    else:
        loader = load(corpus, num_workers, batch_size=4, by="batch")
    batches = list(loader)
    assert len(batches) == len(loader)
    names = [set(names_of(batch)) for batch in batches]
    assert {len(batch) for batch in batches} == {4}
    assert {len(each) for each in names} == {1}
    counts = Counter(chain(*names))
    assert all(abs(counts[name] - weight * len(batches)) <= 1 for name, weight in WEIGHTS.items())


def test_by_batch_needs_the_batch_size(corpus):
    with pytest.raises(OptionError, match="by='batch': the batch size is not known here; give all sets batch_size="):
        next(iter(DataLoader(make(corpus, by="batch"), batch_size=4)))
    with pytest.raises(OptionError, match="by='batch': give all sets batch_size=, .* or indexes"):
        make(corpus, files=True, by="batch")
    with pytest.raises(OptionError, match="a: an epoch of .* frames has no batch of 1000"):
        next(iter(load(corpus, by="batch", batch_size=1_000)))


# Ranks, workers and resuming


def test_100_000_draws_of_5_sets_are_the_same_for_4_ranks_of_2_workers_and_for_1(tmp_path, monkeypatch):
    """Spans, without their files and not decoded, through the machinery of the datasets."""
    monkeypatch.setattr(IndexedStream, "span", lambda stream, place, epoch: Span(*stream.plan(epoch)[place], 0, place))
    sets, weights = {}, {"a": 0.4, "b": 0.3, "c": 0.15, "d": 0.1, "e": 0.05}
    for number, name in enumerate(weights):
        (tmp_path / name).mkdir()
        for file in range(3 + number):
            make_ramp(tmp_path / name / f"{file}.wav", 1, 1_000 + 100 * file)
        sets[name] = AudioIndex.build(tmp_path / name)

    def spans(rank, world_size, worker, num_workers, batch_size, count):
        datasets = {
            name: StreamingAudioDataset(index, samples_per_frame=16, shuffle_buffer_size=None, batch_size=batch_size)
            for name, index in sets.items()
        }
        mixture = MixedAudioDataset(datasets, weights=weights, stop="never")
        for each in islice(mixture.spans(Progress(0, 0), Shard(rank, world_size, worker, num_workers)), count):
            yield each.which, each.epoch, each.span

    whole = list(spans(0, 1, 0, 1, 32, 100_000))
    turns = {}
    for rank in range(4):
        for worker in range(2):
            own = spans(rank, 4, worker, 2, 8, 12_500)
            for turn in range(12_500 // 8 + 1):
                turns[2 * turn + worker, rank] = list(islice(own, 8))
    divided = list(chain(*(turns[key] for key in sorted(turns))))
    short = 100_000 - 32  # the last turns are not all whole
    assert divided[:short] == whole[:short]
    counts = Counter(which for which, *_ in whole)
    assert all(abs(counts[which] - weight * 100_000) <= 1 for which, weight in enumerate(weights.values()))


@pytest.mark.parametrize(("world_size", "num_workers", "batch_size"), [(2, 0, 6), (4, 2, 3), (1, 3, 12)])
def test_global_batches_are_the_same_for_any_ranks_and_workers(corpus, world_size, num_workers, batch_size):
    expected = together(ranks(corpus, 1, 0, 12))
    got = together(ranks(corpus, world_size, num_workers, batch_size))
    assert got[: len(expected) - 1] == expected[:-1]


@pytest.mark.parametrize("by", ["frame", "batch"])
@pytest.mark.parametrize("stop", ["first", "never"])
@pytest.mark.parametrize(("before", "after"), [((1, 0), (1, 2)), ((4, 0), (2, 0)), ((2, 2), (4, 0))])
def test_a_run_goes_on_with_other_ranks_and_workers(corpus, before, after, by, stop):
    """World size and workers before and after. By frame, the batch size changes too."""
    size = {world_size: 4 if by == "batch" else 12 // world_size for world_size in (1, 2, 4)}
    steps = 2
    first = ranks(corpus, *before, size[before[0]], by=by, stop=stop)
    seen = together(first, steps)
    frames = steps * size[before[0]] * before[0]
    iterators = [iter(loader) for loader in first]
    for each in iterators:
        next(each)
    first = ranks(corpus, *before, size[before[0]], by=by, stop=stop)
    states = []
    for loader in first:
        for step, _ in enumerate(loader, 1):
            if step == steps:
                states.append(json.dumps(loader.state_dict()))
                break
    (state,) = set(states)  # the same on all ranks
    later = ranks(corpus, *after, size[after[0]], by=by, stop=stop)
    for loader in later:
        loader.load_state_dict(json.loads(state))
    rest = list(chain(*together(later, 2)))
    whole = ranks(corpus, 1, 0, 4 if by == "batch" else 12, by=by, stop=stop)
    expected = list(chain(*together(whole, 12)))
    assert list(chain(*seen)) == expected[:frames]
    assert rest == expected[frames : frames + len(rest)]
    assert len(rest) >= 8


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize(("num_workers", "persistent"), [(0, False), (2, False), (2, True)])
@pytest.mark.parametrize("stop", ["first", "all", "never"])
def test_resuming_equals_the_uninterrupted_run(corpus, files, num_workers, persistent, stop):
    options = {"files": files, "stop": stop, "loader": {"persistent_workers": persistent}}
    number = 30 if stop == "never" else None
    whole = load(corpus, num_workers, **options)
    epochs = [[batch.tolist() for batch in islice(whole, number)] for _ in range(1 if stop == "never" else 2)]
    loader = load(corpus, num_workers, **options)
    for _ in epochs[1:]:
        list(loader)
    for step, _ in enumerate(loader, 1):
        if step == 5:
            break
    state = json.loads(json.dumps(loader.state_dict()))
    assert len(json.dumps(state)) < 2_000
    resumed = load(corpus, num_workers, **options)
    resumed.load_state_dict(state)
    left = None if number is None else number - 5
    assert [batch.tolist() for batch in islice(resumed, left)] == epochs[-1][5:]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's own
@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_torchdatas_loader_resumes_too(corpus, files, num_workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed; it is optional")

    def loader(weights=None):
        return stateful.StatefulDataLoader(
            make(corpus, files=files, weights=weights), batch_size=4, num_workers=num_workers
        )

    first = lists(loader())
    interrupted = loader()
    for step, _ in enumerate(interrupted, 1):
        if step == 5:
            break
    resumed = loader({"a": 1, "b": 1, "c": 1})  # the state has the weights
    resumed.load_state_dict(interrupted.state_dict())
    assert lists(resumed) == first[5:]
    assert resumed.dataset.weights == WEIGHTS


@pytest.mark.parametrize("context", [pytest.param("spawn", marks=pytest.mark.slow), "forkserver"])
def test_workers_of_every_kind(corpus, context):
    loader = load(corpus, 2, loader={"multiprocessing_context": context}, part={"decode_threads": 2})
    assert lists(loader) == lists(load(corpus))


@pytest.mark.parametrize("by", ["frame", "batch"])
def test_batches_of_the_sets_are_decoded_in_place(corpus, by):
    own = make(corpus, by=by, part={"batch_size": 8, "return_info": True})
    theirs = load(corpus, by=by, part={"return_info": True})
    for one, other in zip(DataLoader(own, batch_size=None, num_workers=2), theirs, strict=True):
        assert torch.equal(one["audio"], other["audio"])
        assert one["dataset"] == other["dataset"]


def test_copies_are_mixtures_of_their_own(corpus):
    mixture = make(corpus)
    mixture.set_weights({"a": 1, "b": 1, "c": 1})
    for same in (copy.deepcopy(mixture), pickle.loads(pickle.dumps(mixture))):
        assert same.weights == {"a": 1, "b": 1, "c": 1}
        assert [frame.tolist() for frame in same] == [frame.tolist() for frame in mixture]
        mixture.set_epoch(0)


# Weights that change


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize(("num_workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_new_weights_count_from_the_next_epoch(corpus, files, num_workers, persistent):
    loader = load(corpus, num_workers, files=files, loader={"persistent_workers": persistent})
    before = Counter()
    for batch in loader:
        if not before:
            loader.dataset.set_weights({"a": 0, "b": 1, "c": 1})
        before.update(names_of(batch))
    unchanged = load(corpus, num_workers, files=files)
    assert before == Counter(chain(*(names_of(batch) for batch in unchanged)))
    after = Counter(chain(*(names_of(batch) for batch in loader)))
    assert after["a"] == 0
    assert abs(after["b"] - after["c"]) <= 2


def test_a_curriculum_is_in_the_state_and_repeats_no_frame(corpus):
    def run(loader, epochs):
        seen = []
        for epoch in epochs:
            loader.dataset.set_weights({"a": 1, "b": 1 + epoch, "c": 2})
            seen.append(lists(loader))
        return seen

    loader = load(corpus, stop="all")
    expected = run(loader, range(3))
    frames = [tuple(frame[0]) for epoch in expected[:2] for batch in epoch for frame in batch]
    assert max(Counter(frames).values()) <= 12  # sets begin epochs of their own, and cut points differ
    stopped = load(corpus, stop="all")
    run(stopped, range(1))
    stopped.dataset.set_weights({"a": 1, "b": 2, "c": 2})
    for step, _ in enumerate(stopped, 1):
        if step == 3:
            state = json.loads(json.dumps(stopped.state_dict()))
            break
    resumed = load(corpus, stop="all")
    resumed.load_state_dict(state)
    assert resumed.dataset.weights == {"a": 1, "b": 2, "c": 2}
    resumed.dataset.set_weights({"a": 1, "b": 3, "c": 2})  # of the epoch after the one that goes on
    assert lists(resumed) == expected[1][3:]
    assert lists(resumed) == expected[2]


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize(("num_workers", "threads"), [(0, 0), (2, 0), (2, 3), (0, 3)])
def test_without_an_end_new_weights_count_at_once(corpus, files, num_workers, threads):
    def run(state=None, *, until=40):
        loader = load(corpus, num_workers, files=files, stop="never", part={"decode_threads": threads})
        begin = 0
        if state is not None:
            loader.load_state_dict(state)
            begin = 12
        batches, states = [], {}
        for step, batch in enumerate(loader, begin + 1):
            batches.append(batch.tolist())
            if step == 10:
                loader.dataset.set_weights({"a": 0, "b": 1, "c": 1})
            states[step] = json.loads(json.dumps(loader.state_dict()))
            if step == until:
                return batches, states.get(12)
        raise AssertionError

    whole, state = run()
    ahead = 2 * num_workers + max(num_workers, 1) * -(-2 * threads // 8)  # prefetched, and decoded ahead
    if files:  # each worker has its own place, so that of the fastest counts for all
        ahead = (10 + 2 * num_workers + -(-2 * threads // 8)) * max(num_workers, 1)
    has_a = ["a" in names_of(torch.tensor(batch)) for batch in whole]
    assert all(has_a[:10])
    assert not any(has_a[10 + ahead :])
    assert has_a[10 : 10 + ahead] == [True] * min(ahead, 30) or files
    frames = [tuple(frame[0]) for batch in whole for frame in batch]
    again, _ = run()
    assert again == whole  # whatever the time
    resumed, _ = run(state)
    assert resumed == whole[12:]
    assert len(frames) == 320


def test_all_ranks_change_at_the_same_place(corpus):
    def run(world_size, num_workers, batch_size):
        loaders = ranks(corpus, world_size, num_workers, batch_size, stop="never")
        iterators, seen = [iter(loader) for loader in loaders], []
        for step in range(14):
            seen.append(list(chain(*[next(each).tolist() for each in iterators])))
            if step == 3:
                for loader in loaders:
                    loader.dataset.set_weights({"a": 0, "b": 1, "c": 0})
        return seen

    two = run(2, 2, 4)
    assert two == run(2, 2, 4)
    names = ["".join(sorted(set(names_of(torch.tensor(batch))))) for batch in two]
    assert names == ["abc"] * 8 + ["b"] * 6
    own = [tuple(frame[0]) for batch in two for frame in batch if 2_000_000 < frame[0][0] < 3_000_000]
    assert len(set(own)) == len(own)  # the ranks agree on what was taken


def test_weights_can_be_set_in_iteration_and_before(corpus):
    mixture = make(corpus, stop="never")
    mixture.set_weights({"a": 0, "b": 0, "c": 1})
    frames = iter(mixture)
    first = [names_of(next(frames)[None])[0] for _ in range(10)]
    mixture.set_weights({"a": 1, "b": 0, "c": 0})
    second = [names_of(next(frames)[None])[0] for _ in range(10)]
    assert (set(first), set(second)) == ({"c"}, {"a"})
    assert mixture.weights == {"a": 1, "b": 0, "c": 0}


# Bad files


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize("batch_size", [None, 4])
def test_bad_files_are_reported_and_shares_stay(tmp_path, caplog, files, batch_size):
    made = {}
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(6):
            make_ramp(tmp_path / name / f"{number}.wav", 1_000_000 * (1 + (name == "b")) + 200 * number + 1, 160)
        made[name] = tmp_path / name if files else AudioIndex.build(tmp_path / name)
    (tmp_path / "a" / "3.wav").write_bytes(b"text " * 100)
    options = {"samples_per_frame": 16, "channels": 1, "batch_size": batch_size, "framing": "drop"}
    sets = {name: StreamingAudioDataset(each, **options) for name, each in made.items()}
    mixture = MixedAudioDataset(sets, weights={"a": 1, "b": 1}, by="batch" if batch_size else "frame", stop="all")
    batches = list(DataLoader(mixture, batch_size=batch_size and None if batch_size else 4))
    names = [set(names_of(batch)) for batch in batches]
    report = mixture.report()
    assert list(report.skipped) == [str(tmp_path / "a" / "3.wav")]
    assert abs(report.proportions["a"] - 0.5) < 0.05
    assert report.is_complete
    assert len([message for message in told(caplog) if message.startswith("skipped")]) == 1
    if batch_size:
        assert {len(each) for each in names} == {1}


def test_errors_name_the_set(corpus, tmp_path):
    (tmp_path / "bad").mkdir()
    for number in range(3):
        (tmp_path / "bad" / f"{number}.wav").write_bytes(b"text " * 100)
    options = {"samples_per_frame": 16, "channels": 1, "shuffle_buffer_size": 50, "decoder": "soundfile"}
    good = StreamingAudioDataset(corpus[0] / "a", **options)

    def mixed(files, **more):
        return MixedAudioDataset(
            {"good": good, "bad": StreamingAudioDataset(files, **options, **more)}, weights={"good": 1, "bad": 1}
        )

    with pytest.raises(NoReadableFileError, match="bad: none of the 3 files can be read"):
        list(mixed(tmp_path / "bad"))
    with pytest.raises(AudioFileError, match=r"bad: .*wav: ") as caught:
        list(mixed(tmp_path / "bad", on_error="raise"))
    assert caught.value.path.startswith(str(tmp_path / "bad"))
    indexed = {
        "good": StreamingAudioDataset(corpus[1]["a"], **options),
        "bad": StreamingAudioDataset(AudioIndex.build(tmp_path / "bad"), **options),
    }
    with pytest.raises(NoReadableFileError, match="bad: no frame in any of 3 files of the index"):
        list(MixedAudioDataset(indexed, weights={"good": 1, "bad": 1}))
    assert list(MixedAudioDataset(indexed, weights={"good": 1, "bad": 0}))
    with pytest.raises(OptionError, match=r"a: it has fewer files than there are workers \(6 of all ranks\)"):
        list(DataLoader(make(corpus, files=True), num_workers=6))


# Options


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": {"a": 1, "b": 1}}, "weights=.* give one weight for each of the sets 'a', 'b', 'c'"),
        ({"weights": {"a": 1, "b": 1, "c": -1}}, r"weights\['c'\]=-1: a weight is a number, 0 or greater"),
        ({"weights": {"a": 1, "b": 1, "c": float("nan")}}, r"weights\['c'\]=nan: a weight is a number"),
        ({"weights": {"a": 0, "b": 0, "c": 0}}, "at least one weight must be greater than 0"),
        ({"weights": {"a": 1, "b": 1, "c": 1e-20}}, r"weights\['c'\]=1e-20: beside the others it is too small"),
        ({"seed": -1}, "seed=-1: it must be a whole number of at least 0"),
        ({"by": "file"}, "by='file': use 'frame' .* or 'batch'"),
        ({"stop": "last"}, "stop='last': use 'first' .*, 'all' .* or 'never'"),
        ({"part": {"repeat": True}}, "a: repeat=True: leave it out, and give the mixture stop='never'"),
    ],
)
def test_options_are_checked(corpus, change, message):
    with pytest.raises(OptionError, match=message):
        make(corpus, **change)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("samples_per_frame", 32), ("channels", 2), ("sr", 22_050), ("dtype", torch.float16), ("return_info", True),
        ("batch_size", 4), ("remainder", "repeat"),
    ],
)  # fmt: skip
def test_sets_that_do_not_fit_are_named(corpus, option, value):
    sets = {**parts(corpus), "c": parts(corpus, **{option: value})["c"]}
    with pytest.raises(OptionError, match=f"c: {option}=.*, but .* in a; they must be the same"):
        MixedAudioDataset(sets, weights=WEIGHTS)


def test_metadata_has_the_same_keys_in_all_sets(corpus):
    def caption(path):
        return {"caption": path}

    sets = parts(corpus, return_info=True, metadata=caption)
    batch = next(iter(DataLoader(MixedAudioDataset(sets, weights=WEIGHTS), batch_size=4)))
    assert batch["metadata"]["caption"] == batch["path"]
    assert len(set(batch["dataset"])) > 1
    sets["b"] = parts(corpus, return_info=True)["b"]
    message = r"b: the keys of its metadata are \[\], but unknown in a; a batch needs the same"
    with pytest.raises(OptionError, match=message):
        MixedAudioDataset(sets, weights=WEIGHTS)
    for batch in ResumableDataLoader(MixedAudioDataset(sets, weights=WEIGHTS, by="batch"), batch_size=4):
        assert ("metadata" in batch) == (batch["dataset"][0] != "b")


def test_sets_are_checked(corpus):
    sets = parts(corpus)
    with pytest.raises(OptionError, match="c: rank, world_size are .0, 2., but .None, None. in a"):
        MixedAudioDataset({**sets, "c": parts(corpus, rank=0, world_size=2)["c"]}, weights=WEIGHTS)
    with pytest.raises(OptionError, match="sets=.*: give a dictionary of StreamingAudioDatasets by name"):
        MixedAudioDataset({}, weights={})
    with pytest.raises(OptionError, match="b: 'music' is not a StreamingAudioDataset"):
        MixedAudioDataset({"a": sets["a"], "b": "music"}, weights={"a": 1, "b": 1})
    with pytest.raises(OptionError, match="b: the same dataset has another name too"):
        MixedAudioDataset({"a": sets["a"], "b": sets["a"]}, weights={"a": 1, "b": 1})


def test_a_state_that_does_not_fit_is_refused_whole(corpus):
    state = load(corpus).state_dict()
    folder, indexes = corpus
    swapped = load((folder, {**indexes, "a": indexes["b"], "b": indexes["a"]}))
    with pytest.raises(StateError, match="a.num_files was 5 and is 8; .*b.num_files was 8 and is 5"):
        swapped.load_state_dict(state)
    with pytest.raises(StateError, match="stop was 'first' and is 'all'"):
        load(corpus, stop="all").load_state_dict(state)
    with pytest.raises(StateError, match="batch_size was 8 and is 4"):
        load(corpus, by="batch", batch_size=4).load_state_dict(load(corpus, by="batch").state_dict())
    of_rank = ranks(corpus, 2, 0, 4, files=True)
    with pytest.raises(StateError, match="rank was 0 and is 1, and without indexes"):
        of_rank[1].load_state_dict(of_rank[0].state_dict())
    broken = {**state, "stages": [{"epoch": 0}]}
    with pytest.raises(StateError, match="it has no weights of a mixture"):
        load(corpus).load_state_dict(broken)
