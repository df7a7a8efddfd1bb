"""What can be known of SQL Server without one: the SQL, its parameters, the errors, the drivers."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alembic import command as alembic
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.dialects import mssql
from sqlalchemy.exc import DBAPIError

from consumers.journey.rows import row
from kafkajourney import database, dialects
from kafkajourney.dead_letters import Selection, noted
from kafkajourney.dialects import add_plays, insert_events, sorted_error
from kafkajourney.errors import KafkaJourneyError, RefusedError, StopError, TransientError
from kafkajourney.events import Move
from kafkajourney.settings import Settings
from kafkajourney.tables import journey_events
from kafkajourney.verify import Verifier
from tests.test_store import AT, TOPIC, Bench, aside, failure, migrated, naive, play

__all__ = ["migrated"]  # the fixture

URL = "mssql+pyodbc://sa:s3cret@db/journey"
DIALECT = mssql.dialect()  # type: ignore[no-untyped-call]


class RecordingConnection:
    """A SQL Server as far as ``insert_events`` and ``add_plays`` see it: keeps the statements and their parameters."""

    dialect = DIALECT

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def exec_driver_sql(self, statement: str, parameters: tuple[str]) -> None:
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
INSERT INTO journey_events ([topic], [partition], [offset], [event_id], [event_type], [user_id], [session_id],
 [page_url], [occurred_at], [stored_at], [payload])
SELECT [topic], [partition], [offset], [event_id], [event_type], [user_id], [session_id],
 [page_url], [occurred_at], [stored_at], [payload]
FROM OPENJSON(?) WITH ([topic] NVARCHAR(250) '$[0]', [partition] INTEGER '$[1]', [offset] BIGINT '$[2]',
 [event_id] NVARCHAR(37) '$[3]', [event_type] NVARCHAR(129) '$[4]', [user_id] NVARCHAR(129) '$[5]',
 [session_id] NVARCHAR(129) '$[6]', [page_url] NVARCHAR(2049) '$[7]', [occurred_at] DATETIME2(3) '$[8]',
 [stored_at] DATETIME2(3) '$[9]', [payload] NVARCHAR(MAX) '$[10]' AS JSON)
"""
NEW = """
OPENJSON(?) WITH ([user_id] NVARCHAR(129) '$[0]', [plays] BIGINT '$[1]', [last_played_at] DATETIME2(3) '$[2]') AS new
"""
INSERT_USERS = f"""
INSERT INTO video_plays (user_id, plays, last_played_at) SELECT new.user_id, 0, new.last_played_at FROM {NEW}
WHERE NOT EXISTS
 (SELECT 1 FROM video_plays AS known WHERE known.user_id = new.user_id COLLATE Latin1_General_100_BIN2)
"""
UPDATE_PLAYS = f"""
UPDATE known SET plays = known.plays + new.plays, last_played_at =
 CASE WHEN new.last_played_at > known.last_played_at THEN new.last_played_at ELSE known.last_played_at END
FROM video_plays AS known JOIN {NEW} ON known.user_id = new.user_id COLLATE Latin1_General_100_BIN2
"""


def test_events_are_inserted_by_one_statement_with_one_parameter(connection: Any) -> None:
    insert_events(connection, [row(play(7), naive(AT))])
    ((statement, parameter),) = connection.calls
    assert statement == " ".join(INSERT.split())
    own = {"video_id": "v", "position_seconds": 0.0, "playback_rate": 1.0}
    moment = "2026-03-14T09:26:53.589000"
    common = [TOPIC, 0, 7, "00000000-0000-0000-0000-000000000007", "VideoPlayed", "u", "s", "https://shop.example.com/"]
    assert json.loads(parameter) == [[*common, moment, moment, own]]
    parsed(statement)


def test_plays_are_added_once_every_user_is_there(connection: Any) -> None:
    add_plays(connection, [{"user_id": "Ä", "plays": 2, "last_played_at": naive(AT)}])
    (insertion, first), (update, second) = connection.calls
    assert insertion == " ".join(INSERT_USERS.split())
    assert update == " ".join(UPDATE_PLAYS.split())
    assert first == second == '[["\\u00c4",2,"2026-03-14T09:26:53.589000"]]'
    for statement in (update, insertion):
        parsed(statement)
        assert "MERGE" not in statement


