"""An ordered map that works ahead in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

_AHEAD = 2
"""results per thread that may lie ready or in work"""


def ordered_map(function: Callable[[S], T], items: Iterable[S], *, threads: int) -> Iterator[T]:
    """`map(function, items)` with the work done ahead in threads; the same results in the same order.

    What `function` or `items` raises comes out after the results of what came before it. When the iterator is closed or
    dropped, its threads have ended.

    Args:
        function: what to do; it runs in several threads at once.
        items: what to do it to; consumed in the calling thread, at most 2 x `threads` ahead.
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
            if len(ahead) == _AHEAD * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ThreadPoolExecutor, function: Callable[[S], T], items: Iterable[S]) -> Iterator[Future[T]]:
    """The work on each item, begun; where `items` raises, one more that has failed with that."""
    try:
        for item in items:
            yield pool.submit(function, item)
    except Exception as error:
        failed: Future[T] = Future()
        failed.set_exception(error)
        yield failed
