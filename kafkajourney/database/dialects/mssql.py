"""SQL Server, by ODBC: many rows are one JSON parameter, which OPENJSON takes apart."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, Engine, ExceptionContext, String, Unicode, event, text
from sqlalchemy.dialects import mssql
from sqlalchemy.exc import IntegrityError

from kafkajourney.database.dialects.mssql_errors import DUPLICATE, NO_TRANSACTION, is_lost, numbers_of
from kafkajourney.database.dialects.rows import change, encode, json_arrays, text_check
from kafkajourney.database.types import is_json
from kafkajourney.database.views import READ_ONLY
from kafkajourney.errors import DatabaseAwayError, RefusedError
from kafkajourney.group import Group, Merge, Row

CONNECT_ARGUMENTS: Mapping[str, Any] = {
    # Seconds. A server that cannot be reached must not hold a consumer up for as long as the system tries.
    "timeout": 10,
}
LOCK_SECONDS = 10
"""Seconds to wait for a lock, before it is an outage that is told of, and tried again."""

TRANSIENT_STATES = (
    # Connection (08), transaction rollback such as a deadlock (40), timeouts (HYT), a connection that Microsoft's
    # driver could not bring back (IMC).
    # https://learn.microsoft.com/sql/odbc/reference/appendixes/appendix-a-odbc-error-codes
    # https://learn.microsoft.com/sql/connect/odbc/connection-resiliency
    *("08", "40", "HYT", "IMC"),
)
TRANSIENT_WORDS: tuple[str, ...] = ()
REFUSED_WORDS = ("HY105",)
WRONG_WORDS: tuple[str, ...] = ()

# After an error XACT_ABORT ends the transaction, but a tool goes on behind the next GO: without a transaction it may
# only parse what follows.
SCRIPT_HEAD = "SET XACT_ABORT ON;\nGO\n"
SCRIPT_SEPARATOR = "GO\nIF @@TRANCOUNT = 0 SET NOEXEC ON;\nGO"
SCRIPT_FOOT = "SET NOEXEC OFF;\nGO\n"

_DIALECT = mssql.dialect()  # type: ignore[no-untyped-call]


# --- connections ------------------------------------------------------------------------------------------------


def set_up(engine: Engine, *, may_create: bool) -> None:  # noqa: ARG001 # connecting makes none
    """Prepare the engine's connections."""
    event.listen(engine, "connect", _set_session)
    event.listen(engine, "handle_error", _notice_lost_connection)
    engine.dialect.do_rollback = _rollback  # type: ignore[method-assign,assignment]


