"""An interpreter that imports what is slow to import, and then forks for each program.

`forking.py DESCRIPTOR [MODULE ...]`: requests come through the socket DESCRIPTOR, each a line of JSON, with the
program's standard streams and a pipe for its status. The program becomes `__main__`, and ends as in any interpreter.
"""

import gc
import json
import os
import runpy
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType


def serve(connection: socket.socket) -> list[str] | None:
    """Fork for each request. Return the program's arguments in its process, and None in this one, at the end."""
    while True:
        text, descriptors = receive(connection)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG if text else 0)[0]:  # watchers that have ended
                pass
        if not text:
            return None
        if os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        connection.close()
        *streams, status = descriptors
        program = os.fork()
        if program:
            watch(program, streams, status)
        return prepare(json.loads(text), streams, status)


def receive(connection: socket.socket) -> tuple[str, list[int]]:
    """Return one line, and the descriptors that came with it."""
    data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 4)
    while data and not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    return data.decode(), descriptors


def watch(program: int, streams: list[int], status: int) -> None:
    """Write the program's exit status once it has ended."""
    for descriptor in streams:
        os.close(descriptor)
    for descriptor in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    _, code = os.waitpid(program, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(code)}\n".encode())
    os._exit(0)


def prepare(request: dict, streams: list[int], status: int) -> list[str]:
    """Make this process what a new interpreter would be, and write its process id. Return its arguments."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.write(status, f"{os.getpid()}\n".encode())
    os.close(status)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:] = [path for path in request["environment"].get("PYTHONPATH", "").split(os.pathsep) if path] + sys.path
    return request["arguments"]


def run(arguments: list[str]) -> None:
    """Run `SCRIPT ...`, `-c CODE ...` or `-m MODULE ...` as the main module."""
    first, *rest = arguments
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        return
    code, name = (rest.pop(0), "<string>") if first == "-c" else (Path(first).read_text(), first)
    sys.argv = [first, *rest]
    sys.path.insert(0, "" if first == "-c" else str(Path(first).resolve().parent))
    main = sys.modules["__main__"] = ModuleType("__main__")
    if first != "-c":
        main.__file__ = first
    exec(compile(code, name, "exec", dont_inherit=True), vars(main))


if __name__ == "__main__":
    del sys.path[0]
    for module in sys.argv[2:]:
        import_module(module)
    gc.freeze()  # what the collector does not look at stays shared: a program takes 0.27 s in place of 0.50
    arguments = serve(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        run(arguments)
