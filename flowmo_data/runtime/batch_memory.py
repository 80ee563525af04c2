"""Memory for batches, used again when the last view of a batch is gone.

A fresh batch of 50 MB costs 21 ms of page faults in the main process and 36 ms in a worker, where torch makes a new
shared-memory file for each (docs/benchmarks.md); decoding what goes into it takes 90 ms. Recycled, both cost nothing.

    worker                                    main process
    take ──► fill ──► pickled: "in use" ────► mapped: a plain tensor ──► its last view dies
      ▲                                                                        │
      └─────────────────────── free: a byte behind the data ◄──────────────────┘

A batch made in a worker is a `torch.Tensor` that says, when it is pickled, where its memory is (a memfd, opened through
/proc), and comes out as a plain tensor over the same memory. Where there is no memfd (macOS), batches are ordinary
tensors.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from flowmo_data.runtime.resources import HAS_MEMORY_FILES, open_memory_file, out_of

_FREE, _IN_USE = 0, 1
_NOT_TRACKED: Any = {"trackfd": False} if sys.version_info >= (3, 13) else {}
"""for a map to hold no descriptor of its own; in earlier versions each batch that lives holds one"""
_CAN_SHARE = HAS_MEMORY_FILES and os.path.isdir("/proc/self/fd")


class _Block:
    """A stretch of memory: room for data, and a byte behind it that says whether another process uses it."""

    def __init__(self, capacity: int, *, shared: bool) -> None:
        self.capacity = capacity
        self.descriptor = open_memory_file() if shared else -1
        size = capacity + 1
        try:
            if shared:
                os.ftruncate(self.descriptor, size)
                self.memory = mmap.mmap(self.descriptor, size)
            else:  # private: after a fork, each process has its own copy, as of any other tensor
                self.memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise out_of("memory for a batch", error) from error
        if hasattr(mmap, "MADV_HUGEPAGE"):  # a fault for every 2 MB and not for every 4 kB, where the kernel allows it
            with suppress(OSError):
                self.memory.madvise(mmap.MADV_HUGEPAGE)

    @property
    def is_free(self) -> bool:
        return self.memory[self.capacity] == _FREE

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


class BatchMemory:
    """Gives tensors whose memory was that of tensors it gave before, wherever these are gone."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._blocks: dict[tuple[int, bool], list[_Block]] = {}  # not in use here, by size and whether others may be
        self._lock = threading.RLock()  # a finalizer may run anywhere, also in here

    def take(self, shape: Sequence[int], dtype: torch.dtype, *, leaves: bool = True) -> torch.Tensor:
        """An uninitialised contiguous tensor.

        Args:
            shape: its shape.
            dtype: its dtype.
            leaves: whether it is for the main process, if this is a worker.
        """
        shared = leaves and get_worker_info() is not None
        if shared and not _CAN_SHARE:
            return torch.empty(*shape, dtype=dtype)
        data_bytes = prod(shape) * dtype.itemsize
        capacity = 1 << (data_bytes - 1).bit_length()  # few sizes: an epoch's last batch finds a block as well
        block = self._free_block(capacity, shared=shared) or _Block(capacity, shared=shared)
        array = np.frombuffer(block.memory, np.uint8, data_bytes)
        weakref.finalize(array, self._give_back, block).atexit = False
        tensor = torch.from_numpy(array).view(dtype).view(*shape)
        return SharedBatch.over(tensor, block) if shared else tensor

    def _free_block(self, capacity: int, *, shared: bool) -> _Block | None:
        with self._lock:
            blocks = self._blocks.setdefault((capacity, shared), [])
            for index, block in enumerate(blocks):
                if block.is_free:
                    return blocks.pop(index)
        return None

    def _give_back(self, block: _Block) -> None:
        if os.getpid() != self.pid:  # a fork: the lock may be held by a thread that is not there
            return
        with self._lock:
            self._blocks[block.capacity, block.descriptor >= 0].append(block)


_of_this_process = BatchMemory()


def batch_memory() -> BatchMemory:
    """This process's batch memory: one for all datasets, that stays while a worker's last batches are on their way."""
    global _of_this_process  # noqa: PLW0603
    if _of_this_process.pid != os.getpid():  # what was inherited by a fork is the parent's
        _of_this_process = BatchMemory()
    return _of_this_process


class SharedBatch(torch.Tensor):
    """A tensor in a worker that crosses to the main process without being copied."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    _block: _Block

    @classmethod
    def over(cls, tensor: torch.Tensor, block: _Block) -> SharedBatch:
        """The tensor, with the block that it lies in."""
        batch = tensor.as_subclass(cls)
        batch._block = block
        return batch


def head(batch: torch.Tensor, length: int) -> torch.Tensor:
    """The first `length` items of a batch, which cross from a worker as the whole would."""
    items = batch[:length]
    return SharedBatch.over(items, batch._block) if isinstance(batch, SharedBatch) else items


def _reduce(batch: SharedBatch) -> tuple[Any, ...]:
    block = batch._block
    block.memory[block.capacity] = _IN_USE
    return _receive, (os.getpid(), block.descriptor, block.capacity, tuple(batch.shape), batch.dtype)


def _receive(pid: int, descriptor: int, capacity: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """The tensor over the memory of another process's batch."""
    opened = os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDWR)
    try:
        memory = mmap.mmap(opened, capacity + 1, **_NOT_TRACKED)
    finally:
        os.close(opened)
    array = np.frombuffer(memory, np.uint8, prod(shape) * dtype.itemsize)
    weakref.finalize(array, _release, memory, capacity, os.getpid()).atexit = False
    return torch.from_numpy(array).view(dtype).view(shape)


def _release(memory: mmap.mmap, capacity: int, pid: int) -> None:
    if os.getpid() == pid:  # and not in a fork, whose copy of the tensor is not the one that is used
        memory[capacity] = _FREE


ForkingPickler.register(SharedBatch, _reduce)
