"""An ordered map that works ahead in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

AHEAD = 2
"""number of results per thread that may be ready or in progress"""


def ordered_map(
    function: Callable[[S], T],
    items: Iterable[S],
    *,
    threads: int,
    cost: Callable[[S], int] | None = None,
    most: int = 0,
) -> Iterator[T]:
    """Yield the results of `map(function, items)`, computed ahead in threads, in the same order.

    An exception of `function` or `items` is raised after all results before it. When the iterator is closed or
    dropped, its threads have ended.

    Args:
        function: the function to call; it runs in several threads at once.
        items: its arguments; read in the calling thread, at most 2 x `threads` ahead.
        threads: 0 does everything in the calling thread.
        cost: returns the cost of an item, in bytes for instance; None if items cost nothing.
        most: the sum of the costs of results that may be ready or in progress. A single item may cost more.
    """
    if not threads:
        yield from map(function, items)
        return
    ahead: deque[tuple[int, Future[T]]] = deque()
    total = 0
    pool = ThreadPoolExecutor(threads, thread_name_prefix="flowmo_data")
    try:
        for price, submit in _priced(pool, function, items, cost):
            while ahead and total + price > most and cost is not None:
                total -= ahead[0][0]
                yield ahead.popleft()[1].result()
            ahead.append((price, submit()))
            total += price
            if len(ahead) == AHEAD * threads:
                total -= ahead[0][0]
                yield ahead.popleft()[1].result()
        while ahead:
            yield ahead.popleft()[1].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def closed_after(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """Close an iterator after the block, if it can be closed. A traceback could keep it, and its threads, alive."""
    try:
        yield items
    finally:
        if isinstance(items, Generator):
            items.close()


def _priced(
    pool: ThreadPoolExecutor, function: Callable[[S], T], items: Iterable[S], cost: Callable[[S], int] | None
) -> Iterator[tuple[int, Callable[[], Future[T]]]]:
    """Yield the cost of each item, and a function that starts its work.

    If `items` raises, the last of these is one that fails with that exception.
    """
    try:
        for item in items:
            yield cost(item) if cost is not None else 0, partial(pool.submit, function, item)
    except Exception as error:
        failed: Future[T] = Future()
        failed.set_exception(error)
        yield 0, lambda: failed
