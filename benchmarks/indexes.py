"""``python -m benchmarks.indexes``: what each index and the type of the payload cost an insert, in turn, in one run.

The same rows are inserted by the store's own way into tables that differ in one thing; PostgreSQL (as the tests start
it) and SQLite. See docs/performance.md for what was made of the figures.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from sqlalchemy import Engine, Index, MetaData, Table, UnicodeText, create_engine

from benchmarks.sql_server import events
from consumers.journey import JOURNEY
from consumers.journey.table import journey_events
from kafkajourney.command.options import common_options
from kafkajourney.command.running import main
from kafkajourney.database.dialect import dialect_of
from kafkajourney.group import Group
from tests.stack.postgres import postgres

BATCH = 2000

VARIANTS: dict[str, tuple[str, ...] | None] = {
    "no index": (),
    "user_id": ("user_id",),
    "user_id, partition, offset": ("user_id", "partition", "offset"),
    "user_id, topic, partition, offset": ("user_id", "topic", "partition", "offset"),
    "occurred_at": ("occurred_at",),
    "payload as text, no index": None,
}


def variant(number: int, columns: tuple[str, ...] | None) -> Group:
    """Return the group journey with a table of its own that has one index more, or its payload as plain text."""
    table = Table(f"journey_events_{number}", MetaData())
    for column in journey_events.columns:
        copy = column._copy()
        if columns is None and copy.name == "payload":
            copy.type = UnicodeText()
        table.append_column(copy)
    if columns:
        Index(f"ix_{number}", *(table.c[name] for name in columns))
    return replace(JOURNEY, table=table)


def timed(engine: Engine, group: Group, rows: Sequence[tuple[Any, ...]]) -> float:
    """Return the microseconds of CPU and waiting that a row takes, in transactions of a batch."""
    with engine.begin() as connection:
        group.table.metadata.drop_all(connection)
        group.table.metadata.create_all(connection)
    began = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        with engine.begin() as connection:
            dialect_of(connection).insert(connection, group, rows[start : start + BATCH])
    return (time.perf_counter() - began) / len(rows) * 1e6


def measured(engine: Engine, rows: Sequence[tuple[Any, ...]], rounds: int) -> Iterator[tuple[str, float]]:
    """Yield each variant with the median of its rounds, which take turns."""
    groups = {name: variant(number, columns) for number, (name, columns) in enumerate(VARIANTS.items())}
    found: dict[str, list[float]] = {name: [] for name in groups}
    for _ in range(rounds):
        for name, group in groups.items():
            found[name].append(timed(engine, group, rows))
    return ((name, statistics.median(times)) for name, times in found.items())


@click.command(name="benchmarks.indexes")
@click.option("--rows", type=click.IntRange(BATCH), default=100_000, show_default=True, help="Rows of a round.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds; the median counts.")
@common_options
def cli(rows: int, rounds: int) -> None:
    """Compare the cost of indexes of journey_events, in microseconds a row and against the table without one."""
    written = events(rows)
    with TemporaryDirectory() as folder, postgres(Path(folder)) as server:
        engines = {"postgresql": create_engine(server.url()), "sqlite": create_engine(f"sqlite:///{folder}/journey.db")}
        for database, engine in engines.items():
            dialect_of(engine).set_up(engine, may_create=True)
            results = dict(measured(engine, written, rounds))
            for name, micros in results.items():
                more = micros - results["no index"]
                click.echo(f"{database:<11} {name:<36} {micros:6.2f} us a row  {more:+6.2f}")
            engine.dispose()


if __name__ == "__main__":
    main(cli, "KAFKAJOURNEY_INDEXES")
