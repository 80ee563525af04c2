import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmo_data.epochs.randomness import Purpose, random_bits
from flowmo_data.epochs.shuffle_buffer import shuffled, shuffled_within


def shuffle(items, buffer_size, seed=0):
    return list(shuffled(items, buffer_size=buffer_size, bits=random_bits(seed, 0, Purpose.SPAN_ORDER)))


@given(st.integers(0, 300), st.integers(1, 50), st.integers(0, 2**40))
def test_a_permutation_is_a_permutation(count, buffer_size, seed):
    assert sorted(shuffle(range(count), buffer_size, seed)) == list(range(count))


@given(st.integers(0, 300), st.integers(1, 50))
def test_nothing_comes_more_than_a_buffer_early(count, buffer_size):
    for place, item in enumerate(shuffle(range(count), buffer_size)):
        assert item <= place + buffer_size


def test_a_buffer_of_one_keeps_the_order():
    assert shuffle(range(20), 1) == list(range(20))


def test_the_order_is_the_seeds():
    assert shuffle(range(100), 10) == shuffle(range(100), 10)
    assert shuffle(range(100), 10) != shuffle(range(100), 10, seed=1)


def test_a_buffer_as_large_as_the_data_mixes_it_evenly():
    firsts = [shuffle(range(4), 4, seed)[0] for seed in range(2_000)]
    assert all(420 < firsts.count(item) < 580 for item in range(4))


def test_no_more_is_held_than_the_buffer_takes():
    taken = []
    items = shuffled((taken.append(i) or i for i in range(100)), buffer_size=10, bits=random_bits(0, 0, Purpose.PHASE))
    next(items)
    assert len(taken) == 11


def test_an_error_in_the_items_comes_through():
    def failing():
        yield from range(3)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        shuffle(failing(), 10)


@given(
    groups=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 50)), max_size=20),
    buffer_size=st.integers(1, 40),
    most=st.integers(50, 200),
)
def test_a_buffer_within_a_limit_gives_every_item_once_and_holds_no_more(groups, buffer_size, most):
    items = [(group, number) for group, (count, _) in enumerate(groups) for number in range(count)]
    came = []

    def coming():
        for item in items:
            came.append(item)
            yield item

    def emitted():
        return shuffled_within(
            coming(),
            buffer_size=buffer_size,
            bits=random_bits(0, 0, Purpose.SPAN_ORDER),
            holds=lambda item: (item[0], groups[item[0]][1]),
            most=most,
        )

    left = []
    for item in emitted():
        left.append(item)
        waiting = {group for group, _ in set(came) - set(left) - {came[-1]}}  # the last may wait for others to leave
        assert sum(groups[group][1] for group in waiting) <= most
    assert sorted(left) == items
    assert list(emitted()) == left


def test_a_buffer_within_an_ample_limit_is_the_plain_one():
    items = [(group, number) for group in range(9) for number in range(7)]
    options = {"buffer_size": 20, "holds": lambda item: (item[0], 1), "most": 9}
    within = shuffled_within(items, bits=random_bits(0, 0, Purpose.SPAN_ORDER), **options)
    assert list(within) == list(shuffled(items, buffer_size=20, bits=random_bits(0, 0, Purpose.SPAN_ORDER)))
