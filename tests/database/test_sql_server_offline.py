"""What can be known of SQL Server without one: the SQL, its parameters, the errors, the drivers."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alembic import command as alembic
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Unicode, event, make_url
from sqlalchemy.dialects import mssql as sqlalchemy_mssql
from sqlalchemy.exc import DBAPIError, IntegrityError, ResourceClosedError

from consumers import GROUPS
from consumers.analytic import ANALYTIC
from consumers.journey import JOURNEY
from consumers.journey.table import journey_events
from kafkajourney.consuming.dead_letters import Selection, noted
from kafkajourney.control.verify.verifier import Verifier
from kafkajourney.database import branches, engines
from kafkajourney.database.dialect import dialect_of
from kafkajourney.database.dialects import mssql
from kafkajourney.database.dialects import rows as dialects_rows
from kafkajourney.database.dialects.mssql_errors import LOST, NUMBERS
from kafkajourney.database.errors import sorted_error
from kafkajourney.database.writing import placed
from kafkajourney.errors import DatabaseAwayError, KafkaJourneyError, RefusedError, StopError, TransientError
from kafkajourney.events import Move, Record, as_text
from kafkajourney.settings import Settings
from tests.database.test_store import migrated
from tests.stack.proxy import Proxy
from tests.stack.server import HOST
from tests.support.processes import ROOT
from tests.support.store import AT, TOPIC, Bench, aside, failure, made, naive, play

__all__ = ["migrated"]  # the fixture

URL = "mssql+pyodbc://sa:s3cret@db/journey"
DIALECT = sqlalchemy_mssql.dialect()  # type: ignore[no-untyped-call]


def row(record: Record, stored_at: str) -> tuple[Any, ...]:
    """Return the row of a record of journey as it is written."""
    (only,) = placed(JOURNEY, made(JOURNEY, [record]), stored_at)
    return only


def insert_events(connection: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    dialect_of(connection).insert(connection, JOURNEY, rows)


def add_plays(connection: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    dialect_of(connection).add(connection, ANALYTIC, rows)


class RecordingConnection:
    """A SQL Server as far as ``insert_events`` and ``add_plays`` see it: keeps the statements and their parameters."""

    dialect = DIALECT

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.failure: DBAPIError | None = None

    def exec_driver_sql(self, statement: str, parameters: tuple[str]) -> None:
        if self.failure is not None:
            raise self.failure
        self.calls.append((" ".join(statement.split()), *parameters))


@pytest.fixture
def connection() -> Any:
    return RecordingConnection()


@pytest.fixture
def bench(tmp_path: Path, migrated: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, migrated)
    yield made
    for engine in made.engines:
        engine.dispose()


def parsed(sql: str) -> list[str]:
    """Parse T-SQL and return the kinds of its statements; fail where one is not understood to its end."""
    sqlglot = pytest.importorskip("sqlglot")
    statements = [statement for statement in sqlglot.parse(sql, dialect="tsql") if statement is not None]
    assert statements
    for statement in statements:
        assert not list(statement.find_all(sqlglot.exp.Command)), statement
    return [type(statement).__name__ for statement in statements]


# --- the statements --------------------------------------------------------------------------------------------------

INSERT = """
INSERT INTO journey_events ([topic], [partition], [offset], [received_at], [schema_id], [stored_at],
 [event_id], [event_type], [user_id], [session_id], [page_url], [occurred_at], [payload])
SELECT [topic], [partition], [offset], [received_at], [schema_id], [stored_at],
 [event_id], [event_type], [user_id], [session_id], [page_url], [occurred_at], [payload]
FROM OPENJSON(?) WITH ([topic] VARCHAR(250) '$[0]', [partition] INTEGER '$[1]', [offset] BIGINT '$[2]',
 [received_at] DATETIME2(3) '$[3]', [schema_id] INTEGER '$[4]', [stored_at] DATETIME2(3) '$[5]',
 [event_id] VARCHAR(37) '$[6]', [event_type] NVARCHAR(129) '$[7]', [user_id] NVARCHAR(129) '$[8]',
 [session_id] NVARCHAR(129) '$[9]', [page_url] NVARCHAR(2049) '$[10]', [occurred_at] DATETIME2(3) '$[11]',
 [payload] NVARCHAR(MAX) '$[12]' AS JSON)
