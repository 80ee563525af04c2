"""Programs that tests start: real processes, where an interrupt works, and of which none outlives its test.

`start` and `run` take the arguments of a Python interpreter: `"script.py", ...`, `"-c", code` or `"-m", module, ...`.
Importing torch takes 1.5 s of a core, and Lightning 4.6 s. So an interpreter that has imported them forks for each
program (forking.py): from start to end, a program that does nothing takes 0.3 s. `fork=None` starts a new interpreter,
for tests of starting. On macOS all are new: there, a process that has loaded torch cannot safely fork.

Each program is in a process group of its own, as in a terminal. A shell that starts pytest in the background makes it
ignore interrupts. Programs would inherit that, so it is reset for them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

FORKING = Path(__file__).with_name("forking.py")
TORCH = ("torch", "numpy", "soundfile")
"""modules that the package is made on: a program imports the package itself"""
LIGHTNING = (*TORCH, "lightning.pytorch")

_running: list[Forked | subprocess.Popen[str]] = []
_interpreters: dict[tuple[str, ...], Interpreter] = {}


@contextmanager
def interrupts_by_default() -> Iterator[None]:
    """What is started inside does not ignore interrupts: a new program keeps signals ignored, but no handlers."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of programs, which do not fight for cores."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **(given or {})}


def start_command(
    command: Sequence[object], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start any command."""
    with interrupts_by_default():
        process = subprocess.Popen(
            list(map(str, command)), cwd=cwd, env=environment(env), start_new_session=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    _running.append(process)
    return process


def start(
    *arguments: object,
    fork: tuple[str, ...] | None = TORCH,
    interpreter: Interpreter | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Forked | subprocess.Popen[str]:
    """Start a Python program: in the interpreter given, in one that has imported `fork`, or in a new one."""
    if interpreter is None:
        if fork is None or sys.platform == "darwin":
            return start_command([sys.executable, *arguments], cwd=cwd, env=env)
        if fork not in _interpreters:
            _interpreters[fork] = Interpreter(fork)
        interpreter = _interpreters[fork]
    program = interpreter.start(list(map(str, arguments)), cwd=cwd, env=env)
    _running.append(program)
    return program


def run_ranks(
    world_size: int, *arguments: object, env: Mapping[str, str] | None = None, timeout: float = 120, **options
) -> subprocess.CompletedProcess[str]:
    """Run a program once for each rank, with the environment that torchrun gives it; if one fails, all end.

    Return the first exit status that is not 0, and what all have printed.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    common = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world_size), "GROUP_RANK": "0",
        "LOCAL_WORLD_SIZE": str(world_size), "TORCHELASTIC_RUN_ID": "tests", **(env or {}),
    }  # fmt: skip
    places = ({"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world_size))
    running = [start(*arguments, env={**common, **place}, **options) for place in places]
    status, output, errors, stop = 0, "", "", time.monotonic() + timeout
    while running:
        assert time.monotonic() < stop, f"not over after {timeout} s; ranks that were printed\n{output}\n{errors}"
        for program in list(running):
            with suppress(subprocess.TimeoutExpired):
                printed = program.communicate(timeout=0.05)
                output, errors, status = output + printed[0], errors + printed[1], status or program.returncode
                running.remove(program)
                if status:
                    for other in running:
                        end(other)
    return subprocess.CompletedProcess([], status, output, errors)


def finish(program: Forked | subprocess.Popen[str], *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Wait for a program's end. Return its exit status and what it printed."""
    try:
        output, errors = program.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        end(program)
        output, errors = program.communicate(timeout=10)
        raise AssertionError(f"not over after {timeout} s; it printed\n{output}\n{errors}") from None
    return subprocess.CompletedProcess([], program.returncode, output, errors)


def run(*arguments: object, check: bool = True, timeout: float = 120, **options) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end, and check that it was a good one."""
    done = finish(start(*arguments, **options), timeout=timeout)
    assert not check or done.returncode == 0, done.stderr
    return done


def wait_until(happened: Callable[[], bool], *, timeout: float = 60) -> None:
    """Wait until something has happened."""
    stop = time.monotonic() + timeout
    while not happened():
        assert time.monotonic() < stop, f"it has not happened in {timeout} s"
        time.sleep(0.02)


def end(program: Forked | subprocess.Popen[str]) -> None:
    """Kill a program, what is in its group, and what it started in other groups, as torchrun does."""
    processes: list[psutil.Process] = []
    if program.poll() is None:
        with suppress(psutil.NoSuchProcess):
            processes = psutil.Process(program.pid).children(recursive=True)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    program.wait(10)


def end_all() -> None:
    """End all programs that were started since the last call, and what they have left in their groups."""
    while _running:
        program = _running.pop()
        end(program)
        for stream in (program.stdout, program.stderr):
            stream.close()


def close_interpreters() -> None:
    """Let the interpreters that fork end."""
    while _interpreters:
        _interpreters.popitem()[1].close()


class Interpreter:
    """A process that has imported modules, and forks for each program."""

    def __init__(self, modules: Sequence[str], prefix: Sequence[str] = ()) -> None:
        self._socket, theirs = socket.socketpair()
        command = [*prefix, sys.executable, str(FORKING), str(theirs.fileno()), *modules]
        alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # threads do not survive a fork
        with theirs:
            self._process = subprocess.Popen(
                command, env={**os.environ, **alone}, pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    def start(self, arguments: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Forked:
        """Start a program."""
        request = {"arguments": arguments, "cwd": str(cwd or Path.cwd()), "environment": environment(env)}
        pipes = [os.pipe() for _ in range(3)]
        null = os.open(os.devnull, os.O_RDONLY)
        theirs = [null, *(writing for _, writing in pipes)]
        data = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(self._socket, [data], theirs)
        self._socket.sendall(data[sent:])
        for descriptor in theirs:
            os.close(descriptor)
        return Forked(*(os.fdopen(reading) for reading, _ in pipes))

    def close(self) -> None:
        """Let it end."""
        self._socket.shutdown(socket.SHUT_RDWR)  # closing is not enough: forked workers of loaders have it open too
        self._socket.close()
        self._process.wait(10)


class Forked:
    """A program that an interpreter has forked for, with what tests use of `subprocess.Popen`."""

    def __init__(self, stdout: IO[str], stderr: IO[str], status: IO[str]) -> None:
        self.stdout, self.stderr, self._status = stdout, stderr, status
        self.returncode: int | None = None
        self._readers: list[threading.Thread] = []
        self._printed = {"stdout": "", "stderr": ""}
        line = status.readline()
        if not line:
            raise ChildProcessError("the interpreter that forks for programs has died; what it printed is above")
        self.pid = int(line)

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it prints until its end, on stdout and on stderr."""
        stop = None if timeout is None else time.monotonic() + timeout
        if not self._readers:
            self._readers = [threading.Thread(target=self._read, args=[name], daemon=True) for name in self._printed]
            for reader in self._readers:
                reader.start()
        for reader in self._readers:
            reader.join(None if stop is None else max(0, stop - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        self.wait(None if stop is None else max(0, stop - time.monotonic()))
        return self._printed["stdout"], self._printed["stderr"]

    def _read(self, name: str) -> None:
        self._printed[name] = getattr(self, name).read()
