"""Frames that a transform rejects: left out or replaced, counted, and an error if there are no others."""

import logging
from itertools import islice

import pytest
import torch
from builders import make_ramps, make_wav
from torch.utils.data import DataLoader

from flowmo_data import AllFramesRejectedError, ResumableDataLoader, StateError, StreamingAudioDataset

LENGTHS = [400, 1_900, 700, 1_200, 64, 2_300]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames") / "ramps"
    make_ramps(folder, LENGTHS)
    return folder


def make(files, **options):
    given = {"samples_per_frame": 64, "channels": 1, "shuffle_buffer_size": 20, "return_info": True, **options}
    return StreamingAudioDataset(files, **given)


def third(item):
    """Reject two of three frames."""
    return item if item["seed"] % 3 == 0 else None


def nothing(item):
    return None


def first_file(item):
    """Reject all frames but those of the first file."""
    return item if "ramp_000" in item["path"] else None


def places(items):
    return [(item["path"], item["start"]) for item in items]


def loaded(dataset, num_workers, **options):
    return list(DataLoader(dataset, batch_size=None, num_workers=num_workers, **options))


def shown(item):
    return item["path"], item["start"], item["seed"], item["audio"].tolist()


# Left out, or replaced


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_without_an_index_rejected_frames_are_left_out_and_counted(folder, num_workers, threads):
    every = list(make(folder))
    accepted = {place for item, place in zip(every, places(every), strict=True) if third(item)}
    dataset = make(folder, transform=third, decode_threads=threads, on_error="raise")
    assert sorted(places(loaded(dataset, num_workers))) == sorted(accepted)
    report = dataset.report()
    assert report.is_complete
    assert not report  # nothing is lost
    assert report.rejected == len(every) - len(accepted) > 50
    assert str(report).endswith(f"0.00 s of audio lost; {report.rejected} frames rejected by the transform")


def test_with_an_index_others_come_in_their_place(index):
    every = list(make(index))
    dataset = make(index, transform=third, on_error="raise")
    expected = list(dataset)
    assert len(expected) == len(every) == len(dataset)
    assert all(third(item) for item in expected)
    kept = {place for item, place in zip(every, places(every), strict=True) if third(item)}
    assert kept < {*places(expected)}  # frames that only a substitute's seed lets pass come too
    assert dataset.report().rejected >= len(every) - len(kept)
    assert len({item["seed"] for item in expected}) == len(expected)
    for num_workers, threads in [(0, 2), (3, 0)]:
        again = make(index, transform=third, decode_threads=threads)
        assert sorted(map(shown, loaded(again, num_workers))) == sorted(map(shown, expected))
        assert again.report() == dataset.report(0)
    by_rank = [list(make(index, transform=third, rank=rank, world_size=2, remainder="repeat")) for rank in range(2)]
    assert len(by_rank[0]) == len(by_rank[1])
    assert {*places(by_rank[0]), *places(by_rank[1])} == {*places(expected)}


def test_rejected_frames_are_counted_apart_from_unreadable_ones(tmp_path, caplog):
    for name in "ab":
        make_wav(tmp_path / f"{name}.wav", 640, seed=ord(name))
    dataset = make(tmp_path, transform=lambda item: item if item["start"] % 128 else None, shuffle=False)
    items = iter(dataset)
    next(items)
    (tmp_path / "a.wav").unlink()
    assert len(list(items)) == 5
    report = dataset.report()
    assert list(report.skipped) == [str(tmp_path / "a.wav")]
    assert report.rejected == 6
    assert report.seconds_lost == pytest.approx(512 / 44_100, abs=1e-6)
    assert caplog.messages[-1].endswith("audio lost; 6 frames rejected by the transform; report() lists the files")


# Batches


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("with_info", [False, True])
def test_batches_are_full_and_hold_the_accepted_frames(files, with_info, num_workers, threads):
    def transform(item):
        audio = item["audio"] if with_info else item
        return item if audio.max() % 5 < 2 else None

    def batches(loader_batch, dataset_batch):
        dataset = make(
            files, transform=transform, return_info=with_info, batch_size=dataset_batch, decode_threads=threads
        )
        loader = DataLoader(dataset, batch_size=loader_batch, num_workers=num_workers)
        return [batch["audio"] if with_info else batch for batch in loader]

    expected, got = batches(7, None), batches(None, 7)
    rows = [sorted(torch.cat(batches).flatten(1).tolist()) for batches in (expected, got)]
    assert rows[0] == rows[1]
    assert len(got) > 5
    assert sum(len(batch) != 7 for batch in got) <= max(num_workers, 1)


