"""Fixtures: the embedded stack and the real one, and commands as the processes that users run."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from kafkajourney.embedded.stack import embedded_stack, environment
from kafkajourney.settings import ENVIRONMENT, Settings
from kafkajourney.state import STATE_FOLDER
from tests.stack import Missing, RealStack, real_stack

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "schemas"
"""The event types' files."""
COMMAND_DEADLINE = 60.0


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("KAFKAJOURNEY_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    """Real Kafka and a real registry, once for all tests; each takes a topic and a database of its own (``fresh``)."""
    try:
        with real_stack(tmp_path_factory.mktemp("real"), with_postgres=True) as stack:
            yield stack
    except Missing as missing:
        missing_part(missing)


@pytest.fixture(params=["embedded", "real"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """The same tests run on the embedded stack and on the real one."""
    if request.param == "embedded":
        with embedded_stack(tmp_path / STATE_FOLDER) as settings:
            yield settings
    else:
        real: RealStack = request.getfixturevalue("real")
        yield real.fresh(f"test-{uuid.uuid4().hex[:12]}")
        print(real.last_lines())  # shown where the test fails


class Commands:
    """Runs this project's commands as processes with the settings of a stack."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.variables = variables
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, variables: Mapping[str, str] | None = None) -> "Running":
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env={"KAFKAJOURNEY_LOG_FORMAT": "text", **self.variables, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        return Running(process)

    def run(self, *arguments: str, code: int = 0, variables: Mapping[str, str] | None = None) -> str:
        """Run a command to its end; return what it printed."""
        output = self.start(*arguments, variables=variables).end(code)
        assert "Traceback" not in output
        return output


class Running:
    """A command that runs; what it prints so far is in ``lines``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
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


@pytest.fixture
def commands(stack: Settings, tmp_path: Path) -> Iterator[Commands]:
    """Commands that use the stack, in a folder of their own."""
    made = Commands(tmp_path, environment(stack))
    yield made
    end_all(made)


@pytest.fixture
def settings(real: RealStack) -> Iterator[Settings]:
    """The real stack, with a topic and a PostgreSQL database of the test's own; what fails shows the logs' ends."""
    yield real.fresh(f"test-{uuid.uuid4().hex[:12]}", on_postgres=True)
    print(real.last_lines())


@pytest.fixture
def real_commands(settings: Settings, tmp_path: Path) -> Iterator[Commands]:
    """Commands that use the real stack as the module's ``settings`` say, in a folder of their own."""
    made = Commands(tmp_path, environment(settings))
    yield made
    end_all(made)


@pytest.fixture
def lone_commands(tmp_path: Path) -> Iterator[Commands]:
    """Commands for which nothing runs: each of their addresses is one where nobody listens."""
    nowhere = {
        ENVIRONMENT["bootstrap_servers"]: "127.0.0.1:1",
        ENVIRONMENT["schema_registry_url"]: "http://127.0.0.1:1",
        ENVIRONMENT["database_url"]: f"sqlite:///{tmp_path}/empty.db",
    }
    made = Commands(tmp_path, {name: value for name, value in os.environ.items() if name not in nowhere} | nowhere)
    yield made
    end_all(made)


def end_all(commands: Commands) -> None:
    for process in commands.running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def missing_part(missing: Missing) -> NoReturn:
    """Skip the test with the reason; in CI, where every part has to be had, fail."""
    required = "CI" in os.environ or "KAFKAJOURNEY_REQUIRE_REAL" in os.environ
    (pytest.fail if required else pytest.skip)(str(missing))


def wait_for(condition: Callable[[], object], deadline: float = 30.0) -> None:
    """Wait until the condition holds; fail after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline} s"
        time.sleep(0.02)
