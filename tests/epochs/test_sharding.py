import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmo_data import OptionError
from flowmo_data.epochs.sharding import Shard, current_shard, deal, epoch_order, worker_quotas
from flowmo_data.runtime.ranks import current_rank


def all_shards(world_size, num_workers):
    return [Shard(r, world_size, w, num_workers) for r in range(world_size) for w in range(num_workers)]


@given(st.integers(0, 200), st.integers(1, 5), st.integers(1, 5), st.integers(0, 3), st.booleans())
def test_a_partition_is_a_partition(num_files, world_size, num_workers, epoch, shuffle):
    order = epoch_order(num_files, seed=1, epoch=epoch, shuffle=shuffle)
    dealt = [index for shard in all_shards(world_size, num_workers) for index in deal(order, shard)]
    assert sorted(dealt) == list(range(num_files))


@given(st.integers(0, 200), st.integers(1, 5), st.integers(1, 5))
def test_ranks_get_equally_many_files_or_one_more(num_files, world_size, num_workers):
    per_rank = [0] * world_size
    for shard in all_shards(world_size, num_workers):
        per_rank[shard.rank] += len(list(deal(range(num_files), shard)))
    assert max(per_rank) - min(per_rank) <= 1


def test_shards_differ_from_epoch_to_epoch():
    shards = [set(deal(epoch_order(100, seed=0, epoch=e, shuffle=True), Shard(0, 2))) for e in range(3)]
    assert shards[0] != shards[1] != shards[2]


def test_without_shuffle_the_order_is_the_files():
    assert epoch_order(5, seed=3, epoch=9, shuffle=False) == range(5)


def test_the_rank_is_the_one_given(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert current_rank(3, 4) == (3, 4)


def test_the_rank_is_the_environments(monkeypatch):
    assert current_rank() == (0, 1)
    monkeypatch.setenv("RANK", "1")
    assert current_rank() == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert current_rank() == (1, 2)
    assert current_shard() == Shard(1, 2, 0, 1)


def test_the_rank_is_torch_distributeds(tmp_path, monkeypatch):
    import torch.distributed as dist

    monkeypatch.setenv("RANK", "5")
    monkeypatch.setenv("WORLD_SIZE", "6")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert current_rank() == (0, 1)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("given_rank", [(0, None), (None, 2)])
def test_half_a_rank_is_refused(given_rank):
    with pytest.raises(OptionError, match="give both, or neither"):
        current_rank(*given_rank)


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_outside_the_world_is_refused(rank, world_size):
    with pytest.raises(OptionError, match="rank must be 0 to world_size - 1"):
        Shard(rank, world_size)


def test_an_environment_of_words_is_refused(monkeypatch):
    monkeypatch.setenv("RANK", "first")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="RANK='first', WORLD_SIZE='2' in the environment: they must be numbers"):
        current_rank()


@given(st.integers(0, 20_000), st.integers(1, 9), st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]))
def test_quotas_give_as_many_batches_as_one_worker_would(num_frames, num_workers, batch_size):
    quotas = worker_quotas(num_frames, num_workers)
    assert sum(quotas) == num_frames
    if num_frames >= num_workers * (192 if batch_size % 3 == 0 else batch_size):
        assert sum(quota // batch_size for quota in quotas) == num_frames // batch_size
        assert sum(-(-quota // batch_size) for quota in quotas) == -(-num_frames // batch_size)
    assert max(quotas) - min(quotas) <= 2 * min(1_920, num_frames // num_workers + 1)