"""
NEW = """
OPENJSON(?) WITH ([topic] VARCHAR(250) '$[0]', [user_id] NVARCHAR(129) '$[1]', [plays] BIGINT '$[2]',
 [last_played_at] DATETIME2(3) '$[3]') AS new
"""
INSERT_USERS = f"""
INSERT INTO video_plays ([topic], [user_id], [plays], [last_played_at])
 SELECT new.[topic], new.[user_id], 0, new.[last_played_at] FROM {NEW}
WHERE NOT EXISTS
 (SELECT 1 FROM video_plays AS known WHERE known.[topic] = new.[topic] COLLATE Latin1_General_100_BIN2
 AND known.[user_id] = new.[user_id] COLLATE Latin1_General_100_BIN2)
"""
UPDATE_PLAYS = f"""
UPDATE known SET [plays] = known.[plays] + new.[plays], [last_played_at] =
 CASE WHEN new.[last_played_at] > known.[last_played_at] THEN new.[last_played_at] ELSE known.[last_played_at] END
FROM video_plays AS known JOIN {NEW} ON known.[topic] = new.[topic] COLLATE Latin1_General_100_BIN2
 AND known.[user_id] = new.[user_id] COLLATE Latin1_General_100_BIN2
"""


def test_events_are_inserted_by_one_statement_with_one_parameter(connection: Any) -> None:
    insert_events(connection, [row(play(7), as_text(AT))])
    ((statement, parameter),) = connection.calls
    assert statement == " ".join(INSERT.split())
    own = {"video_id": "v", "position_seconds": 0.0, "playback_rate": 1.0}
    moment = "2026-03-14 09:26:53.589000"
    common = ["00000000-0000-0000-0000-000000000007", "VideoPlayed", "u", "s", "https://shop.example.com/"]
    assert json.loads(parameter) == [[TOPIC, 0, 7, None, None, moment, *common, moment, own]]
    parsed(statement)


def test_plays_are_added_once_every_user_is_there(connection: Any) -> None:
    add_plays(connection, [(TOPIC, "Ä", 2, as_text(AT))])
    (insertion, first), (update, second) = connection.calls
    assert insertion == " ".join(INSERT_USERS.split())
    assert update == " ".join(UPDATE_PLAYS.split())
    assert first == second == f'[["{TOPIC}","\\u00c4",2,"2026-03-14 09:26:53.589000"]]'
    for statement in (update, insertion):
        parsed(statement)
        assert "MERGE" not in statement


def test_each_text_within_json_is_longer_than_its_column(connection: Any) -> None:
    """What is too long for the column is then refused by the insert, also where OPENJSON would cut it."""
    insert_events(connection, [row(play(0), as_text(AT))])
    for column in journey_events.columns:
        if length := getattr(column.type, "length", None):
            kind = "NVARCHAR" if isinstance(column.type, Unicode) else "VARCHAR"
            assert f"[{column.name}] {kind}({length + 1}) " in connection.calls[0][0]


def test_a_large_batch_is_written_in_parts_of_a_bounded_size(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects_rows, "JSON_SIZE", 10_000)
    rows = [row(play(offset), as_text(AT)) for offset in range(500)]
    insert_events(connection, rows)
    parts = [parameter for _, parameter in connection.calls]
    assert [values[2] for part in parts for values in json.loads(part)] == list(range(500))
    assert max(map(len, parts)) < 11_000
    connection.calls.clear()
    add_plays(connection, [(TOPIC, f"u{n}", n, as_text(AT)) for n in range(1000)])
    assert [values[2] for _, part in connection.calls[::2] for values in json.loads(part)] == list(range(1000))
    assert [part for _, part in connection.calls[::2]] == [part for _, part in connection.calls[1::2]]


def test_nothing_is_written_of_nothing(connection: Any) -> None:
    insert_events(connection, [])
    add_plays(connection, [])
    assert connection.calls == []


@given(user=st.text(max_size=9).filter(lambda text: not text.endswith(" ")), query=st.text(max_size=20))
def test_the_parameter_keeps_every_character(user: str, query: str) -> None:
    connection: Any = RecordingConnection()
    record = play(0, user_id=user, video_id=query)
    insert_events(connection, [row(record, as_text(AT))])
    add_plays(connection, [(TOPIC, user, 1, as_text(AT))])
    (values,) = json.loads(connection.calls[0][1])
    assert (values[8], values[12]["video_id"]) == (user, query)
    assert json.loads(connection.calls[1][1])[0][1] == user


@pytest.fixture
def statements(bench: Bench) -> list[str]:
    """Every statement of store, dead letters and verification, compiled for SQL Server; SQLite runs them."""
    seen: list[str] = []

    def remember(_connection: Connection, element: Any, *_: Any) -> None:
        if hasattr(element, "compile"):
            seen.append(str(element.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})))

    engine = bench.new_engine()
    event.listen(engine, "before_execute", remember)
    store = bench.store(engine=engine)
    store.begin({0: 0})
    store.commit([play(0), aside(1)], {0: Move(0, 2)})
    store.replay(play(1))
    selection = Selection("journey", "100%", naive(AT), (0, 1), replayed=True)
    with engine.connect() as reading:
        noted(reading, bench.settings, selection)
        decoder: Any = None  # nothing is decoded
        verifier = Verifier(bench.settings, engine, decoder, GROUPS)
        for group in GROUPS:
            check = verifier.check(group, reading)
            check.begin(0, 0, verifier.progress(reading, group.name, 0), set())
            check.end()
            check.finish([0, 1], 0)
    return seen


def test_every_statement_is_t_sql(statements: list[str]) -> None:
    for statement in statements:
        parsed(statement)
    kinds = {statement.split()[0] for statement in statements}
    assert kinds == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    advance = next(statement for statement in statements if statement.startswith("UPDATE consumer_progress"))
    assert " ".join(advance.split()) == (
        "UPDATE consumer_progress SET next_offset=:next_offset, updated_at=:updated_at "
        "WHERE consumer_progress.consumer_group = :group AND consumer_progress.topic = :of "
        "AND consumer_progress.partition = :number AND consumer_progress.next_offset = :expected"
    )


def test_every_migration_is_t_sql(capsys: pytest.CaptureFixture[str]) -> None:
    config = branches.alembic_config()
    config.attributes |= {"dialect": "mssql", "carry over": False, "begins": True, "ends": True}
    alembic.upgrade(config, "heads", sql=True)
    for branch in branches.ways():
        alembic.downgrade(config, f"{branch}:base", sql=True)
    batches = [batch for batch in capsys.readouterr().out.split("\nGO\n") if batch.strip()]
    not_for_the_parser = re.compile(r"^\s*(SET|IF @@TRANCOUNT)|declare @const_name")
    statements = [batch for batch in batches if not not_for_the_parser.search(batch)]
    kinds = [kind for statement in statements for kind in parsed(statement)]
    # Tables, and an index; Alembic's own table stays.
    assert (kinds.count("Create"), kinds.count("Drop"), kinds.count("Alter") > 10) == (6, 5, True)
    assert {"Transaction", "Commit"} <= set(kinds)


# --- values that would be changed silently ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["user_id", "session_id", "page_url"])
def test_a_text_that_is_too_long_is_refused_whatever_its_characters(name: str) -> None:
    check = mssql.row_check(JOURNEY)
    length = journey_events.c[name].type.length  # type: ignore[attr-defined]

    def row_with(value: str) -> Any:
        changed: dict[str, Any] = {name: value}
        return JOURNEY.rows(play(0, **changed))

    for value in ("x" * length, "x" * (length - 1) + " ", "🧀" * (length // 2)):
        check(row_with(value))
    for value in ("x" * (length + 1), "x" * length + " ", "x" * length + " yyy", "🧀" * (length // 2) + " "):
        with pytest.raises(RefusedError, match=rf"refuses the row: {name} is longer than {length} characters"):
            check(row_with(value))


def test_a_user_whose_id_ends_with_a_blank_is_not_counted_for_another() -> None:
    check = mssql.row_check(ANALYTIC)
    check(("u", 1, as_text(AT)))
    with pytest.raises(RefusedError, match="refuses the row: user_id 'u ' ends with a blank"):
        check(("u ", 1, as_text(AT)))
    mssql.row_check(JOURNEY)(JOURNEY.rows(play(0, user_id="u ")) or ())  # there it is no key


# --- errors ----------------------------------------------------------------------------------------------------------


def odbc(state: str, *records: str, kind: str = "Error") -> DBAPIError:
    """Return an error as pyodbc makes it of these records."""
    words = f"; [{state}] ".join(f"{record} (SQLExecDirectW)" for record in records)
    return failure(kind, state, words)


TERMINATED = "[SQL Server]The statement has been terminated. (3621)"

# SQL Server's own sentences, with the states that ODBC gives them.
OUTAGES = {
    "42000": (
        "[SQL Server]Lock request time out period exceeded. (1222)",
        "[SQL Server]The transaction log for database 'journey' is full due to 'LOG_BACKUP'. (9002)",
        "[SQL Server]There is insufficient system memory in resource pool 'default' to run this query. (701)",
        "[SQL Server]Could not allocate space for object 'x' because the 'PRIMARY' filegroup is full. (1105)",
        "[SQL Server]Snapshot isolation transaction aborted due to update conflict. (3960)",
        '[SQL Server]Failed to update database "journey" because the database is read-only. (3906)',
        "[SQL Server]Unable to access availability database 'journey': not in the PRIMARY or SECONDARY role. (983)",
        "[SQL Server]Database 'journey' cannot be opened. It is in the middle of a restore. (927)",
        "[SQL Server]SQL Server is not ready to accept new client connections. Wait a few minutes. (17187)",
        "[SQL Server]The service has encountered an error processing your request. Error code 40166. (40197)",
        "[SQL Server]The service is currently busy. Retry the request after 10 seconds. Code: 1. (40501)",
        "[SQL Server]Database 'journey' on server 's' is not currently available. Please retry later. (40613)",
        "[SQL Server]Cannot process request. Not enough resources to process request. (49918)",
        "[SQL Server]Resource ID : 1. The request limit for the database is 60 and has been reached. (10928)",
    ),
    "40001": (
        "[SQL Server]Transaction (Process ID 56) was deadlocked and has been chosen as the deadlock victim. (1205)",
    ),
    "HY000": ("[SQL Server]Cannot continue the execution because the session is in the kill state. (596)",),
    "HYT00": ("Login timeout expired (0)", "Query timeout expired (0)"),
    "HYT01": ("Connection timeout expired (0)",),
    "08S01": ("TCP Provider: Error code 0x2746 (10054)", "Communication link failure (0)"),
    "08001": ("TCP Provider: Error code 0x274D (10061)", "TCP Provider: Error code 0x2AF9 (11001)"),
    "IMC01": ("The connection is broken and recovery is not possible. All attempts failed. (0)",),
    "IMC06": ("The connection is broken and recovery is not possible. It is marked as unrecoverable. (0)",),
}
REFUSALS = {
    "42000": (
        "[SQL Server]String or binary data would be truncated in table 'x', column 'y'. Truncated value: 'z'. (2628)",
        "[SQL Server]JSON text is not properly formatted. Unexpected character 'n' is found at position 0. (13609)",
        "[SQL Server]Operation failed. The index entry of length 904 bytes exceeds the maximum length. (1946)",
    ),
    "22001": ("[SQL Server]String or binary data would be truncated. (8152)",),
    "22003": ("[SQL Server]Arithmetic overflow error converting expression to data type int. (8115)",),
    "22007": ("[SQL Server]Conversion failed when converting date and/or time from character string. (241)",),
    "23000": (
        "[SQL Server]Violation of PRIMARY KEY constraint 'pk_journey_events'. Cannot insert duplicate key. (2627)",
        "[SQL Server]Cannot insert duplicate key row in object 'dbo.journey_events' with unique index 'u'. (2601)",
        '[SQL Server]The INSERT statement conflicted with the CHECK constraint "ck_journey_events_payload". (547)',
        "[SQL Server]Cannot insert the value NULL into column 'user_id'; column does not allow nulls. (515)",
    ),
}
STOPS = {
    "28000": (
        "[SQL Server]Login failed for user 'kafkajourney'. (18456)",
        "[SQL Server]Login failed for user 'kafkajourney'. Reason: The account is disabled. (18470)",
        "[SQL Server]Login failed for user 'k' because the account is currently locked out. (18486)",
        "[SQL Server]Login failed for user 'k'. Reason: The password of the account has expired. (18487)",
    ),
    "08004": ('[SQL Server]The server principal "k" is not able to access the database "journey". (916)',),
    "42S02": ("[SQL Server]Invalid object name 'journey_events'. (208)",),
    "42000": ("[SQL Server]The INSERT permission was denied on the object 'journey_events'. (229)",),
}
MEANINGS = {TransientError: OUTAGES, RefusedError: REFUSALS, StopError: STOPS}
# The class that pyodbc makes of a state.
CLASSES = {"08": "OperationalError", "HYT": "OperationalError", "42": "ProgrammingError", "28": "InterfaceError"}
CLASSES |= {"22": "DataError", "23": "IntegrityError"}


def class_of(state: str) -> str:
    return next((kind for start, kind in CLASSES.items() if state.startswith(start)), "Error")


@pytest.mark.parametrize(
    ("state", "words", "expected"),
    [
        pytest.param(state, words, expected, id=f"{state} {words[-12:]}")
        for expected, messages in MEANINGS.items()
        for state, sentences in messages.items()
        for words in sentences
    ],
)
def test_what_the_server_says_is_sorted(state: str, words: str, expected: type[KafkaJourneyError]) -> None:
    assert isinstance(sorted_error(odbc(state, words, kind=class_of(state)), URL), expected)


# What SQL Server's and FreeTDS's numbers are documented to mean: written out, not taken from the table under test.
OUTAGE_NUMBERS = {
    1205: "deadlock victim",
    1222: "lock request time out",
    3960: "snapshot isolation: update conflict",
    701: "insufficient memory",
    9002: "the log is full",
    1105: "the filegroup is full",
    596: "the session is in the kill state",
    17142: "the server is paused",
    927: "in the middle of a restore",
    983: "not the primary replica",
    3906: "the database is read-only",
    4060: "cannot open the database",
    10054: "connection reset",
    40197: "Azure: error processing the request",
    40501: "Azure: busy",
    40613: "Azure: not available now",
    49918: "Azure: not enough resources",
    20003: "FreeTDS: timed out",
    20017: "FreeTDS: unexpected EOF",
}
DATA_NUMBERS = {
    515: "NULL into a column that takes none",
    547: "CHECK constraint",
    2601: "duplicate in a unique index",
    2627: "duplicate key",
    2628: "would be truncated",
    8152: "would be truncated, before 2019",
    245: "conversion failed",
    8114: "error converting a type",
    13609: "no JSON",
}
WRONG_NUMBERS = {102: "syntax", 207: "invalid column", 208: "invalid object", 229: "permission denied"}


@pytest.mark.parametrize("number", OUTAGE_NUMBERS)
def test_numbers_of_outages_count_whatever_the_state(number: int) -> None:
    error = odbc("42000", f"[SQL Server]Whatever it says. ({number})", kind="ProgrammingError")
    assert type(sorted_error(error, URL)) is TransientError


@pytest.mark.parametrize("number", DATA_NUMBERS)
def test_numbers_of_data_count_whatever_the_state(number: int) -> None:
    error = odbc("42000", f"[SQL Server]Whatever. ({number})", TERMINATED)
    assert type(sorted_error(error, URL)) is RefusedError


@pytest.mark.parametrize("number", WRONG_NUMBERS)
def test_a_number_of_a_wrong_statement_is_neither(number: int) -> None:
    error = odbc("42000", f"[SQL Server]Whatever it says. ({number})", kind="ProgrammingError")
    assert type(sorted_error(error, URL)) is StopError


def test_no_number_stands_for_two_things() -> None:
    numbers = [number for numbers in NUMBERS.values() for number in numbers]
    assert len(numbers) == len(set(numbers))


def test_every_number_that_microsofts_client_tries_again_is_an_outage() -> None:
    """Those of SqlClient's BaselineTransientErrors, but 233 and 997: ODBC has SQLSTATE 08 for them."""
    baseline = {1204, 1205, 1222, 4060, 4221, 10060, 10928, 10929, 40143, 40197, 40501, 40540, 40613}
    assert (baseline | {42108, 42109, 49918, 49919, 49920}) <= set(NUMBERS[TransientError])


