"""The database whose URL is in KAFKAJOURNEY_TEST_DATABASE_URL: SQL Server above all, but any that is supported.

Its user has to be one who may create databases: the tests work in one of their own, which they drop. The events come
through the embedded broker, or through those of KAFKAJOURNEY_TEST_BOOTSTRAP_SERVERS and
KAFKAJOURNEY_TEST_SCHEMA_REGISTRY_URL.
"""

import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, delete, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError

from consumers.analytic import ANALYTIC
from consumers.journey import JOURNEY
from consumers.journey.table import journey_events
from kafkajourney.database import engines, revisions
from kafkajourney.database.branches import VERSION_TABLE
from kafkajourney.database.dialect import dialect_of
from kafkajourney.database.store import Store
from kafkajourney.database.writing import writer
from kafkajourney.embedded.stack import embedded_stack
from kafkajourney.errors import RefusedError, StopError, TransientError
from kafkajourney.events import Move, Record, as_text
from kafkajourney.settings import ENVIRONMENT, Settings
from kafkajourney.state import STATE_FOLDER
from tests.database.test_migrations import TABLES
from tests.database.test_store import (  # noqa: F401 # run here too, on the bench below
    test_a_consumer_whose_progress_was_moved_writes_nothing,
    test_a_database_that_was_set_back_fences_the_consumer,
    test_a_dead_letter_is_replayed_once,
    test_a_long_reason_is_cut_as_sql_server_counts,
    test_a_long_reason_is_cut_to_what_the_table_keeps,
    test_a_partition_that_was_begun_goes_on_where_it_was,
    test_a_partition_that_was_never_begun_begins_at_its_start,
    test_a_partition_that_was_never_begun_cannot_be_committed,
    test_a_record_is_set_aside_again_after_the_progress_was_set_back,
    test_a_replay_that_is_refused_can_be_tried_again,
    test_a_replayed_play_is_counted_once,
    test_a_row_that_the_database_refuses_leaves_everything_as_it_was,
    test_an_error_in_the_midst_of_writing_leaves_everything_as_it_was,
    test_an_event_at_an_offset_that_is_stored_is_refused,
    test_events_and_progress_are_stored_together,
    test_groups_do_not_fence_each_other,
    test_many_plays_are_added_at_once,
    test_of_two_consumers_with_the_same_belief_exactly_one_stores,
    test_only_records_with_an_event_are_written,
    test_plays_are_added_and_the_later_moment_kept,
    test_plays_of_a_fenced_consumer_are_not_counted,
    test_progress_is_a_groups_own_and_a_topics_own,
    test_records_passed_over_advance_the_progress_and_write_nothing,
    test_rows_and_progress_have_the_time_of_the_commit_in_milliseconds,
    test_the_fence_holds_whichever_partition_was_moved,
    test_two_consumers_that_begin_the_same_partition_at_once_are_fenced,
    test_users_that_differ_only_in_case_are_counted_apart,
    test_what_a_fenced_consumer_sets_aside_is_not_noted,
    test_what_is_set_aside_is_noted_together_with_the_progress,
    test_what_was_never_set_aside_is_not_replayed,
)
from tests.project.test_pipeline import (  # noqa: F401 # run here too, on the stack below
    test_a_consumer_that_dies_at_the_worst_moment_leaves_no_gap_and_no_duplicate,
    test_a_poison_record_is_set_aside_and_verify_accounts_for_it,
    test_consumers_that_are_killed_lose_nothing_and_double_nothing,
    test_doctor_finds_everything_well,
)
from tests.stack import Missing
from tests.stack.given import GIVEN, VARIABLE, address, database_of_its_own, settings_for, through
from tests.stack.proxy import Proxy
from tests.stack.real import prepare
from tests.support.pipeline import verified  # run here too, on the stack below
from tests.support.processes import ROOT, Commands, Running, wait_for
from tests.support.store import AT, TOPIC, Bench, RowStore, naive, play  # run here too, on the bench below

# Read now: a fixture takes away all KAFKAJOURNEY_ variables.
store_events = writer(JOURNEY)

BROKERS = os.environ.get("KAFKAJOURNEY_TEST_BOOTSTRAP_SERVERS")
REGISTRY = os.environ.get("KAFKAJOURNEY_TEST_SCHEMA_REGISTRY_URL")

pytestmark = [pytest.mark.stack, pytest.mark.skipif(not GIVEN, reason=f"{VARIABLE} names no database to test on")]


