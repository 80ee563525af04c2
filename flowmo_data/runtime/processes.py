"""Processes that an interrupt ends at once, and the number of cores to run them on.

An interrupt (Ctrl-C) during a fork is lost: Python prints the exceptions of its fork handlers, and continues. An
interrupt during the imports of a process ends it with a traceback. So interrupts are held back while processes start.
"""

from __future__ import annotations

import gc
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
_frozen_in = 0
"""the process that has frozen its objects"""


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def freeze_in_worker() -> None:
    """In a DataLoader worker, keep the collector off the objects that it inherits: touching them copies their pages."""
    from torch.utils.data import get_worker_info  # here: the command line uses this module, and starts without torch

    global _frozen_in  # noqa: PLW0603
    if get_worker_info() is not None and _frozen_in != os.getpid():
        gc.freeze()
        _frozen_in = os.getpid()


def process_map(function: Callable[[S], T], items: Iterable[S], *, num_processes: int) -> Iterator[T]:
    """Yield the results of `map(function, items)`, computed in processes, in the same order.

    An interrupt (Ctrl-C) reaches only this process, which ends the others. None of them prints a traceback, and their
    current work is not waited for.

    Args:
        function: the function to call; it and the items must pickle.
        items: its arguments; all are read at once.
        num_processes: 0 does everything in this process.

    Raises:
        ResourceError: a process has died, as happens when memory is short.
    """
    if not num_processes:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")  # forks do not mix with threads, and a progress bar uses one
    with ProcessPoolExecutor(num_processes, mp_context=context) as pool:
        try:
            with interrupts_held_back():
                results = deque(pool.submit(function, item) for item in items)
            while results:
                yield results.popleft().result()
        except BrokenProcessPool as error:
            raise ResourceError(
                "a process that read files has died, perhaps for lack of memory; use fewer (--workers, num_workers=), "
                "or 0 to read them in this process"
            ) from error
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Hold interrupts back until the block ends, and raise them then.

    Processes started in the block receive no interrupts until they unblock them. Python handles signals in the main
    thread, so in any other thread nothing is held back.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    resource_tracker.ensure_running()  # its start lets interrupts through, so it comes first
    held_back: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # new processes inherit it
    signal.signal(signal.SIGINT, lambda number, _: held_back.append(number))  # for interrupts that reach other threads
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if held_back:
            signal.raise_signal(signal.SIGINT)


class LettingInterruptsThrough:
    """A DataLoader's `worker_init_fn` for workers that start while interrupts are held back."""

    def __init__(self, init: Callable[[int], Any] | None) -> None:
        self._init, self._handler = init, signal.getsignal(signal.SIGINT)

    def __call__(self, worker: int) -> None:
        """Handle interrupts as the main process does, then run the user's `worker_init_fn`."""
        if self._handler is not None:  # None: it was not set from Python
            signal.signal(signal.SIGINT, self._handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if self._init is not None:
            self._init(worker)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a spawned worker, without a handler of the user.

        Such a handler may not pickle (asyncio's does not), or may pull in many other objects. The worker then ignores
        interrupts: the handler decides in the main process, and the end of that process ends the worker.
        """
        pythons = (None, signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
        return {**self.__dict__, "_handler": self._handler if self._handler in pythons else signal.SIG_IGN}
