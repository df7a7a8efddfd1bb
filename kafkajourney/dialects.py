"""All SQL and all classification of errors that depends on the database's dialect."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Connection, Engine, ExceptionContext, String, event, text
from sqlalchemy.dialects import mssql
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from kafkajourney.errors import KafkaJourneyError, RefusedError, StopError, TransientError
from kafkajourney.tables import BINARY, journey_events, video_plays

# --- values that a database would change ----------------------------------------------------------------------------


def _units(value: str) -> int:
    """Return the length of a text as SQL Server counts it, in UTF-16 units."""
    return len(value.encode("utf-16-le", "surrogatepass")) // 2


_LENGTH_OF = {"mssql": _units, "postgresql": len}


def _refuse_cut(connection: Connection, columns: Iterable[Column[Any]], rows: Sequence[Sequence[Any]]) -> None:
    """Refuse a text that does not fit but for blanks at its end: as SQL has it, databases silently cut those off.

    Whatever else is too long they refuse themselves.
    """
    length_of = _LENGTH_OF[connection.dialect.name]
    for place, column in enumerate(columns):
        length = getattr(column.type, "length", None)
        texts = map(itemgetter(place), rows)
        if length and any(
            isinstance(text, str) and len(text) * 2 > length and text[-1] == " " and length_of(text) > length
            for text in texts
        ):
            raise RefusedError(f"the database refuses the row: {column.name} is longer than {length} characters")


def _refuse_blank_end(rows: Iterable[tuple[str, int, str]]) -> None:
    """Refuse users whose id ends with a blank: SQL Server takes them for those without it, whatever the collation."""
    for user_id, _plays, _last_played_at in rows:
        if user_id.endswith(" "):
            raise RefusedError(f"the database refuses the row: user_id {user_id!r} ends with a blank")


# --- rows as one parameter -----------------------------------------------------------------------------------------

JSON_SIZE = 1_000_000
"""Characters of JSON text in one parameter, before the row that goes beyond: it bounds the memory of both sides."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


def _event_text(row: Sequence[Any]) -> str:
    """Return a row of ``journey_events`` as a JSON array; its last value, the payload, is JSON already."""
    return f"{_encode(row[:-1])[:-1]},{row[-1]}]"


def _json_arrays(rows: Iterable[str]) -> Iterator[str]:
    """Yield JSON arrays of these rows, each of a bounded size."""
    parts: list[str] = []
    size = 0
    for row in rows:
        parts.append(row)
        size += len(row)
        if size >= JSON_SIZE:
            yield f"[{','.join(parts)}]"
            parts, size = [], 0
    if parts:
        yield f"[{','.join(parts)}]"


def _openjson(columns: Iterable[Column[Any]]) -> str:
    """Return the SQL that makes rows of these columns of such an array, which is the parameter ``?``."""
    fields = (f"[{column.name}] {_json_type(column, f'$[{place}]')}" for place, column in enumerate(columns))
    return f"OPENJSON(?) WITH ({', '.join(fields)})"


def _json_type(column: Column[Any], path: str) -> str:
    """Return type and path of a value within JSON.

    A text is one longer than its column: the insert refuses what is too long, whatever OPENJSON makes of it.
    """
    if not isinstance(column.type, String):
        return f"{column.type.compile(dialect=mssql.dialect())} '{path}'"  # type: ignore[no-untyped-call]
    if column.type.length:
        return f"NVARCHAR({column.type.length + 1}) '{path}'"
    return f"NVARCHAR(MAX) '{path}' AS JSON"


# --- inserting events ---------------------------------------------------------------------------------------------

_COLUMNS = tuple(column.name for column in journey_events.columns)
_QUOTED = ", ".join(f'"{name}"' for name in _COLUMNS)
_INSERT = f"INSERT INTO journey_events ({_QUOTED})"
_SQLITE_INSERT = f"{_INSERT} VALUES ({', '.join('?' * len(_COLUMNS))})"
_POSTGRESQL_COPY = f"COPY journey_events ({_QUOTED}) FROM STDIN"
_MSSQL_NAMES = ", ".join(f"[{name}]" for name in _COLUMNS)
_MSSQL_INSERT = (
    f"INSERT INTO journey_events ({_MSSQL_NAMES}) SELECT {_MSSQL_NAMES} FROM {_openjson(journey_events.columns)}"  # noqa: S608 # names only
)