def test_a_connection_that_is_lost_while_it_is_made_is_an_outage() -> None:
    assert type(sorted_error(ResourceClosedError("This Connection is closed"), URL)) is TransientError


def test_a_connection_that_is_lost_is_an_outage_too() -> None:
    assert set(NUMBERS[TransientError]) >= LOST


def test_a_statement_that_is_wrong_is_no_outage() -> None:
    """Its number, 121, is also that of a network that fails; there the state tells."""
    wrong = "[SQL Server]The select list for the INSERT statement contains more items than the insert list. (121)"
    assert type(sorted_error(odbc("42000", wrong, kind="ProgrammingError"), URL)) is StopError
    network = "TCP Provider: The semaphore timeout period has expired. (121)"
    assert type(sorted_error(odbc("08S01", network, kind="OperationalError"), URL)) is TransientError


def test_a_text_of_the_row_decides_nothing() -> None:
    """An event must not be able to look like an outage, which would be waited for without end."""
    evil = "pk_video_plays (1205); [08S01] (2627); [40001] certificate verify failed"
    error = odbc("42000", f"[SQL Server]String or binary data would be truncated. Truncated value: '{evil}'. (2628)")
    assert type(sorted_error(error, URL)) is RefusedError


def test_who_loses_the_race_for_a_new_user_begins_again() -> None:
    words = (
        "[SQL Server]Violation of PRIMARY KEY constraint '{}'. Cannot insert duplicate key in object 'dbo.x'. (2627)"
    )
    rows = [("u", 1, as_text(AT))]
    connection: Any = RecordingConnection()
    connection.failure = odbc("23000", words.format("pk_video_plays"), TERMINATED, kind="IntegrityError")
    with pytest.raises(DatabaseAwayError, match="another consumer added the same row of video_plays"):
        add_plays(connection, rows)
    connection.failure = odbc("23000", words.format("pk_journey_events"), TERMINATED, kind="IntegrityError")
    with pytest.raises(IntegrityError) as raised:
        insert_events(connection, [row(play(0), as_text(AT))])
    assert type(sorted_error(raised.value, URL)) is RefusedError


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("HY000", "[SQL Server]Read from the server failed (20004)"),
        ("HY000", "[SQL Server]Unexpected EOF from the server (20017)"),
        ("01000", "[SQL Server]Unexpected EOF from the server (20017)"),
        ("08S01", "[SQL Server]Unable to connect: Adaptive Server is unavailable or does not exist (20009)"),
    ],
)
def test_the_errors_of_freetds_are_outages(state: str, words: str) -> None:
    assert "is away or busy" in str(sorted_error(odbc(state, words), URL))


