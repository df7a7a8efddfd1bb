"""A server as a process: started, stopped, killed, frozen and started again by its process id."""

import contextlib
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from kafkajourney.errors import StopError

HOST = "127.0.0.1"
START_DEADLINE = 180.0
STOP_DEADLINE = 30.0
LINES_SHOWN = 20


class Server(ABC):
    """One server process on the loopback interface, its output in ``log``.

    It keeps ports and data when it is started again. After the ``with`` block it is gone.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self.user: str | None = None
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def is_healthy(self) -> bool:
        """Whether it answers."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int | None:
        """Return the id of its process, None where none runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it and wait until it answers; raise StopError where it does not in time."""
        self.spawn()
        self.await_health()

    def spawn(self) -> None:
        """Start it, waiting for nothing."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the stack, which then ends its servers
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else (),
            )

    def await_health(self) -> None:
        """Wait until it answers; raise StopError where it does not in time."""
        deadline = time.monotonic() + START_DEADLINE
        while not self.is_healthy():
            if self.pid is None:
                raise StopError(f"{self.name} has ended. {self.last_lines()}")
            if time.monotonic() > deadline:
                raise StopError(f"{self.name} does not answer within {START_DEADLINE:.0f} s. {self.last_lines()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Let it end in order; kill it where that takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, like a power cut (SIGKILL)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang, its connections open (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def last_lines(self) -> str:
        """Return the end of its log, for people."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"The last lines of {self.log}:", *lines[-LINES_SHOWN:]])

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        self._signal(number)
        if self._process is not None:
            try:
                self._process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def free_port() -> int:
    """Return a port of the loopback interface that is free now.

    None that the system gives to outgoing connections: such a one could be taken while its server is away, even by a
    client that tries to reach that server.
    """
    for port in random.sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port
    raise StopError("There is no free port on the loopback interface between 20000 and 30000.")


@contextlib.contextmanager
def started(servers: Sequence[Server]) -> Iterator[None]:
    """Run servers that need one another to become healthy, until the block ends."""
    with contextlib.ExitStack() as ends:
        for server in servers:
            ends.callback(server.kill)
            server.spawn()
        for server in servers:
            server.await_health()
        yield
