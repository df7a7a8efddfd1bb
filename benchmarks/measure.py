"""Measuring processes from the outside: wall time, CPU time, peak memory, and when their work can be seen."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from kafkajourney.errors import StopError

LOOK_EVERY = 0.02
DEADLINE = 600.0
LINES_SHOWN = 20
ENDS_WELL = (0, 130, -signal.SIGTERM, 128 + signal.SIGTERM)
"""Exit codes of a process that has done its work, or was asked to end."""


class Run(NamedTuple):
    """What one process took, its start included."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


class Process:
    """A process under measurement, with its own time and memory."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> None:
        self._command = command
        self.began = time.monotonic()
        self._log = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 # gone with the object
        self._process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=self._log
        )
        self._peak_kib = 0

    def look(self) -> Run | None:
        """Note the memory; return what it took if it has ended, and raise StopError if that was with an error."""
        # Not ru_maxrss: what it says of a child includes what the parent had when it started the child.
        self._peak_kib = max(self._peak_kib, peak_kib(self._process.pid))
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if not pid:
            return None
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode not in ENDS_WELL:
            self._log.seek(0)
            said = "".join(self._log.readlines()[-LINES_SHOWN:])
            raise StopError(f"{' '.join(self._command)} ended with {self._process.returncode}. {said}")
        return Run(time.monotonic() - self.began, usage.ru_utime + usage.ru_stime, self._peak_kib / 1024)

    def ended(self) -> Run:
        """Wait for its end; raise StopError where it fails."""
        while (run := self.look()) is None:
            time.sleep(LOOK_EVERY)
        return run

    def stop(self) -> Run:
        """Ask it to end, and wait for that."""
        os.kill(self._process.pid, signal.SIGTERM)  # not terminate(), which takes the exit status of one that has ended
        return self.ended()

    def kill(self) -> None:
        """End it at once if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run ``python -m ARGUMENTS`` to its end; raise StopError where it fails."""
    return Process(python(*arguments), environment).ended()


def python(*arguments: str) -> list[str]:
    """Return the command that runs a module of this project."""
    return [sys.executable, "-m", *arguments]


def peak_kib(pid: int) -> int:
    """Return the most memory that a process has had resident; 0 where it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


class Drained(NamedTuple):
    """What it took to drain a backlog: from the start of the first process until a reader sees the last event."""

    seconds: float
    first_seconds: float
    """Until a reader sees the first events."""
    first_events: int
    """How many it then sees."""
    cpu_seconds: float
    """Of all processes, until they have ended."""
    peak_mib: float
    """Of the largest process."""


def drained(
    processes: Sequence[Process], seen: Callable[[], int], is_done: Callable[[], bool], *, ends_itself: bool
) -> Drained:
    """Watch processes until all their work can be seen, then let them end; raise StopError where one fails."""
    began = processes[0].began
    runs: list[Run | None] = [None] * len(processes)

    def wait_for(condition: Callable[[], int | bool]) -> float:
        while not condition():
            for number, process in enumerate(processes):
                runs[number] = runs[number] or process.look()
            if all(runs) and not condition():
                raise StopError("The processes have ended, and not all events are in the database.")
            if time.monotonic() > began + DEADLINE:
                raise StopError(f"The backlog was not drained within {DEADLINE:.0f} s.")
            time.sleep(LOOK_EVERY)
        return time.monotonic() - began

    first = wait_for(seen)
    first_events = seen()
    seconds = wait_for(is_done)
    end = Process.ended if ends_itself else Process.stop
    ended = [run or end(process) for run, process in zip(runs, processes, strict=True)]
    return Drained(seconds, first, first_events, sum(r.cpu_seconds for r in ended), max(r.peak_mib for r in ended))