def test_a_login_that_is_refused_stops_whatever_the_state() -> None:
    error = odbc("42000", '[SQL Server]Login failed for user "sa" (18456)', "[SQL Server]connection failed (20002)")
    assert "refuses the login" in str(sorted_error(error, URL))
    locked = odbc("28000", "[SQL Server]Login failed: the account is currently locked out. (18486)")
    assert type(sorted_error(locked, URL)) is StopError


def test_a_database_that_cannot_be_opened_may_be_on_its_way() -> None:
    first, second = '[SQL Server]Cannot open database "x" requested by the login. (4060)', "[SQL Server]Failed. (18456)"
    error = sorted_error(odbc("28000", first, second), URL)
    assert type(error) is TransientError
    assert "--create-database" in str(error)


def test_a_certificate_that_is_not_trusted_stops_and_says_what_to_set() -> None:
    error = odbc("08001", "SSL Provider: [error:0A000086:SSL routines::certificate verify failed:self-signed] (-1)")
    found = sorted_error(error, URL)
    assert type(found) is StopError
    assert "TrustServerCertificate=yes" in str(found)
    cut = sorted_error(odbc("08001", "SSL Provider: The connection was closed. (10054)"), URL)
    assert type(cut) is TransientError
    assert "Encrypt=no" in str(cut)