@pytest.fixture(scope="module")
def url() -> Iterator[URL]:
    """The URL of a database of the tests' own, which is dropped at the end."""
    with database_of_its_own(make_url(GIVEN)) as own:
        yield own


@pytest.fixture(scope="module")
def settings(url: URL) -> Settings:
    """The settings of a database at the newest revision."""
    made = settings_for(url)
    revisions.upgrade(made)
    return made


class ServerBench(Bench):
    """The bench of the store's tests, on the server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engines: list[Engine] = []
        self.engine = self.new_engine()

    def new_engine(self, busy_timeout: int = 0) -> Engine:
        self.engines.append(engines.engine(self.settings))
        return self.engines[-1]

    @cached_property
    def is_babelfish(self) -> bool:
        """Whether the server is T-SQL on PostgreSQL."""
        if self.engine.dialect.name != "mssql":
            return False
        with self.engine.connect() as connection:
            return "Babelfish" in str(connection.scalar(text("SELECT @@VERSION")))

    def payloads(self) -> list[str]:
        with self.engine.connect() as connection:
            return list(connection.scalars(select(journey_events.c.payload).order_by(journey_events.c.offset)))


LOSES_MILLISECONDS = {
    test_rows_and_progress_have_the_time_of_the_commit_in_milliseconds.__name__,
    test_what_is_set_aside_is_noted_together_with_the_progress.__name__,
}


@pytest.fixture
def bench(settings: Settings, request: pytest.FixtureRequest) -> Iterator[ServerBench]:
    made = ServerBench(settings)
    if request.node.name in LOSES_MILLISECONDS and made.is_babelfish and "msodbcsql" in str(made.engine.url):
        reason = "Babelfish does not tell Microsoft's driver the precision of its times, so that pyodbc sends seconds"
        request.node.add_marker(pytest.mark.xfail(strict=True, reason=reason))
    with made.engine.begin() as connection:
        for table in TABLES:
            connection.execute(delete(table))
    yield made
    for engine in made.engines:
        engine.dispose()


@pytest.fixture
def unlike_babelfish(bench: ServerBench, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return what expects the test to fail on Babelfish for PostgreSQL, which is not SQL Server in everything."""

    def expect_failure(reason: str) -> None:
        if bench.is_babelfish:
            request.node.add_marker(pytest.mark.xfail(strict=True, reason=f"Babelfish {reason}"))

    return expect_failure


# --- migrations ------------------------------------------------------------------------------------------------------


def test_the_migrations_go_back_and_forth(bench: ServerBench) -> None:
    revisions.downgrade(bench.settings, "base")
    assert set(inspect(bench.engine).get_table_names()) == {VERSION_TABLE}
    for _ in range(2):
        revisions.upgrade(bench.settings)
    assert set(inspect(bench.engine).get_table_names()) == {*(table.name for table in TABLES), VERSION_TABLE}
    revisions.require_revisions(bench.engine, bench.settings)


def test_alembic_finds_no_difference(bench: ServerBench, unlike_babelfish: Callable[[str], None]) -> None:
    unlike_babelfish("has no INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS, and calls the collation bbf_unicode_bin2")
    revisions.check(bench.settings)


# --- values ----------------------------------------------------------------------------------------------------------

EVERY_CHARACTER = ["Ünï", "漢字", "🧀🧀", "'; DROP TABLE x --", "%_[]", "a  b", "\u2028\ufeff", "\u017f\u0130"]


@pytest.mark.parametrize("value", EVERY_CHARACTER)
def test_every_character_is_kept(bench: ServerBench, value: str) -> None:
    stored_as(bench, value)


@pytest.mark.parametrize("value", ['say "cheese"', "back\\slash", "tab\tand\nline", "\x01\x1f", "\b\f\r", "\\u0041\\n"])
def test_every_character_that_json_escapes_is_kept(
    bench: ServerBench, unlike_babelfish: Callable[[str], None], value: str
) -> None:
    unlike_babelfish("leaves JSON's escapes in what OPENJSON returns")
    stored_as(bench, value)


@pytest.mark.parametrize("value", ["u ", " ", "\u3000"])
def test_blanks_at_the_end_are_kept(bench: ServerBench, value: str) -> None:
    stored_as(bench, value)


def stored_as(bench: ServerBench, value: str) -> None:
    """Store an event with this text in each field that takes any; expect it back as it was."""
    store = bench.store()
    store.begin({0: 0})
    store.commit([play(0, user_id=value, session_id=value, page_url=value, video_id=value)], {0: Move(0, 1)})
    columns = journey_events.c
    with bench.engine.connect() as connection:
        (row,) = connection.execute(select(columns.user_id, columns.session_id, columns.page_url))
    assert tuple(row) == (value, value, value)
    assert json.loads(bench.payloads()[0])["video_id"] == value


