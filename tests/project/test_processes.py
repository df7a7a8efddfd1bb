"""The commands as the tests start them, forked, are those that ``python -m`` starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.forked import Forked

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the tests start Python for each command"),
]


@pytest.mark.parametrize("module", ["consumers.journey", "kafkajourney", "migrations", "producer", "schemas"])
def test_a_forked_command_says_and_ends_as_one_that_python_starts(module: str, tmp_path: Path) -> None:
    for arguments in ([module, "--help"], [module, "--no-such-option"]):
        started = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        forked = Forked(arguments, tmp_path, os.environ)
        assert forked.communicate(timeout=60)[0] == started.stdout + started.stderr
        assert forked.returncode == started.returncode


def test_a_forked_command_has_its_folder_its_environment_and_ends_by_its_signal(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(
        "import os, time; print(os.getcwd(), dict(os.environ), flush=True); time.sleep(60)"
    )
    forked = Forked(["sleeper"], tmp_path, {"A": "1"})
    assert forked.stdout.readline() == f"{tmp_path} {{'A': '1'}}\n"
    forked.kill()
    assert forked.communicate(timeout=60) == ("", None)
    assert forked.returncode == -signal.SIGKILL
