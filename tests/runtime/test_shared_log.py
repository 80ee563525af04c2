import copy
import gc
import multiprocessing
import os

import pytest

from flowmo_data.runtime.shared_log import SharedLog


def write(lines, name):
    for number in range(200):
        lines.append(f"{name} {number} {'x' * (number % 50)}")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_whole_lines_of_all_processes_come_in_the_order_of_each(method):
    lines = SharedLog()
    context = multiprocessing.get_context(method)
    processes = [context.Process(target=write, args=(lines, name)) for name in "ab"]
    for process in processes:
        process.start()
    write(lines, "c")
    for process in processes:
        process.join()
    found = [line.split(" ") for line in lines.read_new()]
    assert all(len(each) == 3 and each[2] == "x" * (int(each[1]) % 50) for each in found)
    for name in "abc":
        assert [int(number) for by, number, _ in found if by == name] == list(range(200))


def test_what_is_read_is_not_read_again():
    lines = SharedLog()
    lines.append("one")
    assert lines.read_new() == ["one"]
    lines.append("two")
    os.write(lines._held[0], b"three is being writ")
    assert lines.read_new() == ["two"]
    os.write(lines._held[0], b"ten\n")
    assert lines.read_new() == ["three is being written"]
    assert lines.read_new() == []


def test_a_copy_shares_nothing():
    lines = SharedLog()
    lines.append("one")
    other = copy.deepcopy(lines)
    assert other.read_new() == []
    other.append("two")
    assert lines.read_new() == ["one"]


def test_descriptors_are_closed():
    before = len(os.listdir("/dev/fd"))
    for _ in range(50):
        SharedLog().append("line")
    assert len(os.listdir("/dev/fd")) <= before + 1


def test_an_iteration_that_is_collected_with_its_log_is_quiet():
    class Iterated:
        def __init__(self):
            self.log, self.itself = SharedLog(), self

        def __iter__(self):
            try:
                yield 1
            finally:
                self.log.append("line")

    iterated = Iterated()
    iterated.frames = iter(iterated)
    next(iterated.frames)
    del iterated
    gc.collect()  # an error here is one of the test