IN_PAYLOADS = [
    'say "cheese"',
    "\\ \\u0041 \\n",
    "\t\n\r\b\f",
    "".join(map(chr, range(1, 32))),
    "\x7f\x80\x9f",
    "\u2028\u2029\ufeff\uffff",
    "🧀 👩\u200d👩\u200d👧 \U0010ffff",
    "</script> &quot; %00 ' -- $.x",
]


@pytest.mark.parametrize("value", IN_PAYLOADS)
def test_every_character_of_a_payload_is_kept(bench: ServerBench, value: str) -> None:
    in_payload(bench, value)


def test_a_nul_in_a_payload_is_kept(bench: ServerBench, unlike_babelfish: Callable[[str], None]) -> None:
    unlike_babelfish("has JSON that takes no NUL, also not escaped")
    in_payload(bench, "a\0b")


def test_a_nul_in_a_key_is_kept_or_refused(bench: ServerBench, unlike_babelfish: Callable[[str], None]) -> None:
    """Never cut: that would be another user."""
    unlike_babelfish("has JSON that takes no NUL, and no number for that error")
    store = bench.store()
    store.begin({0: 0})
    try:
        store.commit([play(0, user_id="a\0b")], {0: Move(0, 1)})
    except RefusedError:
        assert bench.offsets() == []
        return
    with bench.engine.connect() as connection:
        assert connection.scalar(select(journey_events.c.user_id)) == "a\0b"


@pytest.mark.parametrize("size", [3000, 4001, 200_000, 1_000_000])
def test_a_payload_of_any_size_is_kept(bench: ServerBench, unlike_babelfish: Callable[[str], None], size: int) -> None:
    if size > 4000:
        unlike_babelfish("cuts NVARCHAR(MAX) within OPENJSON at 4,000 characters; the check refuses the rest")
    in_payload(bench, "ü" * size)


def in_payload(bench: ServerBench, value: str) -> None:
    """Store an event with this text in its payload, between two others; expect it back as it was."""
    store = bench.store()
    store.begin({0: 0})
    texts = ["before", value, "after"]
    store.commit([play(offset, video_id=each) for offset, each in enumerate(texts)], {0: Move(0, 3)})
    assert [json.loads(payload)["video_id"] for payload in bench.payloads()] == texts


def test_what_does_not_fit_is_refused_and_what_does_is_stored(bench: ServerBench) -> None:
    store = bench.store()
    store.begin({0: 0})
    fits = [play(0, user_id="x" * 128), play(1, page_url="x" * 2048), play(2, page_url="x" * 2047 + " ")]
    too_long: list[dict[str, Any]] = [
        {"user_id": "x" * 129},
        {"session_id": "x" * 129 + "y" * 1000},
        {"page_url": "x" * 2049},
        {"page_url": "x" * 2048 + " "},
    ]
    if bench.engine.dialect.name == "sqlite":
        pytest.skip("SQLite takes texts of any length")
    if not bench.is_babelfish and bench.engine.dialect.name == "mssql":
        too_long.append({"user_id": "🧀" * 65})
    store.commit(fits, {0: Move(0, 3)})
    for values in too_long:
        with pytest.raises(RefusedError):
            store.commit([play(3, **values)], {0: Move(3, 4)})
    assert bench.offsets() == [(0, 0), (0, 1), (0, 2)]
    assert bench.progress() == {("journey", 0): 3}


