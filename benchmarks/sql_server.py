"""``python -m benchmarks.sql_server``: ways to write a batch of events into SQL Server, in turn, in one run.

Every way writes the same rows, 2,000 in a transaction, to ``journey_events`` of a database that is migrated; they are
deleted afterwards. See docs/decisions/0007-sql.md for what was made of the figures.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import click
from sqlalchemy import Connection, Engine, delete, insert, text
from sqlalchemy.exc import DBAPIError

from consumers.journey import JOURNEY
from consumers.journey.table import journey_events
from kafkajourney.command.options import common_options, settings_options
from kafkajourney.command.running import main
from kafkajourney.database import engines
from kafkajourney.database.dialects import mssql
from kafkajourney.database.writing import placed
from kafkajourney.events import Decoded, Record, as_text
from kafkajourney.settings import Settings
from producer.simulator import simulate, utc_now

TOPIC = "benchmark-of-the-write-path"
BATCH = 2000
BASELINE = "executemany"

_NAMES = [column.name for column in JOURNEY.columns]
_QUOTED = ", ".join(f"[{name}]" for name in _NAMES)
_PLAIN = f"INSERT INTO journey_events ({_QUOTED}) VALUES ({', '.join('?' * len(_NAMES))})"
_TYPES = {
    "topic": "NVARCHAR(249)",
    "partition": "INT",
    "offset": "BIGINT",
    "event_id": "NVARCHAR(36)",
    "event_type": "NVARCHAR(128)",
    "user_id": "NVARCHAR(128)",
    "session_id": "NVARCHAR(128)",
    "page_url": "NVARCHAR(2048)",
    "occurred_at": "DATETIME2(3)",
    "received_at": "DATETIME2(3)",
    "schema_id": "INT",
    "stored_at": "DATETIME2(3)",
    "payload": "NVARCHAR(MAX)",
}
_FIELDS = ", ".join(f"[{name}] {_TYPES[name]}" for name in _NAMES)
_FROM_OBJECTS = f"INSERT INTO journey_events ({_QUOTED}) SELECT {_QUOTED} FROM OPENJSON(?) WITH ({_FIELDS} AS JSON)"

Row = tuple[Any, ...]
Write = Callable[[Connection, Sequence[Row]], None]


def executemany(connection: Connection, rows: Sequence[Row]) -> None:
    """The driver's own loop: a statement for each row."""
    connection.exec_driver_sql(_PLAIN, list(rows))


def sqlalchemy_insert(connection: Connection, rows: Sequence[Row]) -> None:
    """SQLAlchemy's ``insert`` with a list."""
    connection.execute(insert(journey_events), [dict(zip(_NAMES, values, strict=True)) for values in rows])


def fast_executemany(connection: Connection, rows: Sequence[Row]) -> None:
    """Parameter arrays of pyodbc. With FreeTDS they crash the process."""
    with closing(connection.connection.cursor()) as cursor:
        cursor.fast_executemany = True  # type: ignore[attr-defined]
        cursor.executemany(_PLAIN, list(rows))


def table_valued_parameter(connection: Connection, rows: Sequence[Row]) -> None:
    """A parameter that is a table, for a procedure and a type that have to be there."""
    table = ["benchmark_rows", "dbo", *rows]
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute("EXEC benchmark_insert ?", (table,))


def json_objects(connection: Connection, rows: Sequence[Row]) -> None:
    """One JSON parameter too, of objects in place of arrays: the names stand in it for every row."""
    texts = [dict(zip(_NAMES, (*values[:-1], json.loads(values[-1])), strict=True)) for values in rows]
    connection.exec_driver_sql(_FROM_OBJECTS, (json.dumps(texts, default=datetime.isoformat),))


def json_arrays(connection: Connection, rows: Sequence[Row]) -> None:
    """What the consumers do."""
    mssql.insert(connection, JOURNEY, rows)


WAYS: dict[str, Write] = {
    BASELINE: executemany,
    "SQLAlchemy insert": sqlalchemy_insert,
    "fast_executemany": fast_executemany,
    "table-valued parameter": table_valued_parameter,
    "JSON objects": json_objects,
    "JSON arrays": json_arrays,
}
MICROSOFTS = ("fast_executemany", "table-valued parameter")


