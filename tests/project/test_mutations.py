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


CONSUMING, STORE = "kafkajourney/consuming", "kafkajourney/database/store.py"
LOOP_TESTS, STORE_TESTS = "tests/consuming/test_loop.py", "tests/database/test_store.py"

MUTATIONS = {
    "offsets stored before the commit": Mutation(
        f"{CONSUMING}/loop.py",
        "                written = self._writer.write(batch)\n",
        "                self._assignment.store_offsets(batch.ends)\n"
        "                written = self._writer.write(batch)\n",
        LOOP_TESTS,
    ),
    "no fence": Mutation(STORE, "if moved.rowcount != 1:", "if False:", STORE_TESTS),
    "the progress does not advance": Mutation(
        STORE, "self._advance(connection, partition, move, now)", "pass", STORE_TESTS
    ),
    "fences in reverse order": Mutation(
        STORE, "in sorted(moves.items())", "in sorted(moves.items())[::-1]", STORE_TESTS
    ),
    "the progress is committed before the rows": Mutation(
        STORE,
        "        if letters:\n",
        "        connection.commit()\n        connection.begin()\n        if letters:\n",
        STORE_TESTS,
    ),
    "a replay is not noted": Mutation(STORE, "_letter.replayed_at.is_(None),", "", STORE_TESTS),
    "the search for refused rows writes": Mutation(
        STORE, "transaction.rollback()", "transaction.commit()", STORE_TESTS
    ),
    "the start is not the database's offset": Mutation(
        f"{CONSUMING}/assignment.py", "self._seek(place)", "pass", LOOP_TESTS
    ),
    "an eager assignment keeps old positions": Mutation(
        f"{CONSUMING}/assignment.py",
        "self.positions.revoke(list(self.positions.assigned))",
        "pass",
        LOOP_TESTS,
    ),
    "what came while an answer was waited for is lost": Mutation(
        f"{CONSUMING}/assignment.py", "messages, self._kept = self._kept, []", "messages = []", LOOP_TESTS
    ),
    "what was kept survives a settlement": Mutation(
        f"{CONSUMING}/assignment.py",
        "[message for message in self._kept if message.partition() != partition]",
        "self._kept",
        LOOP_TESTS,
    ),
    "a gap is jumped over": Mutation(
        f"{CONSUMING}/settling.py", "if bounds.first <= offset <= bounds.end:", "if True:", LOOP_TESTS
    ),
    "dead letters are not confirmed": Mutation(f"{CONSUMING}/loop.py", "self._letters.confirm()", "pass", LOOP_TESTS),
    "dead letters of refused rows are not confirmed": Mutation(
        f"{CONSUMING}/batch_writer.py", "self._letters.confirm()", "pass", LOOP_TESTS
    ),
    "records of lost partitions are kept": Mutation(
        f"{CONSUMING}/batch_reader.py", "if offset < next_offsets.get(partition, ELSEWHERE):", "if False:", LOOP_TESTS
    ),
    "the end of a foreign partition moves it": Mutation(
        f"{CONSUMING}/batch_reader.py",
        "if partition in next_offsets and offset > next_offsets[partition]:",
        "if True:",
        LOOP_TESTS,
    ),
    "a partition at fault is read on": Mutation(
        f"{CONSUMING}/batch_reader.py", "                del next_offsets[partition]\n", "", LOOP_TESTS
    ),
    "records in flight survive an outage": Mutation(
        f"{CONSUMING}/positions.py",
        "state.offset, state.settle_at = None, now + wait",
        "state.settle_at = now + wait",
        LOOP_TESTS,
    ),
    "caught up with unsettled partitions": Mutation(
        f"{CONSUMING}/caught_up.py", "going.get(p, -1) < self._ends.get(p, 0)", "False", LOOP_TESTS
    ),
    "caught up in an outage": Mutation(
        f"{CONSUMING}/caught_up.py",
        "            self._on_failure(error, ASK_EVERY)\n            return False\n",
        "            self._on_failure(error, ASK_EVERY)\n            return True\n",
        LOOP_TESTS,
    ),
}


pytestmark = pytest.mark.slow


def run_tests(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a copy of the project in which the named line is broken, if any."""
    for package in ("consumers", "kafkajourney", "migrations", "producer", "schemas", "tests"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "kafkajourney.toml"):
        shutil.copy(ROOT / file, folder)
    tests = [LOOP_TESTS, STORE_TESTS]
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


SHORT = ("offsets stored before the commit", "no fence")
"""The mutations of the short form; the full one has all."""


@pytest.mark.parametrize("name", MUTATIONS if FULL else SHORT)
def test_what_breaks_the_guarantee_is_noticed(name: str, tmp_path: Path) -> None:
    done = run_tests(name, tmp_path)
    assert done.returncode == 1, f"{name} was not noticed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
