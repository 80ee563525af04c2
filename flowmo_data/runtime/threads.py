"""An ordered map that works ahead in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

AHEAD = 2
"""number of results per thread that may be ready or in progress"""


def ordered_map(function: Callable[[S], T], items: Iterable[S], *, threads: int) -> Iterator[T]:
    """Yield the results of `map(function, items)`, computed ahead in threads, in the same order.

    An exception of `function` or `items` is raised after all results before it. When the iterator is closed or
    dropped, its threads have ended.

    Args:
        function: the function to call; it runs in several threads at once.
        items: its arguments; read in the calling thread, at most 2 x `threads` ahead.
        threads: 0 does everything in the calling thread.
    """
    if not threads:
        yield from map(function, items)
        return
    ahead: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="flowmo_data")
    try:
        for work in _submitted(pool, function, items):
            ahead.append(work)
            if len(ahead) == AHEAD * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ThreadPoolExecutor, function: Callable[[S], T], items: Iterable[S]) -> Iterator[Future[T]]:
    """Start the work on each item and yield it; if `items` raises, yield one more that fails with that exception."""
    try:
        for item in items:
            yield pool.submit(function, item)
    except Exception as error:
        failed: Future[T] = Future()
        failed.set_exception(error)
        yield failed