def _set_session(connection: Any, _record: object) -> None:
    """Have the server tell how many rows a statement changed, and nobody wait for a lock for longer than a while.

    The fence needs the number of rows; a server may be set not to tell it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET NOCOUNT OFF")
        cursor.execute(f"SET LOCK_TIMEOUT {LOCK_SECONDS * 1000:d}")


def wait_until_alone(connection: Connection) -> None:
    """Take an application lock, which ends with the transaction, however long a migration before this one lasts."""
    connection.exec_driver_sql(
        "DECLARE @taken INT; EXEC @taken = sp_getapplock @Resource = 'kafkajourney.migrations', "
        "@LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = -1; "
        "IF @taken < 0 BEGIN; THROW 50000, 'the lock of the migrations could not be taken', 1; END"
    )


def _notice_lost_connection(context: ExceptionContext) -> None:
    """Let the pool drop its connections where SQLAlchemy does not see that they are lost."""
    if is_lost(context.original_exception):
        context.is_disconnect = True


def _rollback(connection: Any) -> None:
    """Roll back also where the server has done so by itself (as for a deadlock's victim), which FreeTDS calls an error.

    That error would stand in the place of the one that led here.
    """
    try:
        connection.rollback()
    except Exception as error:
        if NO_TRANSACTION not in numbers_of(error):
            raise


# --- writing ------------------------------------------------------------------------------------------------------


def row_check(group: Group) -> Callable[[Row], None]:
    """Return what refuses texts that are too long, and keys that end with a blank.

    SQL Server takes a key with blanks at its end for the one without, whatever the collation.
    """
    check_lengths = text_check(group, _units)
    keys = [(n, c.name) for n, c in enumerate(group.own_columns) if group.merge is not None and c in group.key]

    def check(row: Row) -> None:
        check_lengths(row)
        for place, name in keys:
            if isinstance(row[place], str) and row[place].endswith(" "):
                raise RefusedError(f"the database refuses the row: {name} {row[place]!r} ends with a blank")

    return check


def insert(connection: Connection, group: Group, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, by one statement with one parameter: docs/decisions/0007-sql.md."""
    as_text = _encoder(group)
    for part in json_arrays(map(as_text, rows)):
        connection.exec_driver_sql(_insert(group), (part,))


def add(connection: Connection, group: Group, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add rows to those that are there.

    Not MERGE, and no range locks: both deadlock under concurrency. Every key is there before the UPDATE, which then can
    miss none; whoever loses the race for a new one begins again, told so by DatabaseAwayError.
    """
    for part in json_arrays(map(encode, rows)):
        try:
            connection.exec_driver_sql(_insert_keys(group), (part,))
        except IntegrityError as error:
            if (numbers := numbers_of(error.orig)) and numbers <= DUPLICATE:
                raise DatabaseAwayError(
                    f"the database is busy: another consumer added the same row of {group.table.name}"
                ) from error
            raise
        connection.exec_driver_sql(_update(group), (part,))


def _units(value: str) -> int:
    """Return the length of a text as SQL Server counts it, in UTF-16 units."""
    return len(value.encode("utf-16-le", "surrogatepass")) // 2


def _encoder(group: Group) -> Any:
    """Return what makes a JSON array of a row; a column without a length is JSON already (the payload, the last)."""
    *others, last = group.columns
    if not is_json(last):
        return encode
    if any(map(is_json, others)):
        raise ValueError(f"in {group.table.name} only the last column can be JSON text")
    return lambda row: f"{encode(row[:-1])[:-1]},{row[-1]}]"


def _quoted(name: str) -> str:
    return str(_DIALECT.identifier_preparer.quote_identifier(name))


def _names(columns: Iterable[Column[Any]], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{_quoted(column.name)}" for column in columns)


def _table(group: Group) -> str:
    return str(_DIALECT.identifier_preparer.format_table(group.table))


@cache
def _insert(group: Group) -> str:
    names = _names(group.columns)
    return f"INSERT INTO {_table(group)} ({names}) SELECT {names} FROM {_openjson(group)}"  # noqa: S608 # names only


@cache
def _insert_keys(group: Group) -> str:
    """Return the statement that adds a row for each new key: with nothing summed up yet."""
    sums = {column for column, merge in group.merged if merge is Merge.SUM}
    values = ", ".join("0" if column in sums else f"new.{_quoted(column.name)}" for column in group.columns)
    return (
        f"INSERT INTO {_table(group)} ({_names(group.columns)}) SELECT {values} FROM {_openjson(group)} AS new "  # noqa: S608 # names only
        f"WHERE NOT EXISTS (SELECT 1 FROM {_table(group)} AS known WHERE {_same_key(group)})"
    )


@cache
def _update(group: Group) -> str:
    changes = ", ".join(change(_quoted(column.name), merge, "new") for column, merge in group.merged)
    known, new = f"{_table(group)} AS known", f"{_openjson(group)} AS new"
    return f"UPDATE known SET {changes} FROM {known} JOIN {new} ON {_same_key(group)}"  # noqa: S608 # names only


def _same_key(group: Group) -> str:
    return " AND ".join(f"known.{_quoted(c.name)} = new.{_quoted(c.name)}{_collation(c)}" for c in group.key)


def _collation(column: Column[Any]) -> str:
    """Return how a text is compared: what comes out of JSON has the database's collation, not the column's."""
    collation = getattr(column.type.dialect_impl(_DIALECT), "collation", None)
    return f" COLLATE {collation}" if collation else ""


def _openjson(group: Group) -> str:
    """Return the SQL that makes rows of an array of arrays, which is the parameter ``?``."""
    fields = (f"{_quoted(column.name)} {_json_type(column, f'$[{n}]')}" for n, column in enumerate(group.columns))
    return f"OPENJSON(?) WITH ({', '.join(fields)})"


def _json_type(column: Column[Any], path: str) -> str:
    """Return type and path of a value within JSON.

    A text is one longer than its column: the insert refuses what is too long, whatever OPENJSON makes of it. It is
    VARCHAR where the column is: compared with NVARCHAR, the column's index would not be sought.
    """
    if not isinstance(column.type, String):
        return f"{column.type.compile(dialect=_DIALECT)} '{path}'"
    if column.type.length:
        kind = "NVARCHAR" if isinstance(column.type, Unicode) else "VARCHAR"
        return f"{kind}({column.type.length + 1}) '{path}'"
    return f"NVARCHAR(MAX) '{path}' AS JSON"


# --- reading, and missing databases -------------------------------------------------------------------------------


def one_view(engine: Engine) -> Mapping[str, Any]:
    """Return the options of a connection that reads, and sees the database as it was at its first statement.

    SQL Server has that only where its snapshots are allowed (ALLOW_SNAPSHOT_ISOLATION); else it is left as it is.
    """
    return {**READ_ONLY, "isolation_level": "SNAPSHOT"} if _allows_snapshots(engine) else READ_ONLY


def _allows_snapshots(engine: Engine) -> bool:
    """Whether SQL Server's database allows snapshots, and the connection can be set back afterwards."""
    query = "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
    with engine.connect() as connection:
        allowed = connection.scalar(text(query)) == 1
    return allowed and getattr(engine.dialect, "default_isolation_level", None) is not None


def create_database(connection: Connection, name: str) -> None:
    """Create a database on a SQL Server that has none of this name; the connection is to ``master``, autocommitting."""
    create = "DECLARE @sql NVARCHAR(300) = N'CREATE DATABASE ' + QUOTENAME(:name); EXEC (@sql)"
    connection.execute(text(f"IF DB_ID(:name) IS NULL BEGIN {create} END"), {"name": name})
