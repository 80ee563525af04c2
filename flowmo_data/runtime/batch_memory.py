"""Memory for batches, reused when the last view of a batch is gone.

A fresh batch of 50 MB costs 21 ms of page faults in the main process. In a worker it costs 36 ms, because torch makes a
new shared-memory file for each (docs/benchmarks.md). Decoding into it takes 90 ms. Recycled memory costs nothing.

    worker                                    main process
    take ──► fill ──► pickled: "in use" ────► mapped: a plain tensor ──► its last view dies
      ▲                                                                        │
      └─────────────────────── free: a byte behind the data ◄──────────────────┘

A batch made in a worker is pickled as the descriptor of its memory (a memfd, which multiprocessing sends), and becomes
a plain tensor over the same memory. If there is no memfd (macOS), or the descriptor cannot be sent, the batch moves by
torch's own sharing.
"""

from __future__ import annotations

import copy
import mmap
import os
import struct
import sys
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from math import prod
from multiprocessing.reduction import DupFd, ForkingPickler
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.multiprocessing.reductions import reduce_tensor
from torch.utils.data import get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map

from flowmo_data.errors import OptionError
from flowmo_data.runtime.resources import HAS_MEMORY_FILES, open_memory_file, out_of

_IN_USE, _FREE = 0, 1
_FLAG = struct.Struct("?")
"""the last byte of a block; packs any true value as _FREE"""
_NOT_TRACKED: Any = {"trackfd": False} if sys.version_info >= (3, 13) else {}
"""keeps a map from holding its own descriptor; in earlier versions each living batch holds one"""


class _Block:
    """A stretch of memory: room for data, and a byte behind it that marks use by another process."""

    def __init__(self, capacity: int, *, shared: bool) -> None:
        self.capacity = capacity
        self.descriptor = open_memory_file() if shared else -1
        size = capacity + 1
        try:
            if shared:
                os.ftruncate(self.descriptor, size)
                self.memory = mmap.mmap(self.descriptor, size)
            else:  # private: after a fork, each process has its own copy, as with any other tensor
                self.memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise out_of("memory for a batch", error) from error
        if hasattr(mmap, "MADV_HUGEPAGE"):  # one fault per 2 MB, not per 4 kB, if the kernel allows it
            with suppress(OSError):
                self.memory.madvise(mmap.MADV_HUGEPAGE)
        if shared:
            self.memory[capacity] = _FREE

    @property
    def is_free(self) -> bool:
        return self.descriptor < 0 or self.memory[self.capacity] == _FREE

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


class BatchMemory:
    """A source of tensors that reuses the memory of its earlier tensors when they are gone."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._blocks: dict[tuple[int, bool], list[_Block]] = {}  # not in use here, by size and sharing
        self._in_use: dict[int, tuple[weakref.ref[Any], _Block]] = {}
        self._gone: deque[weakref.ref[Any]] = deque()
        self._lock = threading.Lock()

    def take(self, shape: Sequence[int], dtype: torch.dtype, *, leaves: bool = True) -> torch.Tensor:
        """Return an uninitialised contiguous tensor.

        Args:
            shape: its shape.
            dtype: its dtype.
            leaves: whether the tensor goes to the main process, if this is a worker.
        """
        shared = leaves and get_worker_info() is not None
        if shared and not HAS_MEMORY_FILES:
            return torch.empty(*shape, dtype=dtype)
        data_bytes = prod(shape) * dtype.itemsize
        capacity = 1 << (data_bytes - 1).bit_length()  # few sizes, so that an epoch's last batch finds a block too
        block = self._free_block(capacity, shared=shared) or _Block(capacity, shared=shared)
        array = np.frombuffer(block.memory, np.uint8, data_bytes)
        # deque.append runs no Python code. In a finalizer that does, an interrupt (Ctrl-C) is lost: 3 of 160 were.
        reference = weakref.ref(array, self._gone.append)
        self._in_use[id(reference)] = reference, block
        tensor = torch.from_numpy(array).view(dtype).view(*shape)
        return Batch.over(tensor, block) if shared else tensor

    def _free_block(self, capacity: int, *, shared: bool) -> _Block | None:
        with self._lock:
            while self._gone:
                _, block = self._in_use.pop(id(self._gone.popleft()))
                self._blocks[block.capacity, block.descriptor >= 0].append(block)
            blocks = self._blocks.setdefault((capacity, shared), [])
            for index in reversed(range(len(blocks))):  # the last one used may still be in the processor's caches
                if blocks[index].is_free:
                    return blocks.pop(index)
        return None


_of_this_process = BatchMemory()


def batch_memory() -> BatchMemory:
    """Return this process's batch memory: one for all datasets, kept while a worker's last batches are on their way."""
    global _of_this_process  # noqa: PLW0603
    if _of_this_process.pid != os.getpid():  # memory that a fork inherits belongs to the parent
        _of_this_process = BatchMemory()
    return _of_this_process


def item_bits(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """Return a tensor's memory as integers of the size of its items, to fill or copy it in the calling thread.

    torch wakes all of its threads for a frame. If they are busy decoding, that takes ten times as long.
    """
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(tensor.itemsize, torch.uint8)
    array: npt.NDArray[Any] = tensor.view(integers).numpy()
    return array


class MarkedTensor(torch.Tensor):
    """A tensor with a type that the DataLoader's collate function handles in its own way.

    In all else it is a plain tensor. Anything computed from it, copied, or loaded after it was saved is a plain tensor.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.as_subclass(torch.Tensor).__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    def __deepcopy__(self, memo: Any) -> torch.Tensor:
        return copy.deepcopy(self.as_subclass(torch.Tensor), memo)


