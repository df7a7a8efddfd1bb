"""Importing does nothing, and what depends on the dialect stands in the dialects' modules.

Which room may import which is in pyproject.toml, and checked by ``make lint`` (import-linter).
"""

import subprocess
import sys
from pathlib import Path

import pytest

from kafkajourney import settings
from kafkajourney.database.dialect import DIALECTS, dialect_of
from kafkajourney.errors import StopError
from tests.support.processes import ROOT

PACKAGES = ("consumers", "kafkajourney", "migrations", "producer", "schemas")
LONGEST_FILE = 250
LONG = {"kafkajourney/consuming/loop.py"}
"""Files that are longer still; the loop is taken apart in a change of its own."""


def modules() -> dict[str, Path]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    # Alembic runs its environment and the revisions; nobody imports them.
    imported = [path for path in paths if path.name != "env.py" and path.parent.name != "versions"]
    named = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in imported}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


@pytest.mark.stack
def test_importing_does_nothing() -> None:
    names = [name for name in modules() if name != "kafkajourney.__main__"]
    script = f"""
import importlib, socket, sqlite3, subprocess, threading
def refuse(*_arguments, **_more):
    raise AssertionError("importing did something")
socket.socket.connect = socket.create_server = sqlite3.connect = subprocess.Popen.__init__ = refuse
threading.Thread.start = refuse
import confluent_kafka
for name in ("Consumer", "Producer"):
    setattr(confluent_kafka, name, type(name, (), {{"__init__": refuse}}))
for name in {names!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.stack
def test_the_library_knows_nothing_of_the_application() -> None:
    names = [name for name in modules() if name.startswith("kafkajourney") and name != "kafkajourney.__main__"]
    script = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
print(sorted(set(sys.modules) & {{"consumers", "migrations", "producer", "schemas"}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("word", ["OPENJSON", "PRAGMA", "ON CONFLICT", "COPY ", "NOCOUNT", "SNAPSHOT"])
def test_what_depends_on_the_dialect_stands_in_the_dialects(word: str) -> None:
    users = {name for name, path in modules().items() if word in path.read_text(encoding="utf-8")}
    assert users
    assert all(name.startswith("kafkajourney.database.dialects.") for name in users), users


def test_a_database_that_is_not_served_is_an_error() -> None:
    class Bound:
        class dialect:  # noqa: N801 # as SQLAlchemy has it
            name = "oracle"

    assert set(DIALECTS) == set(settings.DIALECTS) == {"mssql", "postgresql", "sqlite"}
    with pytest.raises(StopError, match=r"Database 'oracle' is not supported\. Supported are: mssql, postgresql, sq"):
        dialect_of(Bound)  # type: ignore[arg-type]


def test_no_file_is_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for path in modules().values()
        if "events.py" not in path.parts  # generated
    }
    assert {name for name, lines in lengths.items() if lines > LONGEST_FILE} <= LONG | {"producer/simulator.py"}


def test_every_room_has_a_sentence_on_its_door() -> None:
    for path in (ROOT / "kafkajourney").rglob("__init__.py"):
        assert path.read_text(encoding="utf-8").startswith('"""'), path
