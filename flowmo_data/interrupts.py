"""Ctrl-C while processes are started: it comes when they are, and none of them prints a traceback.

An interrupt that comes while a process forks is lost: Python reports what its handlers at forks raise, and goes on. And
one that comes to a process while it imports ends it with a traceback of that.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any


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