@pytest.mark.parametrize(
    ("state", "words", "is_lost"),
    [
        ("HY000", "Unexpected EOF from the server (20017)", True),
        ("IMC06", "The connection is broken and recovery is not possible. (0)", True),
        ("HY000", "Deadlock. (1205)", False),
        ("42000", "IMC06 (0)", False),
    ],
)
def test_a_connection_that_is_dead_is_thrown_away(state: str, words: str, *, is_lost: bool) -> None:
    context = SimpleNamespace(is_disconnect=False, original_exception=odbc(state, f"[SQL Server]{words}").orig)
    mssql._notice_lost_connection(context)  # type: ignore[arg-type]
    assert context.is_disconnect is is_lost


def test_a_transaction_that_the_server_has_ended_needs_no_rollback() -> None:
    class Raising:
        def __init__(self, number: int) -> None:
            self.number = number

        def rollback(self) -> None:
            original = odbc("25000", f"[SQL Server]There is no transaction. ({self.number})").orig
            assert original is not None
            raise original

    mssql._rollback(Raising(3903))
    with pytest.raises(Exception, match="2627"):
        mssql._rollback(Raising(2627))


# --- the proxy of the outages --------------------------------------------------------------------------------------


@pytest.fixture
def echo() -> Iterator[Proxy]:
    """A proxy to a server that gives back what it gets."""
    with socket.create_server((HOST, 0)) as listener, Proxy(*listener.getsockname()[:2]) as proxy:
        threading.Thread(target=serve_echo, args=(listener,), daemon=True).start()
        yield proxy


