import pickle

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from flowmo_data import OptionError
from flowmo_data.runtime.epoch_clock import EpochClock


class Epochs(IterableDataset):
    """Each worker gives the epoch that it was told."""

    def __init__(self):
        self.clock = EpochClock()

    def __iter__(self):
        return iter([self.clock.next()])


def epochs(loader):
    return sorted(batch.item() for batch in loader)


def test_each_iteration_is_the_next_epoch():
    dataset = Epochs()
    assert [list(dataset) for _ in range(3)] == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("context", "persistent"), [("fork", False), ("fork", True), ("spawn", True), ("forkserver", False)]
)
def test_workers_agree(context, persistent):
    dataset = Epochs()
    loader = DataLoader(dataset, num_workers=3, persistent_workers=persistent, multiprocessing_context=context)
    assert [epochs(loader) for _ in range(3)] == [[0] * 3, [1] * 3, [2] * 3]
    dataset.clock.set(7)
    assert [epochs(loader) for _ in range(2)] == [[7] * 3, [8] * 3]
    dataset.clock.set(2)
    assert epochs(loader) == [2] * 3


def test_loaders_of_other_sizes_go_on_counting():
    dataset = Epochs()
    assert epochs(DataLoader(dataset, num_workers=3)) == [0] * 3
    assert epochs(DataLoader(dataset, num_workers=1)) == [1]
    assert list(dataset) == [2]
    assert epochs(DataLoader(dataset, num_workers=2)) == [3] * 2


def test_the_same_seed_again_is_another_epoch():
    dataset = Epochs()
    seen = []
    for _ in range(3):
        torch.manual_seed(0)
        seen.append(epochs(DataLoader(dataset, num_workers=2)))
    assert seen == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize("persistent", [False, True])
def test_an_epoch_left_early_counts(persistent):
    dataset = Epochs()
    loader = DataLoader(dataset, num_workers=3, persistent_workers=persistent)
    for _ in loader:
        break
    assert [epochs(loader) for _ in range(2)] == [[1] * 3, [2] * 3]


def test_the_same_epoch_and_seed_again_are_the_same():
    """The usual check that a run can be repeated, twenty times, since it went wrong by chance."""
    for _ in range(20):
        dataset = Epochs()
        for _ in range(2):
            dataset.clock.set(0)
            torch.manual_seed(0)
            assert epochs(DataLoader(dataset, num_workers=3)) == [0, 0, 0]


def test_the_same_seed_with_more_workers_is_another_epoch():
    for _ in range(10):
        dataset, seen = Epochs(), []
        for num_workers in (1, 3, 2):
            torch.manual_seed(0)
            seen.append(epochs(DataLoader(dataset, num_workers=num_workers)))
        assert seen == [[0], [1] * 3, [2] * 2]


def rank_epochs(clock, rank, queue):
    taken = [clock.next(rank, 2)]
    clock.set(5, rank, 2)
    taken += [clock.next(rank, 2), clock.next(rank, 2)]
    queue.put((rank, taken))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_ranks_that_come_of_one_process_count_for_themselves(context):
    context = torch.multiprocessing.get_context(context)
    clock, queue = EpochClock(), context.SimpleQueue()
    clock.set(3)
    for rank in range(2):
        process = context.Process(target=rank_epochs, args=(clock, rank, queue))
        process.start()
        process.join()
    assert sorted(queue.get() for _ in range(2)) == [(0, [3, 5, 6]), (1, [3, 5, 6])]


def test_a_worker_that_starts_late_finds_its_iteration_though_another_has_gone_on():
    first, late = EpochClock(), EpochClock()
    late._shared = first._shared
    infos = [type("Info", (), {"id": i, "seed": 100 + i, "num_workers": 2}) for i in range(2)]
    assert first._agreed(infos[0], 0) == 0
    first._count(0, 0, 1)
    first.went_on(1)
    first.went_on(2)
    assert late._agreed(infos[1], 0) == 0


def test_two_iterations_at_once_are_two_epochs():
    dataset = Epochs()
    loader = DataLoader(dataset, num_workers=2)
    one = iter(loader)
    begun = [next(one).item() for _ in range(2)]  # one of each worker: both have begun
    other = {epoch.item() for epoch in loader}
    assert {*begun, *(epoch.item() for epoch in one)} == {0}
    assert other == {1}


def test_a_copy_counts_for_itself():
    clock = EpochClock()
    clock.set(4)
    copy = pickle.loads(pickle.dumps(clock))
    assert [copy.next(), copy.next(), clock.next()] == [4, 5, 4]


@pytest.mark.parametrize("epoch", [-1, 1.5, "1", None, True, 2**40])
def test_what_is_no_epoch_is_refused(epoch):
    with pytest.raises(OptionError, match="an epoch is a whole number, 0 or greater"):
        EpochClock().set(epoch)
