"""A database of its own for each test, and stores on it."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, event, select, text
from sqlalchemy.dialects import mssql
from sqlalchemy.exc import DBAPIError

from consumers.analytic import ANALYTIC
from consumers.analytic.table import video_plays
from consumers.journey import JOURNEY
from consumers.journey.table import journey_events
from kafkajourney.database import engines
from kafkajourney.database.store import Store
from kafkajourney.database.tables import consumer_progress, dead_letters
from kafkajourney.database.writing import Write, check_row, writer
from kafkajourney.errors import RefusedError
from kafkajourney.events import Decoded, Move, Record
from kafkajourney.group import Group
from kafkajourney.settings import Settings
from schemas.events import VideoPlayed

store_events = writer(JOURNEY)
GROUPS = {group.name: group for group in (JOURNEY, ANALYTIC)}


TOPIC = "user-journey"


AT = datetime(2026, 3, 14, 9, 26, 53, 589000, UTC)


NOW = datetime(2026, 3, 14, 12, 0, 0, 123456, UTC)


def play(offset: int, partition: int = 0, user_id: str = "u", seconds: float = 0, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "event_id": UUID(int=offset),
        "user_id": user_id,
        "session_id": "s",
        "page_url": "https://shop.example.com/",
        "occurred_at": AT + timedelta(seconds=seconds),
        "video_id": "v",
        "position_seconds": 0.0,
    }
    return Record(TOPIC, partition, offset, Decoded("VideoPlayed", VideoPlayed(**values | changes), {}))


def made(group: Group, records: Iterable[Record]) -> list[Record]:
    """Return the records with their rows in this group, as the loop's reader makes them."""
    return [replace(record, row=None if record.decoded is None else group.rows(record)) for record in records]


class RowStore(Store):
    """A store that makes the rows of the records itself."""

    def __init__(
        self, engine: Engine, settings: Settings, group: Group, write: Write | None = None, now: datetime = NOW
    ) -> None:
        super().__init__(engine, settings, group.name, write or writer(group), lambda: now)
        self._made = partial(made, group)
        self._check = check_row(engine, group)

    def commit(self, records: Sequence[Record], moves: Mapping[int, Move]) -> None:
        super().commit(self._checked(records), moves)

    def refused(self, records: Sequence[Record], moves: Mapping[int, Move]) -> list[tuple[Record, RefusedError]]:
        return super().refused(self._made(records), moves)

    def replay(self, record: Record) -> bool:
        return super().replay(*self._checked([record]))

    def _checked(self, records: Iterable[Record]) -> list[Record]:
        checked = self._made(records)
        for record in checked:
            if record.row is not None:
                self._check(record.row)
        return checked


def naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


class Bench:
    """A database of its own, and stores on it, each with an engine of its own as in another process."""

    def __init__(self, folder: Path, migrated: Path) -> None:
        self.file = folder / "journey.db"
        with closing(sqlite3.connect(migrated)) as connection:
            connection.execute("VACUUM INTO ?", (str(self.file),))
        self.settings = Settings("localhost:1", "http://localhost:1", f"sqlite:///{self.file}", TOPIC)
        self.engines: list[Engine] = []
        self.engine = self.new_engine()

    def new_engine(self, busy_timeout: int = 1) -> Engine:
        """Return an engine that waits as many milliseconds for a lock."""
        engine, pragma = engines.engine(self.settings), f"PRAGMA busy_timeout = {busy_timeout}"
        event.listen(engine, "connect", lambda connection, _record: connection.execute(pragma))
        self.engines.append(engine)
        return engine

    def store(
        self, group: str = "journey", write: Write | None = None, engine: Engine | None = None, topic: str = TOPIC
    ) -> Store:
        return RowStore(engine or self.new_engine(), replace(self.settings, topic=topic), GROUPS[group], write)

    def offsets(self) -> list[tuple[int, int]]:
        with self.engine.connect() as connection:
            columns = journey_events.c.partition, journey_events.c.offset
            return [(p, o) for p, o in connection.execute(select(*columns).order_by(*columns))]

    def progress(self) -> dict[tuple[str, int], int]:
        columns = consumer_progress.c
        with self.engine.connect() as connection:
            rows = connection.execute(select(columns.consumer_group, columns.partition, columns.next_offset))
            return {(group, partition): offset for group, partition, offset in rows}

    def plays(self) -> dict[str, tuple[int, datetime]]:
        with self.engine.connect() as connection:
            of_topic = select(video_plays).where(video_plays.c.topic == TOPIC)
            return {user: (number, last) for _topic, user, number, last in connection.execute(of_topic)}

    def noted(self) -> list[tuple[int, str]]:
        with self.engine.connect() as connection:
            columns = dead_letters.c.offset, dead_letters.c.reason
            return [(offset, reason) for offset, reason in connection.execute(select(*columns))]

    def execute(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement))


# --- dead letters ----------------------------------------------------------------------------------------------------


def aside(offset: int, reason: str = "the value is null") -> Record:
    return Record(TOPIC, 0, offset, reason=reason)


PREFIX = "[Microsoft][ODBC Driver 18 for SQL Server]"


class PyodbcError(Exception):
    """The root of pyodbc's errors."""


def failure(kind: str, state: str, words: str) -> DBAPIError:
    """Return the error that SQLAlchemy makes of pyodbc's error of this class."""
    original = type(kind, (PyodbcError,), {})(state, f"[{state}] {PREFIX}{words}")
    dialect = mssql.dialect()  # type: ignore[no-untyped-call]
    error = DBAPIError.instance("INSERT ...", {}, original, PyodbcError, dialect=dialect)
    assert isinstance(error, DBAPIError)
    return error