def serve_echo(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=give_back, args=(client,), daemon=True).start()


def give_back(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError):
        while data := client.recv(1024):
            client.sendall(data)


def client_of(proxy: Proxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), 5)


def answers(client: socket.socket) -> bool:
    client.sendall(b"x")
    return client.recv(1) == b"x"


def test_a_proxy_that_is_killed_refuses_until_it_is_started(echo: Proxy) -> None:
    with client_of(echo) as client:
        assert answers(client)
        echo.kill()
        with pytest.raises(ConnectionRefusedError):
            client_of(echo)
        assert not is_open(client)
    echo.start()
    with client_of(echo) as client:
        assert answers(client)


def test_a_proxy_that_cuts_lets_others_through(echo: Proxy) -> None:
    with client_of(echo) as client:
        assert answers(client)
        echo.cut()
        assert not is_open(client)
        with client_of(echo) as other:
            assert answers(other)


def test_a_proxy_that_is_frozen_takes_connections_and_passes_nothing_on(echo: Proxy) -> None:
    with client_of(echo) as client:
        assert answers(client)
        echo.freeze()
        with client_of(echo) as late:
            for each in (client, late):
                each.sendall(b"x")
                each.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    each.recv(1)
                each.settimeout(5)
            echo.wake()
            assert client.recv(1) == late.recv(1) == b"x"


