import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from flowmo_data import FlowmoDataError
from flowmo_data.runtime.processes import process_map


def double(number):
    if number == -1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


@pytest.mark.parametrize("num_processes", [0, 2])
def test_the_order_is_that_of_the_items(num_processes):
    assert list(process_map(double, range(20), num_processes=num_processes)) == [2 * i for i in range(20)]


def test_a_process_that_dies_is_an_error_that_says_what_to_do():
    with pytest.raises(FlowmoDataError, match="a process that read files has died.*take fewer"):
        list(process_map(double, [1, -1, 3], num_processes=1))


SCRIPT = """
import time
from flowmo_data.runtime.processes import process_map

def slow(number):
    time.sleep(60)

if __name__ == "__main__":
    print("started", flush=True)
    list(process_map(slow, range(4), num_processes=2))
"""


@pytest.mark.parametrize("seconds", [0.5, 8])
def test_an_interrupt_ends_all_at_once_with_one_traceback(tmp_path, seconds):
    """After half a second the processes are being started; after eight, they sleep."""
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    process.stdout.readline()
    time.sleep(seconds)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to all of them
    begin = time.monotonic()
    said = process.communicate(timeout=10)[1]
    assert time.monotonic() - begin < 4
    assert process.returncode != 0
    assert said.count("Traceback") == 1, said
    _, alive = psutil.wait_procs(children, timeout=2)
    assert not alive
