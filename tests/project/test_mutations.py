"""The tests' own test: where the guarantee is broken on purpose, a test that is named here has to fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.processes import FULL, ROOT


class Mutation(NamedTuple):
    """A line of the source, what it is broken to, and the test that has to notice."""

    file: str
    line: str
    broken: str
    caught_by: str


LOOP, STORE = "kafkajourney/consuming/loop.py", "kafkajourney/database/store.py"

MUTATIONS = {
    "offsets stored before the commit": Mutation(
        LOOP,
        "        self._patiently(lambda: self._store.commit(records, moves), tell_late)\n",
        "        self._store_offsets(ends)\n"
        "        self._patiently(lambda: self._store.commit(records, moves), tell_late)\n",
        "tests/consuming/test_loop.py::test_offsets_are_stored_after_the_commit",
    ),
    "no fence": Mutation(
        STORE,
        "if moved.rowcount != 1:",
        "if False:",
        "tests/database/test_store.py",
    ),
    "the progress does not advance": Mutation(
        STORE, "self._advance(connection, partition, move, now)", "pass", "tests/database/test_store.py"
    ),
    "the progress is committed before the rows": Mutation(
        STORE,
        "            if set_aside:\n",
        "            connection.commit()\n            connection.begin()\n            if set_aside:\n",
        "tests/database/test_store.py",
    ),
    "the start is not the database's offset": Mutation(
        LOOP,
        "self._consumer.seek(place)",
        "pass",
        "tests/consuming/test_loop.py",
    ),
    "a gap is jumped over": Mutation(
        LOOP,
        "self._require_kept(partition, positions[partition], low, high)",
        "pass",
        "tests/consuming/test_loop.py",
    ),
    "dead letters are not confirmed": Mutation(
        LOOP,
        "self._confirm()  # the broker",
        "pass  # the broker",
        "tests/consuming/test_loop.py",
    ),
    "records of lost partitions are kept": Mutation(
        LOOP,
        "position = self._positions.get(partition)",
        "position = self._positions.get(partition, 0)",
        "tests/consuming/test_loop.py",
    ),
    "records in flight survive an outage": Mutation(
        LOOP,
        "        self._positions.clear()\n",
        "",
        "tests/consuming/test_loop.py",
    ),
    "halving forgets the second half": Mutation(
        LOOP,
        "                self._write(records[middle:], ends)\n",
        "",
        "tests/consuming/test_loop.py",
    ),
    "a replay is not noted": Mutation(
        STORE,
        "_letter.replayed_at.is_(None),",
        "",
        "tests/database/test_store.py",
    ),
}


pytestmark = pytest.mark.slow


def run_tests(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a copy of the project in which the named line is broken, if any."""
    for package in ("consumers", "kafkajourney", "migrations", "producer", "schemas", "tests"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    tests = ["tests/consuming/test_loop.py", "tests/database/test_store.py"]
    if name:
        mutation = MUTATIONS[name]
        path = folder / mutation.file
        source = path.read_text(encoding="utf-8")
        assert source.count(mutation.line) == 1, f"{name}: the line to break is not there once"
        path.write_text(source.replace(mutation.line, mutation.broken), encoding="utf-8")
        tests = [mutation.caught_by]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", "0", *tests],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_not_broken_passes(tmp_path: Path) -> None:
    done = run_tests("", tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


SHORT = ("offsets stored before the commit", "no fence", "records of lost partitions are kept")
"""The mutations of the short form; the full one has all."""


@pytest.mark.parametrize("name", MUTATIONS if FULL else SHORT)
def test_what_breaks_the_guarantee_is_noticed(name: str, tmp_path: Path) -> None:
    done = run_tests(name, tmp_path)
    assert done.returncode == 1, f"{name} was not noticed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
