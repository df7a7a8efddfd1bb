"""This project's commands as the processes that users run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from tests.stack import Missing
from tests.support.forked import Forked

ROOT = Path(__file__).parents[2]


FOLDER = ROOT / "schemas"
"""The event types' files."""


FULL = "KAFKAJOURNEY_TEST_FULL" in os.environ
"""Whether what is long by nature runs in its full form (`.ci/nightly`); read now, a fixture takes the variable away."""

COMMAND_DEADLINE = 180.0


Process = subprocess.Popen[str] | Forked


def _started(arguments: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Process:
    """Start ``python -m`` with these arguments; forked, unless in the full form or where Python is told something."""
    told = {name for name in variables if name.startswith("PYTHON") and variables[name] != os.environ.get(name)}
    if sys.platform == "linux" and not FULL and not told:
        return Forked(arguments, folder, variables)
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Commands:
    """Runs this project's commands as processes with the settings of a stack."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.variables = variables
        self.running: list[Process] = []

    def start(self, *arguments: str, variables: Mapping[str, str] | None = None) -> "Running":
        process = _started(
            arguments, self.folder, {"KAFKAJOURNEY_LOG_FORMAT": "text", **self.variables, **(variables or {})}
        )
        self.running.append(process)
        return Running(process)

    def run(self, *arguments: str, code: int = 0, variables: Mapping[str, str] | None = None) -> str:
        """Run a command to its end; return what it printed."""
        output = self.start(*arguments, variables=variables).end(code)
        assert "Traceback" not in output
        return output

    def waits(self, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
        """Start a command that has to wait for something; return what it says, and end it."""
        running = self.start(*arguments, variables=variables)
        line = running.read_until("waiting, next try in")
        running.process.send_signal(signal.SIGTERM)
        assert "Error:" not in running.end(130)
        return line


class Running:
    """A command that runs; what it prints so far is in ``lines``."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[str] = []

    def read_until(self, text: str) -> str:
        """Return the first line with this text; fail where the command ends without it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was never printed, but:\n{''.join(self.lines)}")

    def end(self, code: int = 0) -> str:
        """Wait for the end; return all that was printed."""
        rest, _ = self.process.communicate(timeout=COMMAND_DEADLINE)
        output = "".join(self.lines) + rest
        assert self.process.returncode == code, output
        return output


def end_all(commands: Commands) -> None:
    for process in commands.running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def missing_part(missing: Missing) -> NoReturn:
    """Skip the test with the reason; in CI, where every part has to be had, fail."""
    required = "CI" in os.environ or "KAFKAJOURNEY_REQUIRE_REAL" in os.environ
    (pytest.fail if required else pytest.skip)(str(missing))


def wait_for(condition: Callable[[], object], deadline: float = 90.0) -> None:
    """Wait until the condition holds; fail after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline} s"
        time.sleep(0.02)
