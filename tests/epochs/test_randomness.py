from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmo_data.epochs.randomness import Permutation, Purpose, frame_seed, random_below, random_bits


def test_the_numbers_never_change():
    """Other numbers would make every stored state and every published run another one."""
    assert list(Permutation(8, random_bits(0, 0, Purpose.FILE_ORDER))) == [2, 5, 7, 3, 6, 0, 4, 1]
    bits = random_bits(42, 3, Purpose.PHASE, 7)
    assert [random_below(bits, 196_608) for _ in range(4)] == [50357, 56732, 161987, 19239]
    assert frame_seed(7, 3, 5, 100, 0) == 5_388_987_080_268_202_784


def test_the_key_is_all_that_counts():
    keys = [(0, 0, Purpose.PHASE, 0), (1, 0, Purpose.PHASE, 0), (0, 1, Purpose.PHASE, 0), (0, 0, Purpose.PHASE, 1)]
    keys += [(0, 0, Purpose.SPAN_ORDER, 0), (0, 0, Purpose.FILE_ORDER)]
    firsts = [random_bits(*key).random_raw() for key in keys]
    assert len(set(firsts)) == len(keys)
    assert firsts == [random_bits(*key).random_raw() for key in keys]


def test_below_is_below_and_evenly_spread():
    bits = random_bits(0, 0, Purpose.PHASE)
    drawn = [random_below(bits, 5) for _ in range(5_000)]
    assert set(drawn) == set(range(5))
    assert all(900 < drawn.count(number) < 1_100 for number in range(5))


def permutation(length, seed=0):
    return Permutation(length, random_bits(seed, 0, Purpose.FILE_ORDER))


@given(st.integers(0, 3_000), st.integers(0, 2**32))
def test_a_permutation_is_a_permutation(length, seed):
    assert sorted(permutation(length, seed)) == list(range(length))


def test_every_place_is_as_likely():
    for length in (2, 3, 5, 7):
        counts = Counter(
            (place, number) for seed in range(3_000) for place, number in enumerate(permutation(length, seed))
        )
        assert len(counts) == length**2
        assert all(abs(count - 3_000 / length) < 6 * (3_000 / length) ** 0.5 for count in counts.values())


def test_neighbours_are_torn_apart():
    order = list(permutation(10_000))
    near = sum(abs(a - b) < 100 for a, b in pairwise(order))
    assert near < 300  # 200 would be chance


def test_a_number_of_ten_million_is_found_at_once():
    order = permutation(10_000_000)
    assert len({order[place] for place in range(0, 10_000_000, 9_973)}) == len(range(0, 10_000_000, 9_973))
    assert order[-1:] == [order[9_999_999]]
    with pytest.raises(IndexError, match="there are 10000000 numbers, none at 10000000"):
        order[10_000_000]


def test_seeds_of_frames_are_all_different_and_each_bit_is_a_coin():
    seeds = [frame_seed(0, 0, file, start, 0) for file in range(100) for start in range(0, 100_000, 1_000)]
    seeds += [frame_seed(*key, 0, 0) for key in [(0, 1, 0), (1, 0, 0), (0, 0, 2**40)]]
    assert len({*seeds}) == len(seeds)
    assert all(0.47 < sum(seed >> bit & 1 for seed in seeds) / len(seeds) < 0.53 for bit in range(63))
    assert max(seeds) < 2**63