class Result(NamedTuple):
    """Rows a second of one way through one driver: the median of the rounds, and the worst and the best."""

    driver: str
    way: str
    median: float
    slowest: float
    fastest: float


def events(number: int) -> list[Row]:
    """Return rows as the simulator's users make them."""
    simulated = islice(simulate(1000, seed=7), number)
    stored_at = as_text(utc_now())
    decoded = (Decoded(type(event).__name__, event, {}) for event in simulated)
    records = [Record(TOPIC, n % 3, n, event) for n, event in enumerate(decoded)]
    for record in records:
        record.row = JOURNEY.rows(record)
    return placed(JOURNEY, records, stored_at)


def timed(engine: Engine, write: Write, rows: Sequence[Row]) -> float:
    """Return the rows a second of writing these, a transaction for each batch; delete them."""
    gc.collect()
    began = time.perf_counter()
    try:
        for start in range(0, len(rows), BATCH):
            with engine.begin() as connection:
                write(connection, rows[start : start + BATCH])
        return len(rows) / (time.perf_counter() - began)
    finally:
        clear(engine)


def clear(engine: Engine) -> None:
    """Delete the rows of a former round."""
    with engine.begin() as connection:
        connection.execute(delete(journey_events).where(journey_events.c.topic == TOPIC))


def make_type(engine: Engine) -> None:
    """Make the type and the procedure that a table-valued parameter needs."""
    drop_type(engine)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TYPE benchmark_rows AS TABLE ({_FIELDS})"))
        connection.execute(
            text(f"""
            CREATE PROCEDURE benchmark_insert @rows benchmark_rows READONLY AS
            INSERT INTO journey_events ({_QUOTED}) SELECT {_QUOTED} FROM @rows""")
        )


def drop_type(engine: Engine) -> None:
    """Drop what ``make_type`` makes."""
    with engine.begin() as connection:
        connection.execute(text("DROP PROCEDURE IF EXISTS benchmark_insert"))
        connection.execute(text("DROP TYPE IF EXISTS benchmark_rows"))


def compared(settings: Settings, rows: Sequence[Row], rounds: int) -> Iterator[Result]:
    """Yield the results of all ways through one driver; rounds take turns, so that a slow moment meets all."""
    with engines.disposed(engines.engine(settings)) as engine, engines.reached(settings):
        driver = str(engine.url.query.get("driver", engine.url.drivername))
        is_free = "FreeTDS" in driver or "tdsodbc" in driver
        ways = {name: write for name, write in WAYS.items() if not (is_free and name in MICROSOFTS)}
        clear(engine)
        make_type(engine)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, write in ways.items():
                try:
                    rates[name].append(timed(engine, write, rows))
                except DBAPIError as error:
                    click.echo(f"{name}: {error.orig}", err=True)
        drop_type(engine)
    for name, found in rates.items():
        if found:
            yield Result(driver.rpartition("/")[2], name, statistics.median(found), min(found), max(found))


@click.command(name="benchmarks.sql_server")
@click.option("--rows", type=click.IntRange(BATCH), default=10_000, show_default=True, help="Rows of a round.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds; the median counts.")
@click.option("--and-url", multiple=True, help="Another URL (with another driver) to compare in the same run.")
@settings_options("database_url")
@common_options
def cli(settings: Settings, rows: int, rounds: int, and_url: tuple[str, ...]) -> None:
    """Compare ways to write events into SQL Server, as rows a second and as parts of the driver's executemany."""
    written = events(rows)
    for url in (settings.database_url, *and_url):
        results = list(compared(replace(settings, database_url=url), written, rounds))
        plain = next(result.median for result in results if result.way == BASELINE)
        for result in results:
            click.echo(
                f"{result.driver:<26} {result.way:<28} {result.median:>8,.0f} rows/s "
                f"({result.slowest:,.0f} to {result.fastest:,.0f})  {result.median / plain:>5.1f} x"
            )


if __name__ == "__main__":
    main(cli, "KAFKAJOURNEY_BENCHMARK")
