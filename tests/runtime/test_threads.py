import gc
import threading
import time

import pytest

from flowmo_data.runtime.threads import ordered_map


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("flowmo_data")]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_the_order_is_that_of_the_items(number):
    def slow_if_even(item):
        time.sleep(0.002 * (item % 2 == 0))
        return item * item

    assert list(ordered_map(slow_if_even, range(40), threads=number)) == [i * i for i in range(40)]
    assert not threads()


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_error_comes_where_its_result_would(number):
    def fail_at_five(item):
        if item == 5:
            raise ValueError("five")
        return item

    results = ordered_map(fail_at_five, range(20), threads=number)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert not threads()


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_error_in_the_items_comes_after_what_came_before_it(number):
    def items():
        yield from range(4)
        raise ValueError("no fifth")

    results = ordered_map(lambda item: item, items(), threads=number)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="no fifth"):
        next(results)


def test_it_runs_in_several_threads_and_not_too_far_ahead():
    taken, together = [], threading.Barrier(2, timeout=10)
    results = ordered_map(lambda _: together.wait(), (taken.append(i) or i for i in range(100)), threads=2)
    next(results)
    assert len(taken) == 4
    results.close()


@pytest.mark.parametrize("leave", ["close", "drop", "interrupt"])
def test_no_thread_is_left_behind(leave):
    results = ordered_map(lambda item: time.sleep(0.01), range(1_000), threads=2)
    next(results)
    assert threads()
    if leave == "close":
        results.close()
    elif leave == "interrupt":
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            for _ in results:
                raise KeyboardInterrupt
        results.close()
    else:
        del results
        gc.collect()
    assert not threads()


def test_results_ahead_cost_no_more_than_the_limit():
    costs = [5, 1, 1, 30, 2, 2, 2, 9, 9]
    begun = []

    def work(place):
        begun.append(place)
        return place

    for place in ordered_map(work, range(9), threads=4, cost=costs.__getitem__, most=10):
        ahead = range(place + 1, max(begun) + 1)
        assert len(ahead) <= 1 or sum(costs[each] for each in ahead) <= 10
    assert sorted(begun) == list(range(9))