def insert_events(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows into ``journey_events``; each is a tuple in the order of the table's columns, with times as text.

    Past SQLAlchemy's handling of every single value where that is most of the cost: docs/decisions/0007-sql.md.
    """
    match connection.dialect.name:
        case "sqlite":
            connection.exec_driver_sql(_SQLITE_INSERT, list(rows))
        case "postgresql":
            _refuse_cut(connection, journey_events.columns, rows)
            connection.exec_driver_sql(_POSTGRESQL_COPY, list(rows))
        case "mssql":
            _refuse_cut(connection, journey_events.columns, rows)
            for part in _json_arrays(map(_event_text, rows)):
                connection.exec_driver_sql(_MSSQL_INSERT, (part,))


def _copy(cursor: Any, statement: str, rows: Iterable[tuple[Any, ...]], _context: object) -> bool:
    """Send the rows of a COPY, which psycopg's ``execute`` and ``executemany`` cannot; return whether it is one."""
    if not statement.startswith("COPY"):
        return False
    with cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
    return True


# --- adding to counters -----------------------------------------------------------------------------------------

# Not MERGE, and no range locks: both deadlock under concurrency. Every user is there before the UPDATE, which then can
# miss none; whoever loses the race for a new one (see _RACE) begins again.
_MSSQL_PLAYS = f"{_openjson(video_plays.columns)} AS new"
_MSSQL_SAME_USER = f"known.user_id = new.user_id COLLATE {BINARY}"
_MSSQL_INSERT_USERS = f"""
INSERT INTO video_plays (user_id, plays, last_played_at)
SELECT new.user_id, 0, new.last_played_at FROM {_MSSQL_PLAYS}
WHERE NOT EXISTS (SELECT 1 FROM video_plays AS known WHERE {_MSSQL_SAME_USER})
"""  # noqa: S608 # joined from constants
_MSSQL_UPDATE_PLAYS = f"""
UPDATE known SET plays = known.plays + new.plays, last_played_at =
    CASE WHEN new.last_played_at > known.last_played_at THEN new.last_played_at ELSE known.last_played_at END
FROM video_plays AS known JOIN {_MSSQL_PLAYS} ON {_MSSQL_SAME_USER}
"""  # noqa: S608 # joined from constants


_UPSERT_PLAYS = """
INSERT INTO video_plays AS known (user_id, plays, last_played_at) {}
ON CONFLICT (user_id) DO UPDATE SET plays = known.plays + excluded.plays, last_played_at =
    CASE WHEN excluded.last_played_at > known.last_played_at THEN excluded.last_played_at ELSE known.last_played_at END
"""
_SQLITE_UPSERT_PLAYS = _UPSERT_PLAYS.format("VALUES (?, ?, ?)")
_POSTGRESQL_UPSERT_PLAYS = _UPSERT_PLAYS.format(
    "SELECT new->>0, (new->>1)::bigint, (new->>2)::timestamp FROM json_array_elements(%s::json) AS new"
)


def add_plays(connection: Connection, rows: Sequence[tuple[str, int, str]]) -> None:
    """Add to the counters of ``video_plays``; a row has user_id, plays and last_played_at as text, each user once."""
    match connection.dialect.name:
        case "mssql":
            _refuse_blank_end(rows)
            for part in _json_arrays(map(_encode, rows)):
                connection.exec_driver_sql(_MSSQL_INSERT_USERS, (part,))
                connection.exec_driver_sql(_MSSQL_UPDATE_PLAYS, (part,))
        case "postgresql":
            _refuse_cut(connection, video_plays.columns, rows)
            for part in _json_arrays(map(_encode, rows)):
                connection.exec_driver_sql(_POSTGRESQL_UPSERT_PLAYS, (part,))
        case "sqlite":
            connection.exec_driver_sql(_SQLITE_UPSERT_PLAYS, list(rows))


READ_ONLY = {"read_only": True}
"""Execution options of a connection that only reads, so that it waits for no writer."""


def one_view(engine: Engine) -> dict[str, Any]:
    """Return the options of a connection that reads, and sees the database as it was at its first statement.

    SQL Server has that only where its snapshots are allowed (ALLOW_SNAPSHOT_ISOLATION); else it is left as it is.
    """
    if engine.dialect.name == "postgresql":
        return READ_ONLY | {"isolation_level": "REPEATABLE READ"}
    if engine.dialect.name == "mssql" and _allows_snapshots(engine):
        return READ_ONLY | {"isolation_level": "SNAPSHOT"}
    return READ_ONLY


def _allows_snapshots(engine: Engine) -> bool:
    """Whether SQL Server's database allows snapshots, and the connection can be set back afterwards."""
    query = "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
    with engine.connect() as connection:
        allowed = connection.scalar(text(query)) == 1
    return allowed and getattr(engine.dialect, "default_isolation_level", None) is not None


# --- connections ------------------------------------------------------------------------------------------------


CONNECT_ARGUMENTS: dict[str, dict[str, Any]] = {
    # Seconds. A server that cannot be reached must not hold a consumer up for as long as the system tries.
    "mssql": {"timeout": 10},
    "postgresql": {
        "client_encoding": "utf8",
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    },
}
"""What the drivers are told when they connect, by dialect."""


def set_up(engine: Engine) -> None:
    """Prepare the engine's connections for this dialect."""
    match engine.dialect.name:
        case "sqlite":
            event.listen(engine, "connect", _sqlite_connect)
            event.listen(engine, "begin", _sqlite_begin)
        case "postgresql":
            event.listen(engine, "do_executemany", _copy)
            event.listen(engine, "do_execute", lambda cursor, sql, row, context: _copy(cursor, sql, [row], context))
        case "mssql":
            event.listen(engine, "connect", _count_rows)
            event.listen(engine, "handle_error", _notice_lost_connection)
            engine.dialect.do_rollback = _rollback  # type: ignore[method-assign,assignment]


def _count_rows(connection: Any, _record: object) -> None:
    """Have the server tell how many rows a statement changed, which it may be set not to do; the fence needs it."""
    with connection.cursor() as cursor:
        cursor.execute("SET NOCOUNT OFF")


def _notice_lost_connection(context: ExceptionContext) -> None:
    """Let the pool drop its connections where SQLAlchemy does not see that they are lost."""
    if _is_lost(context.original_exception):
        context.is_disconnect = True


def _rollback(connection: Any) -> None:
    """Roll back also where the server has done so by itself (as for a deadlock's victim), which FreeTDS calls an error.

    That error would stand in the place of the one that led here.
    """
    try:
        connection.rollback()
    except Exception as error:
        if _NO_TRANSACTION not in _numbers(error):
            raise


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

# SQLSTATE classes and states of an outage or a conflict: connection (08), read-only for now, as a standby (25006),
# transaction rollback such as a deadlock (40), insufficient resources (53), lock not available (55P03), intervention
# (57), the server's system (58), timeouts (HYT), a connection that Microsoft's driver could not bring back (IMC).
# https://www.postgresql.org/docs/current/errcodes-appendix.html
# https://learn.microsoft.com/sql/odbc/reference/appendixes/appendix-a-odbc-error-codes
# https://learn.microsoft.com/sql/connect/odbc/connection-resiliency
_TRANSIENT_STATES = ("08", "25006", "40", "53", "55P03", "57", "58", "HYT", "IMC")

# What SQL Server's error numbers mean for us; its SQLSTATEs say too little, most are 42000. The texts are in
# https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
# To try again is what Microsoft's own clients do, and Azure's documentation asks for, after
# https://learn.microsoft.com/dotnet/api/microsoft.data.sqlclient.sqlconfigurableretryfactory.baselinetransienterrors
# https://github.com/dotnet/efcore/blob/main/src/EFCore.SqlServer/Storage/Internal/SqlServerTransientExceptionDetector.cs
# https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues
# Of these, what connecting, reading and writing can meet: nothing of replication, full text, FILESTREAM, DDL. Not
# 20, 64, 121, 233 and 997 either, a client's numbers for a network that fails: ODBC has SQLSTATE 08 for that, and the
# server has the same numbers for other things (121: a statement that is wrong).
_NUMBERS: dict[type[KafkaJourneyError], tuple[int, ...]] = {
    TransientError: (
        *(1203, 1204, 1205, 1221, 1222),  # locks: deadlock victim (1205), lock timeout (1222)
        *(3947, 3948, 3953, 3957, 3958, 3960, 3966, 41301, 41302, 41305, 41325, 41839),  # row versions: conflict, gone
        *(617, 669, 2816, 3980, 10922),  # "rerun the statement"
        *(701, 802, 845, 8628, 8645, 8651, 17189, 17300, 17803),  # memory, latches, threads
        *(1101, 1105, 9002, 9020, 40544),  # a disk, the log or the quota is full
        *(596, 6005, 17142, 17187, 17188, 17191, 17197),  # the session is killed; the server stops, starts, is paused
        *(17809, 17889, 18401, 18451, 18461),  # it takes nobody more, or administrators only, for now
        *(615, 904, 913, 921, 922, 924, 926, 927, 941, 942, 945, 952, 4060),  # database starts, is away or absent
        *(954, 955, 956, 976, 978, 979, 982, 983, 988, 3906, 4221),  # failover: not the primary (now), so read-only
        *(10053, 10054, 10060, 10061, 11001),  # the network: aborted, reset, timed out, refused, no such host
        *(10928, 10929, 10930, 10936, 40549, 40550, 40551, 40552, 40553),  # Azure: limits
        *(40143, 40166, 40189, 40197, 40501, 40540, 40613, 40623, 40642, 40648, 40675, 40903),  # Azure: busy, moved
        *(42108, 42109, 49802, 49918, 49919, 49920),  # Azure: paused, too much at once
        *(20003, 20004, 20006, 20008, 20009, 20017, 20020, 20022),  # FreeTDS: timeout, read, write, connect, end
    ),
    RefusedError: (
        *(220, 232, 241, 242, 244, 245, 248, 8114, 8115, 8169, 9803),  # conversion, overflow
        *(511, 1946, 2628, 8152),  # too long: the row, the key, the value
        *(515, 547, 2601, 2627),  # null, check, duplicate key
        *(8016, 8023, 13609),  # no value of its type, no JSON
    ),
    StopError: (916, 18452, 18456, 18470, 18486, 18487, 18488),  # logins: no access, refused, disabled, locked, expired
}
_KINDS = {number: kind for kind, numbers in _NUMBERS.items() for number in numbers}
_ABSENT = {911, 4060}
_LOST = {596, 10053, 10054, 20003, 20004, 20006, 20017, 20020, 20022}
"""After these a connection is of no use, though its SQLSTATE (FreeTDS: HY000) does not say so."""
_LOST_STATE = "IMC"
"""Microsoft's driver tried to bring a lost connection back, or could not try: SQLAlchemy does not know this class."""
_NO_TRANSACTION = 3903

_DUPLICATE = {2601, 2627, 3621}
_RACE = "pk_video_plays"
"""A duplicate here: two consumers met a new user at the same time (after partitions were added, or in a replay)."""

_TRANSIENT_WORDS = ("locked", "busy", "disk I/O error", "database or disk is full", "unable to open database file")
_REFUSED_WORDS = ("binding parameter", "cannot adapt type", "HY105")  # a value that the driver has no form for
_WRONG_WORDS = ("no such table", "no such column", "no column named", "readonly database", "file is not a database")
_CERTIFICATE_WORDS = ("certificate verify failed", "certificate chain", "principal name", "host name mismatch")
_ENCRYPTION_WORDS = ("SSL Provider", "SSL Security", "ncryption", "TLS")
_ENCRYPTION = (
    "ODBC Driver 18 encrypts unless the URL has Encrypt=no, and checks the certificate unless it has "
    "TrustServerCertificate=yes (for one that no authority signed): docs/sql-server.md"
)


def sorted_error(error: Exception, safe_url: str) -> KafkaJourneyError:
    """Return which of this project's errors a database error is: try again, refuse the row, or stop."""
    # A connection that is lost while SQLAlchemy asks it for the server's properties, where it passes over errors, is
    # "closed" only at its next question.
    if isinstance(error, PoolTimeoutError | ResourceClosedError):
        return TransientError(f"the database at {safe_url} does not answer: {error}")
    if not isinstance(error, DBAPIError):
        return StopError(f"The database at {safe_url} cannot be used: {error}")
    reason, state, numbers = _reason(error.orig), _sqlstate(error.orig), _numbers(error.orig)
    kinds = {_KINDS[number] for number in numbers if number in _KINDS}
    # First, because only these can hold a text of the row, which may look like any other number.
    if isinstance(error, IntegrityError | DataError) or RefusedError in kinds or _has(reason, _REFUSED_WORDS):
        return _refused(reason, numbers, safe_url)
    if _has(reason, _CERTIFICATE_WORDS):
        return StopError(f"The database at {safe_url} is not trusted: {reason}. {_ENCRYPTION}")
    if StopError in kinds and TransientError not in kinds:
        return _no_login(reason, safe_url)
    if error.connection_invalidated or TransientError in kinds or state.startswith(_TRANSIENT_STATES):
        return TransientError(f"the database at {safe_url} is away or busy: {reason}{_hint(reason, numbers)}")
    if _has(reason, _TRANSIENT_WORDS):
        return TransientError(f"the database at {safe_url} is away or busy: {reason}")
    if state.startswith("28") or _has(reason, ("Login failed", "authentication failed")):
        return _no_login(reason, safe_url)
    if state == "3D000" or ("database" in reason and "does not exist" in reason):
        return StopError(f"There is no such database at {safe_url}: {reason}. Create it, or correct the URL.")
    if isinstance(error, ProgrammingError) or _has(reason, _WRONG_WORDS):
        return StopError(f"The database at {safe_url} cannot be used: {reason}. Run: kafkajourney doctor")
    return TransientError(f"the database at {safe_url} failed: {reason}")


def _refused(reason: str, numbers: set[int], safe_url: str) -> KafkaJourneyError:
    if _RACE in reason and numbers and numbers <= _DUPLICATE:
        return TransientError(f"the database at {safe_url} is busy: another consumer added the same user: {reason}")
    return RefusedError(f"the database refuses the row: {reason}")


def _no_login(reason: str, safe_url: str) -> StopError:
    return StopError(f"The database at {safe_url} refuses the login: {reason}. Correct user and password.")


def _hint(reason: str, numbers: set[int]) -> str:
    """Return what may help with a server that is away, as a sentence more, where there is something to say."""
    if numbers & _ABSENT:
        return ". Where there is no such database: python -m migrations upgrade --create-database"
    return f". {_ENCRYPTION}" if _has(reason, _ENCRYPTION_WORDS) else ""


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _reason(original: BaseException | None) -> str:
    """Return the driver's words in one line; of ODBC's only the second argument, which has the first in it."""
    return " ".join((_odbc(original) or str(original)).split())


def _odbc(original: BaseException | None) -> str:
    """Return what ODBC says of an error; nothing where it does not come from there."""
    match getattr(original, "args", None):
        case (str(state), str(words)) if words.startswith(f"[{state}]"):
            return words
    return ""


def _numbers(original: BaseException | None) -> set[int]:
    """Return SQL Server's error numbers: ODBC has them at the end of each of its records."""
    return {int(number) for number in re.findall(r"\((\d{2,5})\)(?: \(SQL\w+\))?(?=; \[|$)", _odbc(original))}


def _sqlstate(original: BaseException | None) -> str:
    """Return the SQLSTATE: psycopg has it as an attribute, pyodbc as the first argument."""
    state = getattr(original, "sqlstate", None)
    if state is None and original is not None and original.args:
        state = original.args[0]
    return str(state or "")


def _is_lost(original: BaseException) -> bool:
    return bool(_numbers(original) & _LOST) or _sqlstate(original).startswith(_LOST_STATE)


# --- missing databases ------------------------------------------------------------------------------------------


def create_database(connection: Connection, name: str) -> None:
    """Create a database on a SQL Server that has none of this name; the connection is to ``master``, autocommitting."""
    create = "DECLARE @sql NVARCHAR(300) = N'CREATE DATABASE ' + QUOTENAME(:name); EXEC (@sql)"
    connection.execute(text(f"IF DB_ID(:name) IS NULL BEGIN {create} END"), {"name": name})
