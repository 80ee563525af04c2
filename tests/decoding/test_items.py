"""What is emitted for a frame, before and after a transform, and the seed in it."""

import pytest
import torch
from builders import make_wav
from torch.utils.data import DataLoader

from flowmo_data import StreamingAudioDataset

KEYS = ["audio", "path", "start", "num_valid", "num_samples", "seed"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("items")
    for number in range(6):
        make_wav(folder / f"{number}.wav", 2_000 + 700 * number, seed=number)
    return folder


def make(files, **options):
    return StreamingAudioDataset(files, **{"samples_per_frame": 500, "return_info": True, **options})


def place(item):
    return item["path"], item["start"]


def seeds(items):
    """The seeds of items, by their place."""
    return {place(item): item["seed"] for item in items}


def loaded(files, num_workers, **options):
    return list(DataLoader(make(files, **options), batch_size=None, num_workers=num_workers))


def test_an_item_has_its_keys_in_order(files):
    items = list(make(files))
    assert all(list(item) == KEYS for item in items)
    lengths = {number: 2_000 + 700 * number for number in range(6)}
    assert all(item["num_samples"] == lengths[int(item["path"][-5])] for item in items)
    assert all(type(item["seed"]) is int and 0 <= item["seed"] < 2**63 for item in items)


def test_num_samples_counts_at_the_rate_of_the_dataset(folder):
    assert {item["num_samples"] for item in make(folder / "0.wav", sr=22_050)} == {1_000}


def test_seeds_collate_to_int64(files):
    batch = next(iter(DataLoader(make(files), batch_size=4)))
    assert batch["seed"].dtype == torch.int64
    in_place = next(iter(make(files, batch_size=4)))
    assert torch.equal(in_place["seed"], batch["seed"])
    assert in_place["num_samples"].dtype == torch.int64


@pytest.mark.parametrize("with_info", [False, True])
def test_a_transform_gets_what_would_be_emitted_and_its_result_is_emitted(files, with_info):
    got = []

    def transform(item):
        got.append(item)
        return {"got": len(got)}

    emitted = list(make(files, transform=transform, return_info=with_info, decode_threads=2))
    assert emitted == [{"got": number} for number in range(1, len(got) + 1)]
    for one, other in zip(got, make(files, return_info=with_info), strict=True):
        assert torch.equal(one["audio"], other["audio"]) if with_info else torch.equal(one, other)
        assert not with_info or list(one) == list(other) == KEYS


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_in_a_transform_is_raised(files, num_workers):
    def transform(item):
        raise KeyError("caption")

    dataset = make(files, transform=transform, on_error="skip")
    with pytest.raises(KeyError, match="caption"):
        list(DataLoader(dataset, num_workers=num_workers))


# Seeds


def test_seeds_differ_within_an_epoch_by_epoch_and_by_the_seed_of_the_dataset(files):
    options = {"framing": "drop", "shuffle": False}  # the same frames in every epoch
    dataset = make(files, **options)
    drawn = [seeds(items) for items in (dataset, dataset, make(files, seed=1, **options))]
    assert drawn[0].keys() == drawn[1].keys() == drawn[2].keys()
    numbers = [seed for of_epoch in drawn for seed in of_epoch.values()]
    assert len(set(numbers)) == len(numbers) > 60


def test_seeds_do_not_depend_on_workers_and_threads(files):
    expected = seeds(make(files))
    for num_workers, threads in [(0, 3), (1, 0), (2, 0), (3, 2)]:
        assert seeds(loaded(files, num_workers, decode_threads=threads)) == expected


def test_with_an_index_seeds_do_not_depend_on_ranks(index):
    expected = seeds(make(index))
    for world_size in (1, 2, 4):
        got = {}
        for rank in range(world_size):
            got |= seeds(make(index, rank=rank, world_size=world_size, remainder="repeat"))
        assert got == expected


def test_the_seeds_of_a_seed_are_golden(folder):
    """If they change, a resumed run augments in another way: say so in the CHANGELOG."""
    first = next(iter(make(folder, shuffle=False)))
    assert first["seed"] == 3_858_243_255_327_064_309


def test_a_resumed_iteration_goes_on_with_the_same_seeds(files):
    dataset = make(files)
    items = iter(dataset)
    for _ in range(7):
        next(items)
    resumed = make(files)
    resumed.load_state_dict(dataset.state_dict())
    assert [item["seed"] for item in resumed] == [item["seed"] for item in items]
