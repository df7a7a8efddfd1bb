"""All SQL and all classification of errors that depends on the database's dialect."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, case, event, insert, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from kafkajourney.errors import KafkaJourneyError, RefusedError, StopError, TransientError
from kafkajourney.tables import journey_events, video_plays

# --- inserting events ---------------------------------------------------------------------------------------------

_COLUMNS = tuple(column.name for column in journey_events.columns)
_QUOTED = ", ".join(f'"{name}"' for name in _COLUMNS)
_INSERT = f"INSERT INTO journey_events ({_QUOTED})"
_SQLITE_INSERT = f"{_INSERT} VALUES ({', '.join('?' * len(_COLUMNS))})"
_POSTGRESQL_TYPES = {"partition": "int", "offset": "bigint", "event_id": "uuid"} | dict.fromkeys(
    ("occurred_at", "stored_at"), "timestamp"
)
_POSTGRESQL_ARRAYS = ", ".join(f"CAST(:{name} AS {_POSTGRESQL_TYPES.get(name, 'text')}[])" for name in _COLUMNS)
_POSTGRESQL_INSERT = text(f"{_INSERT} SELECT * FROM unnest({_POSTGRESQL_ARRAYS})")  # noqa: S608 # names only


def insert_events(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows into ``journey_events``; each is a tuple in the order of the table's columns.

    Past SQLAlchemy's handling of every single value where that is most of the cost: docs/decisions/0007-sql.md.
    """
    match connection.dialect.name:
        case "sqlite":
            connection.exec_driver_sql(_SQLITE_INSERT, [tuple(map(_sqlite_value, row)) for row in rows])
        case "postgresql":
            connection.execute(_POSTGRESQL_INSERT, dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))
        case _:
            connection.execute(insert(journey_events), [dict(zip(_COLUMNS, row, strict=True)) for row in rows])


def _sqlite_value(value: Any) -> Any:
    """Return a value as SQLAlchemy's own types keep it in SQLite: times as text."""
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


# --- adding to counters -----------------------------------------------------------------------------------------

# No MERGE: it deadlocks under concurrency. UPDLOCK and HOLDLOCK keep the range from the UPDATE to the INSERT.
_MSSQL_PLAYS = "OPENJSON(:plays) WITH (user_id NVARCHAR(128), plays BIGINT, last_played_at DATETIME2(3)) AS new"
_MSSQL_UPDATE_PLAYS = text(f"""
UPDATE known SET plays = known.plays + new.plays, last_played_at =
    CASE WHEN new.last_played_at > known.last_played_at THEN new.last_played_at ELSE known.last_played_at END
FROM video_plays AS known WITH (UPDLOCK, HOLDLOCK)
JOIN {_MSSQL_PLAYS} ON known.user_id = new.user_id COLLATE Latin1_General_100_BIN2
""")  # noqa: S608 # joined from constants; the values are the parameter :plays
_MSSQL_INSERT_PLAYS = text(f"""
INSERT INTO video_plays (user_id, plays, last_played_at)
SELECT new.user_id, new.plays, new.last_played_at
FROM {_MSSQL_PLAYS}
WHERE NOT EXISTS (SELECT 1 FROM video_plays AS known WITH (UPDLOCK, HOLDLOCK)
    WHERE known.user_id = new.user_id COLLATE Latin1_General_100_BIN2)
""")  # noqa: S608 # joined from constants; the values are the parameter :plays