def is_open(client: socket.socket) -> bool:
    """Whether the other side has not closed the connection; wait for what it does."""
    try:
        return client.recv(1) != b""
    except ConnectionError:
        return False


# --- the workflow ----------------------------------------------------------------------------------------------------

WORKFLOW = ROOT / ".github" / "workflows" / "sql-server.yml"


@pytest.mark.stack
def test_the_workflow_is_one() -> None:
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_runs_every_test_that_takes_the_databases_url() -> None:
    uses = re.compile(r"^from tests\.stack\.given import .*\bGIVEN\b", re.MULTILINE)
    tests = (ROOT / "tests").rglob("test_*.py")
    taking = {str(path.relative_to(ROOT / "tests")) for path in tests if uses.search(path.read_text())}
    assert taking >= {"database/test_sql_server.py", "consuming/test_outages.py", "project/test_chaos.py"}
    run = set(re.findall(r"tests/([\w/]*test_\w+\.py)", WORKFLOW.read_text()))
    assert taking <= run


# --- drivers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimpleNamespace]:
    """Return what says which ODBC drivers are installed."""

    def install(*names: str) -> SimpleNamespace:
        module = SimpleNamespace(
            drivers=lambda: list(names), pooling=True, version="5.5.0", paramstyle="qmark", Cursor=object
        )
        monkeypatch.setitem(sys.modules, "pyodbc", module)
        return module

    return install


