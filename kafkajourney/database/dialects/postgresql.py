"""PostgreSQL, by psycopg: rows go in by COPY, and are added as one JSON parameter."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, Engine, String, event
from sqlalchemy.dialects import postgresql

from kafkajourney.database.dialects.rows import encode, json_arrays, text_check
from kafkajourney.database.dialects.upsert import names_of, upsert
from kafkajourney.database.views import READ_ONLY, is_read_only
from kafkajourney.group import Group, Row

CONNECT_ARGUMENTS: Mapping[str, Any] = {
    "client_encoding": "utf8",
    # Seconds. A server that cannot be reached must not hold a consumer up for as long as the system tries.
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
IDLE_SECONDS = 30
"""Seconds that a session may do nothing within a transaction that writes; ours last milliseconds."""

LOCK_SECONDS = 10
"""Seconds to wait for a lock, before it is an outage that is told of, and tried again."""

TRANSIENT_STATES = (
    # Connection (08), read-only for now, as a standby (25006), transaction rollback such as a deadlock (40),
    # insufficient resources (53), lock not available (55P03), intervention (57), the server's system (58).
    # https://www.postgresql.org/docs/current/errcodes-appendix.html
    *("08", "25006", "40", "53", "55P03", "57", "58"),
)
TRANSIENT_WORDS: tuple[str, ...] = ()
REFUSED_WORDS = ("cannot adapt type",)
WRONG_WORDS: tuple[str, ...] = ()
SCRIPT_HEAD = SCRIPT_SEPARATOR = SCRIPT_FOOT = ""

MIGRATIONS = 0x6B61666B616A
"""The number of the advisory lock of migrations: any that other programs are not likely to take."""

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def set_up(engine: Engine, *, may_create: bool) -> None:  # noqa: ARG001 # connecting makes none
    """Prepare the engine's connections."""
    event.listen(engine, "connect", _bound_waits)
    event.listen(engine, "begin", _let_readers_rest)
    event.listen(engine, "do_executemany", _copy)
    event.listen(engine, "do_execute", lambda cursor, sql, row, context: _copy(cursor, sql, [row], context))


def _bound_waits(connection: Any, _record: object) -> None:
    """Have the server end a session that hangs within a transaction, and let nobody wait for a lock for long.

    A consumer that is frozen behind its fence holds the row lock for which its heir waits: for ever, without these.
    """
    connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000:d}")
    connection.execute(f"SET lock_timeout = {LOCK_SECONDS * 1000:d}")
    connection.commit()


def _let_readers_rest(connection: Connection) -> None:
    """Let a transaction that only reads do nothing for as long as it likes, as ``verify`` while it reads the topic."""
    if is_read_only(connection):
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _copy(cursor: Any, statement: str, rows: Iterable[tuple[Any, ...]], _context: object) -> bool:
    """Send the rows of a COPY, which psycopg's ``execute`` and ``executemany`` cannot; return whether it is one."""
    if not statement.startswith("COPY"):
        return False
    with cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
    return True


def wait_until_alone(connection: Connection) -> None:
    """Take an advisory lock, which ends with the transaction, however long a migration before this one lasts."""
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATIONS:d})")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_SECONDS * 1000:d}")


def row_check(group: Group) -> Callable[[Row], None]:
    """Return what refuses texts that are too long, or hold a NUL, which PostgreSQL has no form for."""
    return text_check(group, len, forbidden="\0")


def insert(connection: Connection, group: Group, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, past SQLAlchemy's handling of every single value: docs/decisions/0007-sql.md."""
    if rows:
        connection.exec_driver_sql(_insert(group), list(rows))


def add(connection: Connection, group: Group, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add rows to those that are there."""
    for part in json_arrays(map(encode, rows)):
        connection.exec_driver_sql(_add(group), (part,))


@cache
def _insert(group: Group) -> str:
    table = _DIALECT.identifier_preparer.format_table(group.table)
    return f"COPY {table} ({names_of(group, _DIALECT)}) FROM STDIN"


@cache
def _add(group: Group) -> str:
    values = ", ".join(_value(column, place) for place, column in enumerate(group.columns))
    return upsert(group, f"SELECT {values} FROM json_array_elements(%s::json) AS new", _DIALECT)  # noqa: S608 # names only


def _value(column: Column[Any], place: int) -> str:
    """Return what takes a value out of a row. A text is left as it is: cast to the column's length it would be cut."""
    if isinstance(column.type, String):
        return f"new->>{place}"
    return f"(new->>{place})::{column.type.compile(dialect=_DIALECT)}"


def one_view(_engine: Engine) -> Mapping[str, Any]:
    """Return the options of a connection that reads, and sees the database as it was at its first statement."""
    return {**READ_ONLY, "isolation_level": "REPEATABLE READ"}