class Batch(MarkedTensor):
    """A batch that moves from a worker to the main process without a copy, and that no DataLoader may batch again."""

    _block: _Block | None

    @classmethod
    def over(cls, tensor: torch.Tensor, block: _Block | None) -> Batch:
        """Return the tensor as a batch; `block` is the shared memory that holds it, or None."""
        batch = tensor.as_subclass(cls)
        batch._block = block
        return batch


def head(batch: torch.Tensor, length: int) -> torch.Tensor:
    """Return the first `length` items of a batch, as a batch that leaves a worker in the same way."""
    return Batch.over(batch[:length], batch._block) if isinstance(batch, Batch) else batch[:length]


def _refuse_to_collate(*_: Any, **__: Any) -> Any:
    raise OptionError(
        "batch_size= is set for the dataset and for the DataLoader, which would give batches of batches: "
        "use DataLoader(dataset, batch_size=None), or leave out the dataset's batch_size"
    )


default_collate_fn_map[Batch] = _refuse_to_collate  # the documented way to extend default_collate


def _reduce(batch: Batch) -> tuple[Any, ...]:
    block = batch._block
    if block is None:
        return reduce_tensor(batch.as_subclass(torch.Tensor))  # type: ignore[no-untyped-call, no-any-return]
    try:
        descriptor = DupFd(block.descriptor)
    except (OSError, RuntimeError, ValueError):
        return reduce_tensor(batch.as_subclass(torch.Tensor).clone())  # type: ignore[no-untyped-call, no-any-return]
    block.memory[block.capacity] = _IN_USE
    return _receive, (os.getpid(), descriptor, block.capacity, tuple(batch.shape), batch.dtype)


def _receive(pid: int, shared: Any, capacity: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor over the memory of a batch from another process."""
    try:
        with ThreadPoolExecutor(1) as thread:  # no interrupt hits it there: one half-way ends in a worker's traceback
            descriptor = thread.submit(shared.detach).result()
    except (OSError, EOFError) as error:  # torch's words for a worker that has died, which it may not know yet
        raise RuntimeError(f"DataLoader worker (pid {pid}) exited unexpectedly") from error
    try:
        memory = mmap.mmap(descriptor, capacity + 1, **_NOT_TRACKED)
    finally:
        os.close(descriptor)
    array = np.frombuffer(memory, np.uint8, prod(shape) * dtype.itemsize)
    # As above, no Python code: the packed value is the reference, which is true.
    _received.append(weakref.ref(array, partial(_FLAG.pack_into, memory, capacity)))
    with suppress(IndexError):
        for _ in range(2):  # so that there are at most twice as many as arrays
            if (reference := _received.popleft())() is not None:
                _received.append(reference)
    return torch.from_numpy(array).view(dtype).view(shape)


_received: deque[weakref.ref[Any]] = deque()
"""references to arrays over other processes' memory, which becomes free with the arrays"""
os.register_at_fork(after_in_child=_received.clear)  # a fork has a copy of each tensor, which is not the one in use

ForkingPickler.register(Batch, _reduce)