def connection_string(engine: Engine) -> str:
    (arguments,), _ = engine.dialect.create_connect_args(engine.url)
    return str(arguments)


def engine_for(url: str) -> Engine:
    return engines.engine(Settings("localhost:1", "http://localhost:1", url, TOPIC))


def test_the_best_driver_is_taken(drivers: Callable[..., SimpleNamespace]) -> None:
    names = ["FreeTDS", "ODBC Driver 17 for SQL Server", "ODBC Driver 18 for SQL Server"]
    while names:
        drivers("SQLite3", *names)
        assert engines._with_driver(make_url("mssql://h/d")).query["driver"] == names.pop()


def test_freetds_is_told_what_it_needs(drivers: Callable[..., SimpleNamespace]) -> None:
    drivers("FreeTDS")
    words = connection_string(engine_for("mssql://sa:x@h:1444/d")).split(";")
    assert {"DRIVER={FreeTDS}", "Server=h", "port=1444", "TDS_Version=7.4"} <= set(words)
    assert "port=1433" in connection_string(engine_for("mssql://sa:x@h/d?TDS_Version=7.3"))
    assert "TDS_Version=7.4" not in connection_string(engine_for("mssql://sa:x@h/d?TDS_Version=7.3"))
    assert engine_for("mssql://sa:x@h/d").dialect.bind_typing.name == "NONE"


def test_microsofts_driver_is_told_nothing_more(drivers: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    drivers("ODBC Driver 18 for SQL Server")
    engine = engine_for("mssql://sa:x@h:1444/d")
    assert connection_string(engine) == "DRIVER={ODBC Driver 18 for SQL Server};Server=h,1444;Database=d;UID=sa;PWD=x"
    assert engine.dialect.bind_typing.name == "SETINPUTSIZES"
    library = tmp_path / "libmsodbcsql-18.6.so.2.1"
    library.touch()
    assert connection_string(engine_for(f"mssql://sa:x@h/d?driver={library}")).startswith(f"DRIVER={{{library}}}")


def test_the_driver_managers_pool_is_off(drivers: Callable[..., SimpleNamespace]) -> None:
    module = drivers("FreeTDS")
    engine_for("mssql://sa:x@h/d")
    assert module.pooling is False


def test_where_there_is_no_driver_the_sentence_says_where_to_get_one(drivers: Callable[..., SimpleNamespace]) -> None:
    drivers()
    with pytest.raises(KafkaJourneyError, match="No ODBC driver") as caught:
        engine_for("mssql://sa:x@h/d")
    for words in ("aka.ms/odbc18", "apt install tdsodbc", "pip install mssql-python-odbc", "?driver=/path"):
        assert words in str(caught.value)