def add_plays(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add to the counters of ``video_plays``; a row has user_id, plays and last_played_at, each user once."""
    if connection.dialect.name == "mssql":
        plays = json.dumps([{**row, "last_played_at": row["last_played_at"].isoformat()} for row in rows])
        # The inserted ones would be found again by the UPDATE, so that it comes first.
        connection.execute(_MSSQL_UPDATE_PLAYS, {"plays": plays})
        connection.execute(_MSSQL_INSERT_PLAYS, {"plays": plays})
        return
    known = video_plays.c
    upsert = (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(video_plays)
    new = upsert.excluded
    later = case((new.last_played_at > known.last_played_at, new.last_played_at), else_=known.last_played_at)
    changes = {"plays": known.plays + new.plays, "last_played_at": later}
    connection.execute(upsert.on_conflict_do_update(index_elements=["user_id"], set_=changes), list(rows))


READ_ONLY = {"read_only": True}
"""Execution options of a connection that only reads, so that it waits for no writer."""

# --- connections ------------------------------------------------------------------------------------------------


CONNECT_ARGUMENTS: dict[str, dict[str, Any]] = {
    # Seconds. A server that cannot be reached must not hold a consumer up for as long as the system tries.
    "mssql": {"timeout": 10},
    "postgresql": {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3},
}
"""What the drivers are told when they connect, by dialect."""


def set_up(engine: Engine) -> None:
    """Prepare the engine's connections for this dialect."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)


def _sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    # A reader never waits for a writer; what is committed is on the disk (FULL) even after a power cut.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 10000")  # milliseconds


def _sqlite_begin(connection: Connection) -> None:
    # A deferred transaction that turns from reading to writing does not wait for another writer, it fails at once.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


# --- errors -----------------------------------------------------------------------------------------------------

# SQLSTATE classes and states of an outage or a conflict, as ODBC and the SQL standard have them: connection
# (08), transaction rollback such as a deadlock (40), insufficient resources (53), intervention (57), timeouts (HYT).
_TRANSIENT_STATES = ("08", "40", "53", "57", "HYT")
# SQL Server's numbers, where the state says too little: memory (701, 802), database offline (942), locks (1204),
# deadlock (1205), lock timeout (1222), snapshot conflict (3960), log full (9002), Azure's throttling and failover.
# https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
_TRANSIENT_NUMBERS = {
    701,
    802,
    942,
    1204,
    1205,
    1222,
    3960,
    9002,
    10928,
    10929,
    40197,
    40501,
    40613,
    49918,
    49919,
    49920,
}
# Conversion (220, 241, 242, 245, 8114, 8115), null (515), constraint (547), duplicate key (2601, 2627), too long
# (2628, 8152).
_REFUSED_NUMBERS = {220, 241, 242, 245, 515, 547, 2601, 2627, 2628, 8114, 8115, 8152}
_TRANSIENT_WORDS = ("locked", "busy", "disk I/O error", "database or disk is full", "unable to open database file")
_REFUSED_WORDS = ("binding parameter", "cannot adapt type", "HY105")  # a value that the driver has no form for
_WRONG_WORDS = ("no such table", "no such column", "no column named", "readonly database", "file is not a database")


def sorted_error(error: Exception, safe_url: str) -> KafkaJourneyError:
    """Return which of this project's errors a database error is: try again, refuse the row, or stop."""
    if isinstance(error, PoolTimeoutError):
        return TransientError(f"the database at {safe_url} does not answer: {error}")
    if not isinstance(error, DBAPIError):
        return StopError(f"The database at {safe_url} cannot be used: {error}")
    reason, state = " ".join(str(error.orig).split()), _sqlstate(error)
    numbers = {int(number) for number in re.findall(r"\((\d{3,5})\)", reason)}
    if isinstance(error, IntegrityError | DataError) or numbers & _REFUSED_NUMBERS or _has(reason, _REFUSED_WORDS):
        return RefusedError(f"the database refuses the row: {reason}")
    transient = state.startswith(_TRANSIENT_STATES) or numbers & _TRANSIENT_NUMBERS or _has(reason, _TRANSIENT_WORDS)
    if error.connection_invalidated or transient:
        return TransientError(f"the database at {safe_url} is away or busy: {reason}")
    if state.startswith("28") or _has(reason, ("Login failed", "authentication failed")):
        return StopError(f"The database at {safe_url} refuses the login: {reason}. Correct user and password.")
    if state == "3D000" or ("database" in reason and "does not exist" in reason):
        return StopError(f"There is no such database at {safe_url}: {reason}. Create it, or correct the URL.")
    if isinstance(error, ProgrammingError) or _has(reason, _WRONG_WORDS):
        return StopError(f"The database at {safe_url} cannot be used: {reason}. Run: kafkajourney doctor")
    return TransientError(f"the database at {safe_url} failed: {reason}")


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _sqlstate(error: DBAPIError) -> str:
    """Return the SQLSTATE: psycopg has it as an attribute, pyodbc as the first argument."""
    state = getattr(error.orig, "sqlstate", None)
    if state is None and error.orig is not None and error.orig.args:
        state = error.orig.args[0]
    return str(state or "")


# --- missing databases ------------------------------------------------------------------------------------------


def create_database(connection: Connection, name: str) -> None:
    """Create a database on a SQL Server that has none of this name; the connection is to ``master``, autocommitting."""
    create = "DECLARE @sql NVARCHAR(300) = N'CREATE DATABASE ' + QUOTENAME(:name); EXEC (@sql)"
    connection.execute(text(f"IF DB_ID(:name) IS NULL BEGIN {create} END"), {"name": name})
