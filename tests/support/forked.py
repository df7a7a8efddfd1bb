"""Commands as processes that are forked from one that has done the imports: a start takes 20 ms instead of a second.

All else is as with ``python -m``: a process of its own, with its folder, environment and output, that can be killed.
The imports are those of the library and of what it stands on; the application's packages each process imports itself,
from its folder. The full form of the tests (``.ci/nightly``) starts Python anew for each command.

The one with the imports forks twice, so that a command is an orphan, which the system gives to this process to wait for
(prctl(2), PR_SET_CHILD_SUBREAPER).
"""

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36


class Forked:
    """A command that runs, with what the tests use of ``subprocess.Popen``."""

    def __init__(self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        reading, writing = os.pipe()
        request = {"argv": list(arguments), "cwd": str(cwd), "env": dict(env)}
        self.args = arguments
        self.pid = _nursery().fork(request, writing)
        self.stdout = open(reading, encoding="utf-8")  # noqa: PTH123, SIM115 # a file descriptor
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(0.01)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        parts: list[str] = []
        reader = threading.Thread(target=lambda: parts.append(self.stdout.read()), daemon=True)
        if not self.stdout.closed:
            reader.start()
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.stdout.close()
        self.wait(timeout)
        return "".join(parts), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Nursery:
    """The process that has done the imports, as seen from here."""

    def __init__(self) -> None:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._socket, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        theirs.close()

    def fork(self, request: dict[str, Any], output: int) -> int:
        socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], [output])
        os.close(output)
        answer = self._socket.recv(100)
        assert answer, "the process with the imports has ended"
        return int(answer)


@cache
def _nursery() -> Nursery:
    return Nursery()


# --- in the process that has done the imports ---------------------------------------------------------------------


def import_all() -> None:
    """Import the library, and with it what it stands on."""
    import kafkajourney  # noqa: PLC0415

    for module in pkgutil.walk_packages(kafkajourney.__path__, "kafkajourney."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("confluent_kafka.schema_registry.avro", "psycopg", "sqlalchemy.dialects.postgresql.psycopg"):
        importlib.import_module(name)
    assert threading.active_count() == 1
    gc.freeze()


def serve(requests: socket.socket) -> tuple[dict[str, Any], int]:
    """Fork for each request; return it, and its output, in the process that is to run it."""
    while True:
        data, descriptors, _flags, _address = socket.recv_fds(requests, 1 << 20, 1)
        if not data:
            os._exit(0)
        while not data.endswith(b"\n"):
            data += requests.recv(1 << 20)
        reading, writing = os.pipe()
        if (between := os.fork()) == 0:
            if (pid := os.fork()) == 0:
                return json.loads(data), descriptors[0]
            os.write(writing, str(pid).encode())
            os._exit(0)
        os.close(descriptors[0])
        os.waitpid(between, 0)
        requests.send(os.read(reading, 100))
        os.close(reading)
        os.close(writing)


def become(request: dict[str, Any], output: int) -> None:
    """Be what ``python -m`` starts."""
    for standard in (1, 2):
        os.dup2(output, standard)
    os.closerange(3, 4096)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    name, *arguments = request["argv"]
    sys.path[0] = request["cwd"]
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    import_all()
    become(*serve(socket.socket(fileno=int(sys.argv[1]))))
