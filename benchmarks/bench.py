"""What all parts of the benchmark use: the stack, backlogs of any size, and empty databases."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import click
import psycopg

from benchmarks.measure import run
from benchmarks.watch import reader
from kafkajourney.embedded.stack import environment
from kafkajourney.errors import StopError
from kafkajourney.kafka import reading
from kafkajourney.settings import Settings
from tests.stack import RealStack
from tests.stack.real import prepare

SIMULATED = ("--users", "1000", "--seed", "7")
"""The same events in every run."""


class Backlog(NamedTuple):
    """Events on a topic of their own, and where its partitions end."""

    topic: str
    events: int
    ends: Mapping[int, int]


@dataclass
class Bench:
    """One run of the benchmark."""

    stack: RealStack
    events: int
    repeat: int
    seconds: float
    _backlogs: dict[int, Backlog] = field(default_factory=dict)

    def backlog(self, events: int) -> Backlog:
        """Return a backlog of so many events; produced when it is first asked for."""
        if events not in self._backlogs:
            settings = replace(self.stack.settings, topic=f"backlog-{events}")
            prepare(settings)
            tell(f"producing a backlog of {events} events")
            run(["producer", "--rate", "0", "--count", str(events), *SIMULATED], environment(settings))
            ends = reading.end_offsets(settings)
            if sum(ends.values()) != events:
                raise StopError(f"{settings.topic} has {sum(ends.values())} events in place of {events}.")
            self._backlogs[events] = Backlog(settings.topic, events, ends)
        return self._backlogs[events]

    def postgres_version(self) -> str:
        """Return the version of the stack's PostgreSQL."""
        url = self.stack.postgres.url() if self.stack.postgres else ""
        return str(reader(url)("SHOW server_version")[0][0]).split()[0]

    @contextmanager
    def database(self, kind: str, topic: str) -> Iterator[Settings]:
        """Yield settings with an empty database; drop it afterwards, so that nothing goes on in the background."""
        name = f"bench-{kind}"
        settings = replace(self.stack.empty_database(name, on_postgres=kind == "postgresql"), topic=topic)
        os.sync()
        try:
            yield settings
        finally:
            if kind == "postgresql":
                self._drop(name)
            else:
                for file in Path(self.stack.folder).glob(f"{name}.db*"):
                    file.unlink()

    def _drop(self, name: str) -> None:
        if self.stack.postgres is not None:
            url = self.stack.postgres.url().replace("postgresql+psycopg", "postgresql")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
                connection.execute("CHECKPOINT")


def tell(what: str) -> None:
    """Show what is going on."""
    click.echo(what, err=True)
