from hypothesis import given
from hypothesis import strategies as st

from flowmo_data.epochs.mixtures.turns import own_places
from flowmo_data.epochs.sharding import Shard


def shards(world_size, num_workers):
    return [Shard(rank, world_size, worker, num_workers) for rank in range(world_size) for worker in range(num_workers)]


@given(
    world_size=st.integers(1, 4), num_workers=st.integers(1, 4), per_rank=st.integers(0, 300),
    turn=st.none() | st.integers(1, 40),
)  # fmt: skip
def test_every_place_belongs_to_one_shard(world_size, num_workers, per_rank, turn):
    own = {shard: list(own_places(shard, per_rank, turn)) for shard in shards(world_size, num_workers)}
    assert sorted(place for places in own.values() for place in places) == list(range(per_rank * world_size))
    for rank in range(world_size):
        assert sum(len(places) for shard, places in own.items() if shard.rank == rank) == per_rank
    for places in own.values():
        assert places == sorted(places)


@given(
    world_size=st.integers(1, 3), num_workers=st.integers(1, 3), per_rank=st.none() | st.integers(0, 100),
    turn=st.none() | st.integers(1, 20), handed_out=st.integers(0, 60),
)  # fmt: skip
def test_places_after_those_that_were_handed_out(world_size, num_workers, per_rank, turn, handed_out):
    for shard in shards(world_size, num_workers):
        whole = [place for place, _ in zip(own_places(shard, per_rank, turn), range(200))]  # noqa: B905
        left = [place for place, _ in zip(own_places(shard, per_rank, turn, handed_out), range(100))]  # noqa: B905
        assert left == whole[handed_out : handed_out + 100]


@given(
    world_size=st.integers(1, 4), num_workers=st.integers(1, 4), turn=st.integers(1, 8), steps=st.integers(1, 12)
)  # fmt: skip
def test_the_batches_of_all_ranks_together_are_a_stretch(world_size, num_workers, turn, steps):
    places = []
    for rank in range(world_size):
        workers = [own_places(Shard(rank, world_size, each, num_workers), None, turn) for each in range(num_workers)]
        for step in range(steps):
            places += [next(workers[step % num_workers]) for _ in range(turn)]
    assert sorted(places) == list(range(steps * turn * world_size))