def test_a_large_batch_is_stored_whole(bench: ServerBench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([play(offset, page_url="x" * 1000) for offset in range(5000)], {0: Move(0, 5000)})
    assert bench.offsets() == [(0, offset) for offset in range(5000)]


# --- counters --------------------------------------------------------------------------------------------------------


def test_a_user_is_not_counted_for_one_without_the_blank(bench: ServerBench) -> None:
    if bench.engine.dialect.name != "mssql":
        pytest.skip("only SQL Server takes them for the same")
    store = bench.store("analytic")
    store.begin({0: 0})
    store.commit([play(0)], {0: Move(0, 1)})
    with pytest.raises(RefusedError, match="'u ' ends with a blank"):
        store.commit([play(1, user_id="u ")], {0: Move(1, 2)})
    assert bench.plays() == {"u": (1, naive(AT))}


def test_two_consumers_that_count_the_same_new_users_lose_nothing(bench: ServerBench) -> None:
    if bench.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer")
    rows = [(f"u{n}", 1, as_text(AT)) for n in range(20)]
    done: list[str] = []

    def count(engine: Engine) -> None:
        while not done or done[-1] == "again":
            try:
                with engines.sorted_errors(bench.settings), engine.begin() as connection:
                    dialect_of(connection).add(connection, ANALYTIC, rows)
            except TransientError:
                done.append("again")
            else:
                done.append("counted")

    other = threading.Thread(target=count, args=(bench.new_engine(),))
    with bench.engine.begin() as connection:
        dialect_of(connection).add(connection, ANALYTIC, rows)
        other.start()
        threading.Event().wait(0.5)  # until the other one waits for this transaction; no query shows that everywhere
    other.join(30)
    assert done[-1] == "counted"
    assert bench.plays() == {f"u{n}": (2, naive(AT)) for n in range(20)}


# --- outages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy(url: URL) -> Iterator[Proxy]:
    try:
        made = Proxy(*address(url))
    except Missing as missing:
        pytest.skip(str(missing))
    with made:
        yield made


@pytest.fixture
def behind(proxy: Proxy, settings: Settings) -> Settings:
    """The settings of the database behind the proxy."""
    url = through(proxy, make_url(settings.database_url))
    return replace(settings, database_url=url.render_as_string(hide_password=False))


def test_a_connection_that_was_cut_is_an_outage_once(bench: ServerBench, proxy: Proxy, behind: Settings) -> None:
    with engines.disposed(engines.engine(behind)) as engine:
        store = bench.store(engine=engine)
        store.begin({0: 0})
        store.commit([play(0)], {0: Move(0, 1)})
        proxy.cut()
        with pytest.raises(TransientError, match="is away or busy"):
            store.commit([play(1)], {0: Move(1, 2)})
        store.commit([play(1)], {0: Move(1, 2)})
    assert bench.offsets() == [(0, 0), (0, 1)]


def test_a_connection_that_is_cut_in_a_transaction_leaves_nothing(
    bench: ServerBench, proxy: Proxy, behind: Settings
) -> None:
    def write_then_cut(connection: Connection, records: Sequence[Record], now: datetime) -> None:
        store_events(connection, records, now)
        proxy.cut()

    with engines.disposed(engines.engine(behind)) as engine:
        store = bench.store(engine=engine, write=write_then_cut)
        store.begin({0: 0})
        with pytest.raises(TransientError):
            store.commit([play(0)], {0: Move(0, 1)})
        assert bench.store(engine=engine).progress() == {0: 0}
    assert bench.offsets() == []


def test_a_server_that_is_away_is_an_outage(bench: ServerBench, proxy: Proxy, behind: Settings) -> None:
    proxy.kill()
    with engines.disposed(engines.engine(behind)) as engine, pytest.raises(TransientError):
        bench.store(engine=engine).progress()


def test_a_wrong_password_stops(bench: ServerBench, url: URL) -> None:
    if url.password is None:
        pytest.skip("the URL has no password")
    wrong = settings_for(url.set(password="not-it-1"))
    with engines.disposed(engines.engine(wrong)) as engine, pytest.raises(StopError) as caught:
        Store(engine, wrong, "journey", store_events).progress()
    assert "refuses the login" in str(caught.value)
    assert "not-it-1" not in str(caught.value)


def test_a_certificate_that_nobody_signed_stops_and_says_why(url: URL) -> None:
    if "TrustServerCertificate" not in url.query:
        pytest.skip("the URL does not say that the certificate is to be trusted")
    strict = settings_for(url.set(query={k: v for k, v in url.query.items() if k != "TrustServerCertificate"}))
    with engines.disposed(engines.engine(strict)) as engine, pytest.raises(StopError, match="is not trusted: "):
        Store(engine, strict, "journey", store_events).progress()


# --- a login that can do no more than it needs -----------------------------------------------------------------------


def least_privilege() -> list[str]:
    """Return the statements of the script in docs/sql-server.md."""
    (script,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "sql-server.md").read_text(), re.DOTALL)
    return [statement.strip() for statement in script.split(";") if statement.strip()]


