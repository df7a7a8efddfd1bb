"""Processes whose log is read all the while."""

import contextlib
import threading

from sqlalchemy import select, text

from kafkajourney.database import engines
from kafkajourney.database.tables import consumer_progress
from kafkajourney.settings import Settings
from tests.support.processes import Running


class Watched:
    """A consumer whose log is read all the while."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):  # the test has ended, and closed it
            for line in self.running.process.stdout or ():
                self.lines.append(line)

    def says(self, words: str) -> bool:
        return any(words in line for line in self.lines)


def count(settings: Settings, table: str) -> int:
    with engines.disposed(engines.engine(settings)) as engine, engine.connect() as connection:
        return int(connection.scalar(text(f"SELECT COUNT(*) FROM {table}")) or 0)


def progress_of(settings: Settings, group: str) -> dict[int, int]:
    """Return a group's next offset of each partition that it has begun."""
    of = consumer_progress.c
    query = select(of.partition, of.next_offset).where(of.consumer_group == group, of.topic == settings.topic)
    with engines.disposed(engines.engine(settings)) as engine, engine.connect() as connection:
        return {row.partition: row.next_offset for row in connection.execute(query)}


def outlast(seconds: float) -> None:
    """Let an outage last: there is nothing to wait for but time."""
    threading.Event().wait(seconds)
