"""An ordered map over processes, which an interrupt ends at once."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from flowmo_data.errors import ResourceError
from flowmo_data.interrupts import interrupts_held_back

S = TypeVar("S")
T = TypeVar("T")


def process_map(function: Callable[[S], T], items: Iterable[S], *, num_processes: int) -> Iterator[T]:
    """`map(function, items)` in processes; the same results in the same order.

    An interrupt (Ctrl-C) reaches this process alone, which ends the others: none of them prints a traceback, and nobody
    waits for what they are at.

    Args:
        function: what to do; it and the items must pickle.
        items: what to do it to; all are taken at once.
        num_processes: 0 does everything in this process.

    Raises:
        ResourceError: a process has died, as it does when memory is short.
    """
    if not num_processes:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")  # forks do not mix with threads, and a progress bar has one
    with ProcessPoolExecutor(num_processes, mp_context=context) as pool:
        try:
            with interrupts_held_back():
                results = deque(pool.submit(function, item) for item in items)
            while results:
                yield results.popleft().result()
        except BrokenProcessPool as error:
            raise ResourceError(
                "a process that read files has died, for want of memory perhaps; take fewer (--workers, num_workers=), "
                "or 0 to read them in this one"
            ) from error
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
