import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmo_data.epochs.mixtures.mixing import SetOrder, odd_part, shares

WEIGHTS = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=7).filter(lambda weights: sum(weights) > 1e-3)


def counts_of(order, weights, begin, stop):
    """How often each set comes in a stretch."""
    return np.bincount([order.at(place)[0] for place in range(begin, stop)], minlength=len(weights))


@settings(max_examples=60, deadline=None)
@given(
    weights=WEIGHTS, seed=st.integers(0, 2**40), unit=st.sampled_from([1, 3, 5, 25, 375]), level=st.integers(0, 9),
    number=st.integers(0, 2**30),
)  # fmt: skip
def test_every_stretch_has_its_share_to_within_one(weights, seed, unit, level, number):
    order, length = SetOrder(weights, seed=seed, unit=unit), unit << level
    begin, exact = number * length, np.array(weights) / sum(weights) * length
    given_before, given_after = (np.array(order.counts(place)) for place in (begin, begin + length))
    counts = given_after - given_before
    assert counts.sum() == length
    assert (np.abs(counts - exact) < 1 + 1e-9).all()
    assert order.counts(begin)[order.at(begin)[0]] == order.at(begin)[1]


@settings(max_examples=20, deadline=None)
@given(weights=WEIGHTS, unit=st.sampled_from([1, 3]), begin=st.integers(0, 2**50))
def test_any_place_is_found_at_once(weights, unit, begin):
    order = SetOrder(weights, seed=1, unit=unit)
    running = list(order.counts(begin))
    assert sum(running) == begin
    for place in range(begin, begin + 100):
        which, before = order.at(place)
        assert running[which] == before
        assert order.place_of(which, before) == place
        running[which] += 1
    assert tuple(running) == order.counts(begin + 100)


def test_other_stretches_are_close_too():
    """The promise is for stretches that begin at a multiple of their length; others differ by less than two."""
    weights = [0.37, 0.23, 0.19, 0.14, 0.07]
    order = SetOrder(weights, seed=0)
    sets = np.array([order.at(place)[0] for place in range(20_000)])
    given_before = np.cumsum(np.eye(5)[sets], axis=0)
    for length in (6, 7, 12, 32, 100, 999):
        counts = given_before[length:] - given_before[:-length]
        assert np.abs(counts - np.array(weights) * length).max() < 2
    prefixes = given_before - np.arange(1, 20_001)[:, None] * np.array(weights)
    assert np.abs(prefixes).max() < 2


def test_two_sets_are_a_balanced_sequence():
    order = SetOrder([0.7, 0.3], seed=5)
    given_before = np.cumsum([order.at(place)[0] for place in range(10_000)])
    for length in range(1, 100):
        counts = given_before[length:] - given_before[:-length]
        assert np.abs(counts - 0.3 * length).max() < 1


def test_the_order_is_golden_and_varies_with_the_seed():
    """If this changes, every stored state means something else: say so in the CHANGELOG."""
    made = [SetOrder([5, 3, 2], seed=seed) for seed in range(20)]
    orders = ["".join("abc"[order.at(place)[0]] for place in range(20)) for order in made]
    assert orders[0] == "acababacabacababacab"
    assert len(set(orders)) > 2


def test_weight_0_never_comes_and_one_set_always():
    order = SetOrder([0, 1, 3], seed=0)
    assert counts_of(order, [0, 1, 3], 0, 4_000).tolist() == [0, 1_000, 3_000]
    assert SetOrder([0.1], seed=0).at(10**12) == (0, 10**12)


@pytest.mark.parametrize(
    ("weights", "expected"), [([1, 1, 1], [4, 3, 3]), ([0.1, 0.2, 0.7], [1, 2, 7]), ([0, 2], [0, 10])]
)
def test_shares_sum_to_the_total(weights, expected):
    assert shares(weights, 10) == expected


def test_odd_parts():
    assert [odd_part(number) for number in (1, 2, 12, 64, 96, 7)] == [1, 1, 3, 1, 3, 7]