def test_the_slot_of_a_rejected_frame_is_used_by_the_next(files, monkeypatch):
    def never(items, **_):
        raise AssertionError("copied once more")

    monkeypatch.setattr("flowmo_data.decoding.batching._collate_frames", never)
    batches = list(make(files, transform=third, batch_size=7))
    assert {len(batch["audio"]) for batch in batches[:-1]} == {7}


def test_with_threads_batches_are_in_place_again_after_a_rejected_frame(folder, monkeypatch):
    from flowmo_data.decoding import batching

    copied = []
    collate = batching._collate_frames
    monkeypatch.setattr(batching, "_collate_frames", lambda items: copied.append(1) or collate(items))
    rejected = []

    def transform(item):
        rejected.append(len(rejected) == 10)
        return None if rejected[-1] else item

    batches = list(make(folder, transform=transform, batch_size=7, decode_threads=2))
    assert len(batches) > 12
    assert 1 <= len(copied) <= 3


# Resuming


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("dataset_batch", [None, 5])
def test_a_resumed_loop_goes_on_with_the_same_frames(files, num_workers, dataset_batch):
    def loader():
        dataset = make(files, transform=third, batch_size=dataset_batch)
        return ResumableDataLoader(dataset, batch_size=None if dataset_batch else 5, num_workers=num_workers)

    whole = [places_of_batch(batch) for batch in loader()]
    for after in (1, 4):
        stopped = loader()
        for _ in islice(stopped, after):
            pass
        resumed = loader()
        resumed.load_state_dict(stopped.state_dict())
        assert [places_of_batch(batch) for batch in resumed] == whole[after:]


def places_of_batch(batch):
    return list(zip(batch["path"], batch["start"].tolist(), batch["seed"].tolist(), strict=True))


def test_the_state_of_another_rank_that_rejected_frames_is_refused(folder):
    def loader(rank):
        return ResumableDataLoader(make(folder, transform=third, rank=rank, world_size=2), batch_size=5)

    first = loader(0)
    next(iter(first))
    state = first.state_dict()
    loader(0).load_state_dict(state)
    with pytest.raises(StateError, match="another rank, where frames were rejected .*; save the state of every rank"):
        loader(1).load_state_dict(state)


# Nothing is accepted


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("repeat", [False, True])
def test_a_transform_that_rejects_everything_is_an_error(files, repeat, num_workers):
    dataset = make(files, transform=nothing, repeat=repeat, batch_size=4)
    with pytest.raises(
        AllFramesRejectedError, match=r"transform=<function nothing .* rejected .*: it returned None for each; return"
    ):
        loaded(dataset, num_workers)


def test_more_workers_than_files_end_in_the_same_error(folder):
    dataset = make(folder / "ramp_001.wav", transform=nothing, repeat=True)
    with pytest.raises(AllFramesRejectedError, match="all frames of epoch 0"):
        loaded(dataset, 3)


def test_one_frame_in_thirty_is_enough_with_an_index(index):
    dataset = make(index, transform=lambda item: item if item["seed"] % 30 == 0 else None)
    assert len(list(dataset)) == len(dataset)


@pytest.mark.parametrize("repeat", [False, True])
def test_a_worker_that_accepts_nothing_is_no_error_if_others_do(folder, repeat):
    dataset = make(folder, transform=first_file, shuffle=repeat, repeat=repeat)
    got = islice(DataLoader(dataset, batch_size=None, num_workers=2), 7)
    assert len(list(got)) == 7


def test_a_rank_that_accepts_nothing_is_no_error_if_others_do(folder):
    def run(transform):
        return list(make(folder, transform=transform, shuffle=False, rank=1, world_size=2))

    assert run(first_file) == []
    with pytest.raises(AllFramesRejectedError, match="all frames of epoch 0"):
        run(nothing)


def test_a_rest_of_an_epoch_that_is_rejected_is_no_error(folder):
    dataset = make(folder, transform=first_file, shuffle=False)
    items = iter(dataset)
    for _ in range(7):
        next(items)
    resumed = make(folder, transform=first_file, shuffle=False)
    resumed.load_state_dict(dataset.state_dict())
    assert list(resumed) == []


def test_a_long_wait_for_the_first_accepted_frame_is_a_warning(tmp_path, caplog):
    make_wav(tmp_path / "a.wav", 1_200 * 16)
    (_item,) = make(
        tmp_path,
        samples_per_frame=16,
        shuffle=False,
        transform=lambda item: item if item["start"] == 1_100 * 16 else None,
    )
    assert caplog.messages == ["epoch 0: the transform has rejected the first 1000 frames of a worker"]
    caplog.clear()
    caplog.set_level(logging.INFO, "flowmo_data")
    list(make(tmp_path, samples_per_frame=16, transform=lambda item: item if item["start"] > 99 else None))
    assert "frames rejected by the transform" in caplog.messages[-1]
