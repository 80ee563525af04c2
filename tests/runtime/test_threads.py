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
