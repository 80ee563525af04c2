import os
import signal
import time

import psutil
import pytest
from programs import finish, start, wait_until

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
    with pytest.raises(FlowmoDataError, match="a process that read files has died.*use fewer"):
        list(process_map(double, [1, -1, 3], num_processes=1))


SCRIPT = """
import time
from pathlib import Path
from flowmo_data.runtime.processes import process_map

def slow(number):
    Path(f"asleep {number}").touch()
    time.sleep(60)

if __name__ == "__main__":
    print("started", flush=True)
    list(process_map(slow, range(4), num_processes=2))
"""


@pytest.mark.parametrize("when", ["started", "asleep"])
def test_an_interrupt_ends_all_at_once_with_one_traceback(tmp_path, when):
    """Half a second after the start the processes are being started."""
    (tmp_path / "script.py").write_text(SCRIPT)
    process = start(tmp_path / "script.py", cwd=tmp_path)
    process.stdout.readline()
    if when == "started":
        time.sleep(0.5)
    else:
        wait_until(lambda: len(list(tmp_path.glob("asleep *"))) == 2)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to all of them
    begin = time.monotonic()
    said = finish(process, timeout=10).stderr
    assert time.monotonic() - begin < 4
    assert process.returncode != 0
    assert said.count("Traceback") == 1, said
    _, alive = psutil.wait_procs(children, timeout=2)
    assert not alive
