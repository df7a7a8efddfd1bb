"""Public: the embedded stack as a pytest fixture, for the tests of an application.

In ``tests/conftest.py``: ``from kafkajourney.testing import journey``. The fixture starts a broker, a registry and a
database of its own for each test, a tenth of a second in all; needs ``pip install 'kafkajourney[testing]'``.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from kafkajourney import application
from kafkajourney.database import engines
from kafkajourney.embedded.stack import embedded_stack, environment
from kafkajourney.settings import Settings

DEADLINE = 120.0
"""Seconds that a command may take."""


class Journey:
    """A running stack with the application's topic, schemas and tables, and the commands that use it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        """Where the stack is."""

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run ``python -m`` with these arguments to its end; return what it printed.

        Raises AssertionError, with all that was printed, where it ends with another exit code.
        """
        done = subprocess.run(  # noqa: S603 # our own modules
            [sys.executable, "-m", *arguments],
            cwd=application.current().folder,
            env=environment(self.settings),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        printed = done.stdout + done.stderr
        if done.returncode != code:
            raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}:\n{printed}")
        return printed

    def store_all(self) -> None:
        """Let each of the application's groups store everything that is on the topic."""
        for group in application.current().groups:
            self.run(f"consumers.{group}", "--until-caught-up")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows that a query gives."""
        with engines.disposed(engines.engine(self.settings)) as engine, engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """Run an embedded stack for one test."""
    with embedded_stack(tmp_path / "stack") as settings:
        yield Journey(settings)
