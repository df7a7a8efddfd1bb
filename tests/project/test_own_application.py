"""An application of one's own, with only the wheel installed: made, tested, run, extended as the docs say."""

import json
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.support.processes import FULL, ROOT, wait_for
from tests.support.wheel import SCRIPT, Installed, built

pytestmark = pytest.mark.stack

LINE = json.dumps(
    {"type": "CartUpdated", "user_id": "ada", "session_id": "ada-1", "page_url": "https://shop.example.com/"}
    | {"occurred_at": "2026-03-14T09:26:53.589Z", "items": 3}
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(built(tmp_path_factory.mktemp("wheel")), tmp_path_factory.mktemp("environment"))


@pytest.fixture
def shop(installed: Installed, tmp_path: Path) -> Path:
    said = installed.kafkajourney(tmp_path, "new", "shop")
    assert said.startswith("shop is an application, with its event types in the namespace shop.events.")
    return tmp_path / "shop"


@contextmanager
def running(installed: Installed, folder: Path) -> Iterator[list[str]]:
    """Run ``kafkajourney up`` in a folder; yield the lines that it printed until it was ready."""
    process = installed.start(folder, "-P", "-c", SCRIPT, "up")
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if "MiB a partition" in line:
                break
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130, lines


def follow(page: str, installed: Installed, folder: Path) -> str:
    """Do what a page of the docs says: write each file that it shows, run each command; return what was printed."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    printed = ""
    for name, kind, block in re.findall(r"(?:^`([\w./]+)`:\n\n)?^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if name:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(block, encoding="utf-8")
        elif kind == "sh":
            for line in block.splitlines():
                printed += run_as_pasted(installed, folder, line)
    return printed


def run_as_pasted(installed: Installed, folder: Path, line: str) -> str:
    program, *arguments = line.partition("#")[0].split()
    arguments = [argument.strip('"') for argument in arguments]
    if program == "kafkajourney":
        return installed.kafkajourney(folder, *arguments)
    assert program == "python"
    return installed.run(folder, *arguments)


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / ".kafkajourney" / "journey.db")) as connection:
        return connection.execute(query).fetchall()


def test_the_wheel_has_one_package(installed: Installed) -> None:
    assert {name for name in installed.top_level if not name.endswith(".dist-info")} == {"kafkajourney"}


def test_the_demo_runs_in_an_empty_folder_also_beside_packages_of_somebody_else(
    installed: Installed, tmp_path: Path
) -> None:
    for name in ("schemas", "migrations", "consumers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('somebody else')\n")
    assert "verified" in installed.kafkajourney(tmp_path, "demo", "--events", "60", "--rate", "0")
    said = installed.kafkajourney(tmp_path, "dlq", "show", "journey", "0", "0", code=1)
    assert "There is no application in this folder. Make one (kafkajourney new shop)" in said


def test_without_an_application_up_serves_the_one_that_comes_along(installed: Installed, tmp_path: Path) -> None:
    with running(installed, tmp_path) as lines:
        (there,) = (Path(line.removeprefix("cd ")) for line in lines if line.startswith("cd "))
        assert "produced 20 events" in installed.run(there, "-m", "producer", "--rate", "0", "--count", "20")
        for group in ("journey", "analytic"):
            installed.run(there, "-m", f"consumers.{group}", "--until-caught-up")
        assert "verified" in installed.kafkajourney(there, "verify")


def test_the_tests_of_a_new_application_pass(installed: Installed, shop: Path) -> None:
    said = installed.command(shop, "make", "test", PYTHON=str(installed.python))
    assert re.search(r"\d+ passed", said)
    assert "failed" not in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["Shop"], "'Shop' is no name for an application"),
        (["shop", "--namespace", "1.x"], "'1.x' is no namespace"),
        (["taken"], "taken exists, and is not empty"),
    ],
)
def test_a_name_that_cannot_be_taken_is_refused(
    installed: Installed, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").touch()
    assert sentence in installed.kafkajourney(tmp_path, "new", *arguments, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_type_is_added_as_the_page_says(installed: Installed, shop: Path) -> None:
    follow("adding-a-type.md", installed, shop)
    assert (shop / "schemas" / "cart_updated" / "v1.avsc").exists()
    assert LINE in (ROOT / "docs" / "adding-a-type.md").read_text()
    (shop / "events.ndjson").write_text(LINE + "\n")
    with running(installed, shop):
        installed.run(shop, "-m", "producer", "--input", "events.ndjson")
        installed.run(shop, "-m", "consumers.journey", "--until-caught-up")
        assert rows(shop, "SELECT event_type, payload FROM journey_events") == [("CartUpdated", '{"items":3}')]
    if FULL:
        installed.command(shop, "make", "test", PYTHON=str(installed.python))


def test_a_group_is_added_as_the_page_says(installed: Installed, shop: Path) -> None:
    """One folder, one line, one revision: and it is consumed, killed, verified, in status, metrics and demo."""
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    printed = follow("adding-a-group.md", installed, shop)
    assert "application_0003_searches.py is written." in printed
    assert "verified" in printed
    changed = {p.relative_to(shop).as_posix() for p, content in before.items() if p.read_bytes() != content}
    assert changed == {"consumers/__init__.py"}
    with running(installed, shop):
        installed.run(shop, "-m", "producer", "--rate", "0", "--count", "3000", "--seed", "7")
        with killed_and_started_again(installed, shop) as port:
            wait_for(lambda: sum(n for (n,) in rows(shop, "SELECT times FROM searches")) > 0)
            with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:  # loopback
                assert 'group="searches"' in answer.read().decode()
        for group in ("journey", "analytic", "searches"):
            installed.run(shop, "-m", f"consumers.{group}", "--until-caught-up")
        assert "verified" in installed.kafkajourney(shop, "verify")
        status = json.loads(installed.kafkajourney(shop, "status", "--json"))
        assert [(of["group"], of["lag_records"]) for of in status["groups"]] == [
            *(("journey", 0), ("analytic", 0), ("searches", 0)),
        ]
        searched = "FROM journey_events WHERE event_type = 'SearchPerformed'"
        counted = rows(shop, f"SELECT payload ->> 'query', COUNT(*) {searched} GROUP BY 1")
        assert dict(rows(shop, "SELECT query, times FROM searches")) == dict(counted)


@contextmanager
def killed_and_started_again(installed: Installed, folder: Path) -> Iterator[int]:
    """Run a consumer of the new group, after one was killed in the midst of its work; yield its port for metrics."""

    def start() -> tuple[subprocess.Popen[str], int]:
        process = installed.start(folder, "-m", "consumers.searches", "--metrics-port", "0", "--batch-size", "50")
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"127\.0\.0\.1:(\d+)", line):
                return process, int(found[1])
        raise AssertionError("it tells no port")

    first, _port = start()
    wait_for(lambda: rows(folder, "SELECT COUNT(*) FROM searches") > [(0,)])
    first.kill()
    first.communicate()
    second, port = start()
    try:
        yield port
    finally:
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=60)