def test_each_text_within_json_is_longer_than_its_column(connection: Any) -> None:
    """What is too long for the column is then refused by the insert, also where OPENJSON would cut it."""
    insert_events(connection, [row(play(0), naive(AT))])
    for column in journey_events.columns:
        if length := getattr(column.type, "length", None):
            assert f"[{column.name}] NVARCHAR({length + 1}) " in connection.calls[0][0]


def test_a_large_batch_is_written_in_parts_of_a_bounded_size(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects, "JSON_SIZE", 10_000)
    rows = [row(play(offset), naive(AT)) for offset in range(500)]
    insert_events(connection, rows)
    parts = [parameter for _, parameter in connection.calls]
    assert [values[2] for part in parts for values in json.loads(part)] == list(range(500))
    assert max(map(len, parts)) < 11_000
    connection.calls.clear()
    add_plays(connection, [{"user_id": f"u{n}", "plays": n, "last_played_at": naive(AT)} for n in range(1000)])
    assert [values[1] for _, part in connection.calls[::2] for values in json.loads(part)] == list(range(1000))
    assert [part for _, part in connection.calls[::2]] == [part for _, part in connection.calls[1::2]]


def test_nothing_is_written_of_nothing(connection: Any) -> None:
    insert_events(connection, [])
    add_plays(connection, [])
    assert connection.calls == []


@given(user=st.text(max_size=9).filter(lambda text: not text.endswith(" ")), query=st.text(max_size=20))
def test_the_parameter_keeps_every_character(user: str, query: str) -> None:
    connection: Any = RecordingConnection()
    record = play(0, user_id=user, video_id=query)
    insert_events(connection, [row(record, naive(AT))])
    add_plays(connection, [{"user_id": user, "plays": 1, "last_played_at": naive(AT)}])
    (values,) = json.loads(connection.calls[0][1])
    assert (values[5], values[10]["video_id"]) == (user, query)
    assert json.loads(connection.calls[1][1])[0][0] == user


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
        verifier = Verifier(bench.settings, engine, lambda _: pytest.fail("nothing to decode"))  # type: ignore[arg-type]
        for stored in verifier._rows(0, 0, 1):
            verifier._count_if_duplicate(reading, stored)
        verifier._progress(reading, "journey", 0)
        verifier._count_rows_elsewhere(reading, [0, 1])
        verifier._compare_totals(reading)
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
    config = database.alembic_config()
    config.attributes["dialect"] = "mssql"
    alembic.upgrade(config, "head", sql=True)
    alembic.downgrade(config, "head:base", sql=True)
    batches = [batch for batch in capsys.readouterr().out.split("\nGO\n") if batch.strip()]
    kinds = [kind for batch in batches for kind in parsed(batch)]
    assert (kinds.count("Create"), kinds.count("Drop")) == (5, 4)  # Alembic's own table stays
    assert {"Transaction", "Commit"} <= set(kinds)


