"""What tests of the whole pipeline do and look at: consumers that catch up, rows, the verdict."""

import sqlite3
from typing import Any

from kafkajourney.settings import Settings
from tests.support.processes import Commands, wait_for


def rows(stack: Settings, query: str) -> list[Any]:
    with sqlite3.connect(stack.database_url.removeprefix("sqlite:///")) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def store_all(commands: Commands) -> None:
    for group in ("journey", "analytic"):
        commands.run(f"consumers.{group}", "--until-caught-up")


def verified(commands: Commands) -> None:
    """Wait until `kafkajourney verify` ends with 0: the groups may still be catching up."""

    def is_verified() -> bool:
        process = commands.start("kafkajourney", "verify").process
        output, _ = process.communicate(timeout=60)
        assert "Traceback" not in output
        assert "missing 0, duplicates 0, unexpected 0" in output, output
        return process.returncode == 0

    wait_for(is_verified)
