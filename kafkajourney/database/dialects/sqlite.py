"""SQLite: a file, one writer at a time."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects import sqlite

from kafkajourney.database.dialects.rows import text_check
from kafkajourney.database.dialects.upsert import names_of, upsert
from kafkajourney.database.views import READ_ONLY, is_read_only
from kafkajourney.errors import DatabaseAwayError, StopError
from kafkajourney.group import Group, Row

CONNECT_ARGUMENTS: Mapping[str, Any] = {}
TRANSIENT_STATES: tuple[str, ...] = ()
TRANSIENT_WORDS = ("locked", "busy", "disk I/O error", "database or disk is full", "unable to open database file")
REFUSED_WORDS = ("binding parameter",)
WRONG_WORDS = ("no such table", "no such column", "no column named", "readonly database", "file is not a database")

SCRIPT_HEAD = SCRIPT_SEPARATOR = SCRIPT_FOOT = ""

_DIALECT = sqlite.dialect()


def set_up(engine: Engine, *, may_create: bool) -> None:
    """Prepare the engine's connections; those to a file that is not there are refused, unless it may be made."""
    was_there = False

    def look(*_: object) -> None:
        nonlocal was_there
        _require_file(engine.url.database or "", may_create=may_create, was_there=was_there)
        was_there = True

    event.listen(engine, "do_connect", look)
    event.listen(engine, "connect", _connect)
    event.listen(engine, "begin", _begin)


def _require_file(database: str, *, may_create: bool, was_there: bool) -> None:
    """Refuse a file that connecting would make unasked: an empty database beside the one that is meant.

    One that ``was_there`` before may come back, as a disk does.
    """
    name = database.removeprefix("file:").partition("?")[0]
    if name in ("", ":memory:"):
        raise StopError("A SQLite database in memory is gone with each command. Name a file: sqlite:///file.db.")
    path = Path(name).absolute()
    if path.exists():
        return
    if was_there:
        raise DatabaseAwayError(f"the file {path} has gone")
    if not path.parent.is_dir():
        raise StopError(f"There is no folder {path.parent} for the database {path.name}. Make it, or correct the URL.")
    if not may_create:
        raise StopError(
            f"There is no database {path}. Make it (python -m migrations upgrade), or correct the URL: without a slash "
            "at its beginning the path is one below the working folder."
        )


def _connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    # A reader never waits for a writer; what is committed is on the disk (FULL) even after a power cut.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 10000")  # milliseconds


def _begin(connection: Connection) -> None:
    # A deferred transaction that turns from reading to writing does not wait for another writer, it fails at once.
    connection.exec_driver_sql("BEGIN" if is_read_only(connection) else "BEGIN IMMEDIATE")


def wait_until_alone(connection: Connection) -> None:
    """Begin the transaction: whoever may write is alone in SQLite."""
    connection.exec_driver_sql("SELECT 1")


def row_check(group: Group) -> Callable[[Row], None]:
    """Return what refuses texts that are too long: SQLite would take them, and a database after it would not."""
    return text_check(group, len)


def insert(connection: Connection, group: Group, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, past SQLAlchemy's handling of every single value: docs/decisions/0007-sql.md."""
    if rows:
        connection.exec_driver_sql(_insert(group), list(rows))


def add(connection: Connection, group: Group, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add rows to those that are there."""
    if rows:
        connection.exec_driver_sql(_add(group), list(rows))


@cache
def _insert(group: Group) -> str:
    table = _DIALECT.identifier_preparer.format_table(group.table)
    return f"INSERT INTO {table} ({names_of(group, _DIALECT)}) {_values(group)}"


@cache
def _add(group: Group) -> str:
    return upsert(group, _values(group), _DIALECT)


def _values(group: Group) -> str:
    return f"VALUES ({', '.join('?' * len(group.columns))})"


def one_view(_engine: Engine) -> Mapping[str, Any]:
    """Return the options of a connection that reads; a transaction sees one state of the file anyway."""
    return READ_ONLY
