"""Processes that an interrupt ends at once, and cores to run them on.

An interrupt (Ctrl-C) that comes while a process forks is lost: Python reports what its handlers at forks raise, and
goes on. One that comes to a process while it imports ends it with a traceback of that. So interrupts are held back
while processes are started.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from flowmo_data.errors import ResourceError

S = TypeVar("S")
T = TypeVar("T")


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """An interrupt that comes inside is raised at the end; processes started inside get none until they want them.

    Elsewhere than in the main thread, which is where Python handles signals, nothing is held back.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    resource_tracker.ensure_running()  # would let interrupts through again when it starts
    held_back: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which new processes inherit
    signal.signal(signal.SIGINT, lambda number, _: held_back.append(number))  # for what comes to other threads
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if held_back:
            signal.raise_signal(signal.SIGINT)


class LettingInterruptsThrough:
    """A DataLoader's `worker_init_fn` for workers that are started with interrupts held back."""

    def __init__(self, init: Callable[[int], Any] | None) -> None:
        self._init, self._handler = init, signal.getsignal(signal.SIGINT)

    def __call__(self, worker: int) -> None:
        """Handle interrupts as the main process does; then what the user wants to be done."""
        if self._handler is not None:  # None: it was not set from Python
            signal.signal(signal.SIGINT, self._handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if self._init is not None:
            self._init(worker)

    def __getstate__(self) -> dict[str, Any]:
        """For a spawned worker. A handler of the user's need not pickle (asyncio's does not), or drags much along.

        Such a worker ignores interrupts: that handler decides in the main process, whose end ends the worker.
        """
        pythons = (None, signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
        return {**self.__dict__, "_handler": self._handler if self._handler in pythons else signal.SIG_IGN}
