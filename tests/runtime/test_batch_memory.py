import errno
import gc
import os
import sys
from pathlib import Path

import pytest
import torch
from programs import run
from torch.utils.data import DataLoader, IterableDataset

from flowmo_data.runtime.batch_memory import BatchMemory, batch_memory

needs_memfd = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory is passed on as a memfd, on Linux")


def test_memory_is_used_again_when_the_last_view_is_gone():
    memory = BatchMemory()
    first = memory.take((4, 2, 1_000), torch.float32)
    place = first.data_ptr()
    view = first[2, 1, 10:]
    del first
    gc.collect()
    assert memory.take((4, 2, 1_000), torch.float32).data_ptr() != place
    del view
    gc.collect()
    kept = [memory.take((4, 2, 1_000), torch.float32) for _ in range(2)]
    assert place in {tensor.data_ptr() for tensor in kept}


def test_tensors_in_use_do_not_overlap():
    memory = BatchMemory()
    tensors = [memory.take((3, 100), torch.int16).fill_(number) for number in range(20)]
    assert all((tensor == number).all() for number, tensor in enumerate(tensors))


def test_batches_of_many_sizes_take_few_blocks():
    memory = BatchMemory()
    for size in range(1, 65):
        memory.take((size, 2, 5_000), torch.float32)
    assert sum(len(blocks) for blocks in memory._blocks.values()) <= 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int16])
def test_every_dtype(dtype):
    tensor = BatchMemory().take((2, 3, 5), dtype).fill_(7)
    assert (tensor.dtype, tensor.shape) == (dtype, (2, 3, 5))
    assert tensor.is_contiguous()
    assert (tensor == 7).all()


class Counting(IterableDataset):
    """Batches that a worker fills with their numbers."""

    def __init__(self, count):
        self.count = count

    def __iter__(self):
        for number in range(self.count):
            yield batch_memory().take((2, 1, 50_000), torch.float32).fill_(number)


@needs_memfd
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_batches_cross_from_workers_unharmed_while_all_are_kept(context):
    kept = list(DataLoader(Counting(12), batch_size=None, num_workers=2, multiprocessing_context=context))
    assert {type(batch) for batch in kept} == {torch.Tensor}
    assert sorted(batch.unique().item() for batch in kept) == [number for number in range(12) for _ in range(2)]
    kept[0].add_(1)
    assert kept[1].unique().numel() == 1


@pytest.mark.parametrize("num_workers", [0, 1])
def test_memory_is_freed_without_python_code_where_an_interrupt_would_be_lost(num_workers):
    batches, called = iter(DataLoader(Counting(9), batch_size=None, num_workers=num_workers)), []
    batch = next(batches)
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    del batch
    sys.setprofile(None)
    assert called == []


@needs_memfd
def test_workers_use_memory_again():
    code = """
from test_batch_memory import Counting
from torch.utils.data import DataLoader
import os
seen = set()
for batch in DataLoader(Counting(200), batch_size=None, num_workers=1):
    with open("/proc/self/maps") as maps:
        seen |= {line.split()[4] for line in maps if "memfd:flowmo_data" in line}
del batch
links = [f"/proc/self/fd/{descriptor}" for descriptor in os.listdir("/proc/self/fd")]
print(len(seen), sum("flowmo" in os.readlink(link) for link in links if os.path.islink(link)))
"""
    done = run("-c", f"import sys; sys.path += {list(map(str, Path(__file__).parents[:2]))!r}\n{code}")
    blocks, descriptors = map(int, done.stdout.split())
    assert blocks <= 8  # those prefetched, one in the loop, one being filled
    assert descriptors == 0


@needs_memfd
def test_a_fork_does_not_free_what_its_parent_uses():
    batches = iter(DataLoader(Counting(40), batch_size=None, num_workers=1))
    kept = next(batches)
    child = os.fork()
    if child == 0:
        del kept
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    for _ in batches:
        assert (kept == 0).all()


def test_a_fork_has_a_copy_of_its_parents_tensors():
    tensor = BatchMemory().take((1_000,), torch.float32).fill_(1)
    child = os.fork()
    if child == 0:
        tensor.fill_(99)
        os._exit(0)
    os.waitpid(child, 0)
    assert (tensor == 1).all()


def refuse(*_):
    raise OSError(errno.EMFILE, "no descriptor can be sent")


@needs_memfd
@pytest.mark.parametrize("start", [{}, {"persistent_workers": True}])
def test_a_batch_whose_descriptor_cannot_be_sent_comes_by_torchs_own_sharing(monkeypatch, start):
    monkeypatch.setattr("flowmo_data.runtime.batch_memory.DupFd", refuse)  # which forked workers inherit
    kept = list(DataLoader(Counting(12), batch_size=None, num_workers=2, **start))
    assert {type(batch) for batch in kept} == {torch.Tensor}
    assert sorted(batch.unique().item() for batch in kept) == [number for number in range(12) for _ in range(2)]


@needs_memfd
def test_leaving_early_with_persistent_workers():
    loader = DataLoader(Counting(50), batch_size=None, num_workers=2, persistent_workers=True)
    for _ in range(5):
        for batch in loader:
            assert batch.unique().numel() == 1
            break
    assert sum(1 for _ in loader) == 100