# --- values that would be changed silently ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["user_id", "session_id", "page_url"])
def test_a_text_that_is_too_long_by_blanks_is_refused(connection: Any, name: str) -> None:
    length = journey_events.c[name].type.length  # type: ignore[attr-defined]
    insert_events(connection, [row(play(0, **{name: "x" * (length - 1) + " "}), naive(AT))])
    assert connection.calls
    for value in ("x" * length + " ", "🧀" * (length // 2) + " "):
        with pytest.raises(RefusedError, match=rf"refuses the row: {name} is longer than {length} characters"):
            insert_events(connection, [row(play(0, **{name: value}), naive(AT))])


def test_a_user_whose_id_ends_with_a_blank_is_not_counted_for_another(connection: Any) -> None:
    rows = [{"user_id": user, "plays": 1, "last_played_at": naive(AT)} for user in ("u", "u ")]
    with pytest.raises(RefusedError, match="refuses the row: user_id 'u ' ends with a blank"):
        add_plays(connection, rows)
    assert connection.calls == []


# --- errors ----------------------------------------------------------------------------------------------------------

FREETDS = "[FreeTDS]"


def odbc(state: str, *records: str, kind: str = "Error") -> DBAPIError:
    """Return an error as pyodbc makes it of these records."""
    words = f"; [{state}] ".join(f"{record} (SQLExecDirectW)" for record in records)
    return failure(kind, state, words)


@pytest.mark.parametrize("number", [1205, 1222, 3960, 596, 983, 4060, 40613, 701, 9002, 10054])
def test_numbers_of_outages_count_whatever_the_state(number: int) -> None:
    error = odbc("42000", f"[SQL Server]Whatever it says. ({number})", kind="ProgrammingError")
    assert type(sorted_error(error, URL)) is TransientError


@pytest.mark.parametrize("number", [2628, 8152, 547, 2627, 515, 8115, 13609])
def test_numbers_of_data_count_whatever_the_state(number: int) -> None:
    error = odbc("42000", f"[SQL Server]Whatever. ({number})", "[SQL Server]The statement has been terminated. (3621)")
    assert type(sorted_error(error, URL)) is RefusedError


def test_no_number_stands_for_two_things() -> None:
    numbers = [number for numbers in dialects._NUMBERS.values() for number in numbers]
    assert len(numbers) == len(set(numbers))


def test_a_text_of_the_row_decides_nothing() -> None:
    """An event must not be able to look like an outage, which would be waited for without end."""
    evil = "pk_video_plays (1205); [08S01] (2627); [40001] certificate verify failed"
    error = odbc("42000", f"[SQL Server]String or binary data would be truncated. Truncated value: '{evil}'. (2628)")
    assert type(sorted_error(error, URL)) is RefusedError


def test_who_loses_the_race_for_a_new_user_begins_again() -> None:
    words = (
        "[SQL Server]Violation of PRIMARY KEY constraint '{}'. Cannot insert duplicate key in object 'dbo.x'. (2627)"
    )
    for constraint, expected in (("pk_video_plays", TransientError), ("pk_journey_events", RefusedError)):
        error = odbc("23000", words.format(constraint), "[SQL Server]Terminated. (3621)", kind="IntegrityError")
        assert type(sorted_error(error, URL)) is expected


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("HY000", "[SQL Server]Read from the server failed (20004)"),
        ("HY000", "[SQL Server]Unexpected EOF from the server (20017)"),
        ("HY000", "[SQL Server]DBPROCESS is dead or not enabled (20047)"),
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


def test_a_connection_that_freetds_calls_dead_is_thrown_away() -> None:
    context = SimpleNamespace(is_disconnect=False, original_exception=None)
    for words, is_lost in (("Unexpected EOF from the server (20017)", True), ("Deadlock. (1205)", False)):
        context.is_disconnect, context.original_exception = False, odbc("HY000", f"[SQL Server]{words}").orig
        dialects._notice_lost_connection(context)  # type: ignore[arg-type]
        assert context.is_disconnect is is_lost


def test_a_transaction_that_the_server_has_ended_needs_no_rollback() -> None:
    class Raising:
        def __init__(self, number: int) -> None:
            self.number = number

        def rollback(self) -> None:
            original = odbc("25000", f"[SQL Server]There is no transaction. ({self.number})").orig
            assert original is not None
            raise original

    dialects._rollback(Raising(3903))
    with pytest.raises(Exception, match="2627"):
        dialects._rollback(Raising(2627))


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
    return database.engine(Settings("localhost:1", "http://localhost:1", url, TOPIC))


def test_the_best_driver_is_taken(drivers: Callable[..., SimpleNamespace]) -> None:
    names = ["FreeTDS", "ODBC Driver 17 for SQL Server", "ODBC Driver 18 for SQL Server"]
    while names:
        drivers("SQLite3", *names)
        assert database._with_driver(make_url("mssql://h/d")).query["driver"] == names.pop()


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