@pytest.fixture(scope="module")
def limited(settings: Settings) -> Iterator[Settings]:
    """The settings with the login that docs/sql-server.md makes."""
    url = make_url(settings.database_url)
    if url.get_backend_name() != "mssql":
        pytest.skip("the script is for SQL Server")
    name, password = f"kj_{uuid.uuid4().hex[:8]}", "Least-Privilege-1"
    own = [re.sub(r"\bkafkajourney\b", name, each).replace("choose-1-Yourself", password) for each in least_privilege()]
    execute(settings, own)
    yield settings_for(url.set(username=name, password=password))
    grants = [each for each in own if each.startswith("GRANT")]
    execute(settings, [each.replace("GRANT", "REVOKE").replace(" TO ", " FROM ") for each in grants])
    execute(settings, [f"DROP USER {name}", f"DROP LOGIN {name}"])


def execute(settings: Settings, statements: Sequence[str]) -> None:
    with engines.disposed(engines.engine(settings)) as engine, engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_the_login_of_the_documentation_is_enough_for_the_consumers(bench: ServerBench, limited: Settings) -> None:
    with engines.disposed(engines.engine(limited)) as engine:
        revisions.require_revisions(engine, limited)
        journey = RowStore(engine, limited, JOURNEY)
        journey.begin({0: 0})
        journey.commit([play(0), Record(TOPIC, 0, 1, reason="bad")], {0: Move(0, 2)})
        assert journey.replay(play(1))
        analytic = RowStore(engine, limited, ANALYTIC)
        analytic.begin({0: 0})
        analytic.commit([play(0), play(1)], {0: Move(0, 2)})
    assert bench.offsets() == [(0, 0), (0, 1)]
    assert bench.plays() == {"u": (2, naive(AT))}


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE journey_events", "DELETE FROM journey_events", "UPDATE journey_events SET user_id = 'x'"],
)
def test_the_login_of_the_documentation_can_do_no_more(bench: ServerBench, limited: Settings, statement: str) -> None:
    with pytest.raises(DBAPIError):
        execute(limited, [statement])


# --- the whole pipeline ----------------------------------------------------------------------------------------------


@pytest.fixture
def stack(bench: ServerBench, tmp_path: Path) -> Iterator[Settings]:
    if BROKERS and REGISTRY:
        topic = f"test-{uuid.uuid4().hex[:12]}"
        made = Settings(BROKERS, REGISTRY, bench.settings.database_url, topic)
        prepare(made)
        yield made
        return
    with embedded_stack(tmp_path / STATE_FOLDER) as settings:
        yield replace(settings, database_url=bench.settings.database_url)


def test_events_are_stored_once_however_often_the_consumers_run(bench: ServerBench, commands: Commands) -> None:
    commands.run("producer", "--rate", "0", "--count", "2000", "--seed", "7")
    for _ in range(2):
        for group in ("journey", "analytic"):
            commands.run(f"consumers.{group}", "--until-caught-up")
        verdict = commands.run("kafkajourney", "verify")
        assert "produced 2000, stored 2000, missing 0, duplicates 0, unexpected 0" in verdict


def test_what_the_database_refuses_is_a_dead_letter(bench: ServerBench, commands: Commands, tmp_path: Path) -> None:
    if bench.engine.dialect.name == "sqlite":
        pytest.skip("SQLite takes texts of any length")
    common = {"type": "VideoPlayed", "session_id": "s", "video_id": "v", "position_seconds": 1, "user_id": "u"}
    events = [common | {"page_url": "p" * size, "occurred_at": "2026-01-01T00:00:00Z"} for size in (9, 3000, 2000)]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(json.dumps(event) for event in events))
    commands.run("producer", "--input", str(path))
    for group in ("journey", "analytic"):
        commands.run(f"consumers.{group}", "--until-caught-up")
    assert "produced 3, stored 2, missing 0" in commands.run("kafkajourney", "verify")
    assert "1 dead letters" in commands.run("kafkajourney", "dlq", "list")
    assert "still refused" in commands.run("kafkajourney", "dlq", "replay", code=1)


def test_consumers_outlive_connections_that_are_cut(
    bench: ServerBench, commands: Commands, proxy: Proxy, behind: Settings
) -> None:
    through = {ENVIRONMENT["database_url"]: behind.database_url}
    consumers = [commands.start(f"consumers.{group}", variables=through) for group in ("journey", "analytic")]
    producer = commands.start("producer", "--rate", "300", "--count", "2000", "--users", "30")
    for part in range(1, 5):
        wait_for(lambda part=part: len(bench.offsets()) >= 200 * part)  # type: ignore[misc]
        proxy.cut()
    assert "produced 2000 events" in producer.end()
    verified(commands)
    assert bench.noted() == []
    for consumer in consumers:
        stop(consumer)


def stop(consumer: Running) -> None:
    consumer.process.terminate()
    consumer.end(130)
