"""The application that a command works for: the one that comes with the library, or that of the working folder."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kafkajourney import application
from tests.support.processes import ROOT

pytestmark = pytest.mark.stack  # each starts processes

OWN_GROUPS = """
from kafkajourney.group import SUM, Group
from consumers.journey.table import journey_events

GROUPS = (Group("searches", frozenset({"SearchPerformed"}), journey_events, lambda record: None),)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a folder with an application of its own."""
    for package in ("schemas", "consumers", "migrations"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "consumers" / "__init__.py").write_text(OWN_GROUPS)
    (tmp_path / "kafkajourney.toml").write_text('[application]\nnamespace = "shop.events"\n')
    return tmp_path


def run(folder: Path, *arguments: str) -> str:
    """Run the console script, which does not look in the working folder by itself."""
    script = "import sys; sys.path.remove(''); from kafkajourney.control.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_without_one_of_its_own_a_folder_has_the_application_that_comes_along(tmp_path: Path) -> None:
    assert "{journey|analytic}" in run(tmp_path, "dlq", "show", "--help")
    here = application.current()
    assert (here.schemas, here.migrations, here.namespace) == (
        ROOT / "schemas",
        ROOT / "migrations",
        "kafkajourney.events",
    )
    assert list(here.groups) == ["journey", "analytic"]


def test_a_folder_with_the_table_is_an_application(own: Path) -> None:
    assert "{searches}" in run(own, "dlq", "show", "--help")
    assert "'journey' is not one of 'searches'" in run(own, "dlq", "show", "journey", "0", "0")


def test_a_new_type_gets_the_namespace_of_the_application(own: Path) -> None:
    command = [sys.executable, "-m", "schemas", "new", "CartFilled"]
    subprocess.run(command, cwd=own, check=True, capture_output=True)
    text = (own / "schemas" / "cart_filled" / "v1.avsc").read_text()
    assert '"namespace": "shop.events"' in text
    assert not (ROOT / "schemas" / "cart_filled").exists()
