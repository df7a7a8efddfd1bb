"""The store on SQLite: all or nothing, fenced; and how the failures of a database are sorted."""

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, insert, make_url, select
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from consumers.analytic import ANALYTIC
from consumers.analytic.table import video_plays
from consumers.journey.table import journey_events
from kafkajourney.database import engines, revisions
from kafkajourney.database.dialect import dialect_of
from kafkajourney.database.errors import sorted_error
from kafkajourney.database.store import REASON_LENGTH, Store
from kafkajourney.database.tables import consumer_progress, dead_letters
from kafkajourney.errors import (
    DatabaseAwayError,
    FencedError,
    KafkaJourneyError,
    PartitionError,
    RefusedError,
    SettingsError,
    StopError,
    TransientError,
)
from kafkajourney.events import Move, Record, as_text
from kafkajourney.settings import Settings
from tests.support.store import AT, NOW, TOPIC, Bench, aside, failure, naive, play, store_events


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision, made once for all tests."""
    file = tmp_path_factory.mktemp("migrated") / "journey.db"
    settings = Settings("localhost:1", "http://localhost:1", f"sqlite:///{file}", TOPIC)
    revisions.upgrade(settings)
    return file


@pytest.fixture
def bench(tmp_path: Path, migrated: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, migrated)
    yield made
    for engine in made.engines:
        engine.dispose()


# --- the beginning ---------------------------------------------------------------------------------------------------


def test_a_partition_that_was_never_begun_begins_at_its_start(bench: Bench) -> None:
    store = bench.store()
    assert store.progress() == {}
    assert store.begin({0: 0, 2: 7}) == {0: 0, 2: 7}
    assert store.progress() == {0: 0, 2: 7}


def test_a_partition_that_was_begun_goes_on_where_it_was(bench: Bench) -> None:
    bench.store().begin({0: 5})
    store = bench.store()
    assert store.begin({0: 9, 1: 3}) == {0: 5, 1: 3}
    assert store.begin({0: 11}) == {0: 5}
    assert store.progress() == {0: 5, 1: 3}


def test_progress_is_a_groups_own_and_a_topics_own(bench: Bench) -> None:
    bench.store("journey").begin({0: 5})
    assert bench.store("analytic").progress() == {}
    other = Settings("localhost:1", "http://localhost:1", bench.settings.database_url, "other-topic")
    assert Store(bench.engine, other, "journey", store_events).progress() == {}


def test_two_consumers_that_begin_the_same_partition_at_once_are_fenced(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = bench.store()
    bench.store().begin({0: 5})
    monkeypatch.setattr(late, "_known", dict)  # what it saw a moment before
    with pytest.raises(FencedError, match="another consumer began the same partition"):
        late.begin({0: 9, 1: 9})
    assert bench.progress() == {("journey", 0): 5}


# --- a topic that was made anew -----------------------------------------------------------------------------------


def ids(bench: Bench) -> dict[int, tuple[int, str | None]]:
    of = consumer_progress.c
    with bench.engine.connect() as connection:
        rows = connection.execute(select(of.partition, of.next_offset, of.topic_id)).all()
    return {row.partition: (row.next_offset, row.topic_id) for row in rows}


def test_the_progress_has_the_topics_id_also_where_it_is_told_later(bench: Bench) -> None:
    store = bench.store()
    assert store.begin({0: 0}) == {0: 0}
    store.begin({1: 0}, "one")
    store.commit([], {0: Move(0, 2)})
    assert ids(bench) == {0: (2, "one"), 1: (0, "one")}


def test_a_partition_of_another_topic_cannot_go_on_and_none_is_taken_over(bench: Bench) -> None:
    """Also where one is settled while another goes on, and where the id is not told each time."""
    store = bench.store()
    store.begin({0: 0, 1: 0}, "old")
    store.commit([], {0: Move(0, 100), 1: Move(0, 100)})
    refused = store.begin({0: 0}, "new")[0]
    assert isinstance(refused, PartitionError)
    assert "goes on at offset 100 of user-journey [0], but of a topic that was deleted (id old)" in str(refused)
    with pytest.raises(FencedError):
        store.commit([play(100, partition=1)], {1: Move(100, 101)})
    assert isinstance(store.begin({0: 0}, None)[0], PartitionError)
    assert "of user-journey [0], but of a topic that was deleted" in str(bench.store().remade("new"))
    assert bench.store().remade("old") is bench.store().remade(None) is None
    assert ids(bench) == {0: (100, "old"), 1: (100, "old")}
    assert bench.offsets() == []


# --- the commit ------------------------------------------------------------------------------------------------------


def test_events_and_progress_are_stored_together(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0, 1: 4})
    store.commit([play(0), play(4, partition=1), play(1)], {0: Move(0, 2), 1: Move(4, 5)})
    assert bench.offsets() == [(0, 0), (0, 1), (1, 4)]
    assert store.progress() == {0: 2, 1: 5}


def test_rows_and_progress_have_the_time_of_the_commit_in_milliseconds(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([play(0)], {0: Move(0, 1)})
    with bench.engine.connect() as connection:
        assert connection.scalar(select(journey_events.c.stored_at)) == naive(NOW.replace(microsecond=123000))
        assert connection.scalar(select(journey_events.c.occurred_at)) == naive(AT)
        assert connection.scalar(select(consumer_progress.c.updated_at)) == naive(NOW.replace(microsecond=123000))


def test_the_progress_has_the_time_of_its_last_commit(bench: Bench) -> None:
    bench.store().begin({0: 0})
    later = NOW + timedelta(minutes=1)
    Store(bench.engine, bench.settings, "journey", lambda *_: None, now=lambda: later).commit([], {0: Move(0, 1)})
    with bench.engine.connect() as connection:
        at = connection.scalar(select(consumer_progress.c.updated_at))
    assert at == naive(later.replace(microsecond=123000))


def test_records_passed_over_advance_the_progress_and_write_nothing(bench: Bench) -> None:
    store = bench.store(write=lambda *_: pytest.fail("there is nothing to write"))
    store.begin({0: 0})
    store.commit([Record(TOPIC, 0, 0), Record(TOPIC, 0, 1)], {0: Move(0, 2)})
    store.commit([], {0: Move(2, 9)})
    assert store.progress() == {0: 9}


def test_fences_are_taken_in_the_order_of_the_partitions_so_that_two_owners_cannot_wait_for_each_other(
    bench: Bench,
) -> None:
    store = bench.store(engine=bench.engine)
    store.begin({0: 0, 1: 0, 2: 0})
    fenced: list[int] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("UPDATE consumer_progress"):
            fenced.append(parameters[-2])

    event.listen(bench.engine, "before_cursor_execute", note)
    store.commit([], {2: Move(0, 1), 0: Move(0, 1), 1: Move(0, 1)})
    assert fenced == [0, 1, 2]


def test_refused_rows_are_found_and_nothing_is_changed_by_it(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    records = [play(0), play(1, session_id=None), play(2), play(3, page_url=None)]
    with pytest.raises(RefusedError):
        store.commit(records, {0: Move(0, 4)})
    found = store.refused(records, {0: Move(0, 4)})
    assert [(record.offset, "NOT NULL" in str(reason)) for record, reason in found] == [(1, True), (3, True)]
    assert bench.offsets() == []
    assert store.progress() == {0: 0}


def test_a_zombie_finds_no_refused_rows(bench: Bench) -> None:
    owner, zombie = bench.store(), bench.store()
    owner.begin({0: 0})
    owner.commit([play(0)], {0: Move(0, 1)})
    with pytest.raises(FencedError) as fence:
        zombie.refused([play(0)], {0: Move(0, 1)})  # not: a duplicate key
    assert fence.value.partition == 0


def test_only_records_with_an_event_are_written(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([Record(TOPIC, 0, 0), play(1), Record(TOPIC, 0, 2)], {0: Move(0, 3)})
    assert bench.offsets() == [(0, 1)]


@pytest.mark.parametrize(
    "refused",
    [{"session_id": None}, {"page_url": None}, {"user_id": None}],
    ids=str,
)
def test_a_row_that_the_database_refuses_leaves_everything_as_it_was(bench: Bench, refused: dict[str, Any]) -> None:
    store = bench.store()
    store.begin({0: 0, 1: 0})
    store.commit([play(0)], {0: Move(0, 1)})
    with pytest.raises(RefusedError, match=r"^the database refuses the row: .*(?i:null)"):
        store.commit([play(1), play(0, partition=1, **refused), play(2)], {0: Move(1, 3), 1: Move(0, 1)})
    assert bench.offsets() == [(0, 0)]
    assert store.progress() == {0: 1, 1: 0}


def test_an_event_at_an_offset_that_is_stored_is_refused(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([play(0)], {0: Move(0, 1)})
    with pytest.raises(RefusedError, match=r"^the database refuses the row: .*(?i:unique|duplicate)"):
        store.commit([play(0)], {0: Move(1, 2)})
    assert store.progress() == {0: 1}


def test_an_error_in_the_midst_of_writing_leaves_everything_as_it_was(bench: Bench) -> None:
    def write_then_fail(connection: Connection, records: Sequence[Record], now: datetime) -> None:
        store_events(connection, records, now)
        assert connection.scalar(select(func.count()).select_from(journey_events)) == 1
        raise ZeroDivisionError

    store = bench.store(write=write_then_fail)
    store.begin({0: 0})
    with pytest.raises(ZeroDivisionError):
        store.commit([play(0)], {0: Move(0, 1)})
    assert bench.offsets() == []
    assert store.progress() == {0: 0}


# --- the fence -------------------------------------------------------------------------------------------------------


def test_a_consumer_whose_progress_was_moved_writes_nothing(bench: Bench) -> None:
    zombie, owner = bench.store(), bench.store()
    zombie.begin({0: 0, 1: 0})
    owner.begin({0: 0})
    owner.commit([play(0), play(1)], {0: Move(0, 2)})
    words = r"progress of user-journey \[0\] in group journey is no longer 0: another consumer moved it, and nothing"
    with pytest.raises(FencedError, match=words):
        zombie.commit([play(0), play(0, partition=1)], {0: Move(0, 1), 1: Move(0, 1)})
    assert bench.offsets() == [(0, 0), (0, 1)]
    assert owner.progress() == {0: 2, 1: 0}


def test_the_fence_holds_whichever_partition_was_moved(bench: Bench) -> None:
    zombie, owner = bench.store(), bench.store()
    zombie.begin({0: 0, 1: 0})
    owner.commit([], {1: Move(0, 5)})
    with pytest.raises(FencedError, match=r"\[1\]"):
        zombie.commit([play(0)], {0: Move(0, 1), 1: Move(0, 1)})
    assert bench.offsets() == []
    assert owner.progress() == {0: 0, 1: 5}


def test_a_partition_that_was_never_begun_cannot_be_committed(bench: Bench) -> None:
    with pytest.raises(FencedError, match=r"\[3\]"):
        bench.store().commit([play(0, partition=3)], {3: Move(0, 1)})
    assert bench.offsets() == []
    assert bench.progress() == {}


def test_groups_do_not_fence_each_other(bench: Bench) -> None:
    journey, analytic = bench.store("journey"), bench.store("analytic")
    journey.begin({0: 0})
    analytic.begin({0: 0})
    journey.commit([play(0)], {0: Move(0, 1)})
    analytic.commit([play(0)], {0: Move(0, 1)})
    assert bench.progress() == {("journey", 0): 1, ("analytic", 0): 1}


def test_a_database_that_was_set_back_fences_the_consumer(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([play(0)], {0: Move(0, 1)})
    bench.execute("UPDATE consumer_progress SET next_offset = 0")
    bench.execute("DELETE FROM journey_events")
    with pytest.raises(FencedError):
        store.commit([play(1)], {0: Move(1, 2)})
    assert bench.offsets() == []


def test_of_two_consumers_with_the_same_belief_exactly_one_stores(bench: Bench) -> None:
    first = bench.store()
    first.begin({0: 0})
    stores = [bench.store(engine=bench.new_engine(busy_timeout=5000)) for _ in range(2)]
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def commit(store: Store) -> None:
        barrier.wait()
        try:
            store.commit([play(offset) for offset in range(50)], {0: Move(0, 50)})
            outcomes.append("stored")
        except KafkaJourneyError as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=commit, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["FencedError", "stored"]
    assert len(bench.offsets()) == 50
    assert first.progress() == {0: 50}


def test_what_is_set_aside_is_noted_together_with_the_progress(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([play(0), aside(1), Record(TOPIC, 0, 2)], {0: Move(0, 3)})
    assert bench.offsets() == [(0, 0)]
    assert bench.progress() == {("journey", 0): 3}
    with bench.engine.connect() as connection:
        (row,) = connection.execute(select(dead_letters))
    assert row == ("journey", TOPIC, 0, 1, "the value is null", naive(NOW.replace(microsecond=123000)), None)


def test_what_a_fenced_consumer_sets_aside_is_not_noted(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 5})
    with pytest.raises(FencedError):
        store.commit([aside(0)], {0: Move(0, 1)})
    assert bench.noted() == []


def test_a_long_reason_is_cut_to_what_the_table_keeps(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([aside(0, "x" * 5000)], {0: Move(0, 1)})
    assert bench.noted() == [(0, "x" * REASON_LENGTH)]
    assert dead_letters.c.reason.type.length == REASON_LENGTH  # type: ignore[attr-defined]


def test_a_long_reason_is_cut_as_sql_server_counts(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([aside(0, "🧀" * 1024)], {0: Move(0, 1)})
    assert bench.noted() == [(0, "🧀" * (REASON_LENGTH // 2))]


def test_a_reason_is_kept_without_what_a_column_refuses_and_is_never_cut_within_a_character(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([aside(0, "a\0b \ud800"), aside(1, "x" + "🧀" * 1024)], {0: Move(0, 2)})
    assert bench.noted() == [(0, "a\\0b ?"), (1, "x" + "🧀" * (REASON_LENGTH // 2 - 1))]


def test_a_record_is_set_aside_again_after_the_progress_was_set_back(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([aside(0)], {0: Move(0, 1)})
    bench.execute("UPDATE consumer_progress SET next_offset = 0")
    store.commit([aside(0, "still bad")], {0: Move(0, 1)})
    assert bench.noted() == [(0, "still bad")]


def test_a_dead_letter_is_replayed_once(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([play(0), aside(1), play(2)], {0: Move(0, 3)})
    assert store.replay(play(1))
    assert not store.replay(play(1))
    assert bench.offsets() == [(0, 0), (0, 1), (0, 2)]
    assert bench.progress() == {("journey", 0): 3}


def test_what_was_never_set_aside_is_not_replayed(bench: Bench) -> None:
    bench.store("analytic").begin({0: 0})
    bench.store("analytic").commit([aside(1)], {0: Move(0, 2)})
    store = bench.store("journey")
    assert not store.replay(play(1))
    assert not store.replay(play(0))
    assert bench.offsets() == []


def test_a_replay_that_is_refused_can_be_tried_again(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    store.commit([aside(0)], {0: Move(0, 1)})
    with pytest.raises(RefusedError):
        store.replay(play(0, session_id=None))
    assert store.replay(play(0))
    assert bench.offsets() == [(0, 0)]


def test_a_replayed_play_is_counted_once(bench: Bench) -> None:
    store = bench.store("analytic")
    store.begin({0: 0})
    store.commit([play(0), aside(1)], {0: Move(0, 2)})
    assert [store.replay(play(1)), store.replay(play(1))] == [True, False]
    assert bench.plays() == {"u": (2, naive(AT))}


# --- plays -----------------------------------------------------------------------------------------------------------


def test_plays_are_added_and_the_later_moment_kept(bench: Bench) -> None:
    store = bench.store("analytic")
    store.begin({0: 0})
    store.commit([play(0, user_id="a", seconds=9), play(1, user_id="b"), play(2, user_id="a")], {0: Move(0, 3)})
    assert bench.plays() == {"a": (2, naive(AT + timedelta(seconds=9))), "b": (1, naive(AT))}
    store.commit([play(3, user_id="a", seconds=5), play(4, user_id="b", seconds=0.001)], {0: Move(3, 5)})
    assert bench.plays() == {
        "a": (3, naive(AT + timedelta(seconds=9))),
        "b": (2, naive(AT + timedelta(seconds=0.001))),
    }


def test_plays_of_a_fenced_consumer_are_not_counted(bench: Bench) -> None:
    owner, zombie = bench.store("analytic"), bench.store("analytic")
    owner.begin({0: 0})
    zombie.begin({0: 0})
    owner.commit([play(0)], {0: Move(0, 1)})
    with pytest.raises(FencedError):
        zombie.commit([play(0)], {0: Move(0, 1)})
    assert bench.plays() == {"u": (1, naive(AT))}


def test_the_plays_of_two_topics_do_not_mix(bench: Bench) -> None:
    for topic in (TOPIC, "clean-events"):
        store = bench.store("analytic", topic=topic)
        store.begin({0: 0})
        store.commit([replace(play(0), topic=topic)], {0: Move(0, 1)})
    assert bench.plays() == {"u": (1, naive(AT))}
    with bench.engine.connect() as connection:
        topics = select(video_plays.c.topic, video_plays.c.plays).order_by(video_plays.c.topic)
        assert list(connection.execute(topics)) == [("clean-events", 1), (TOPIC, 1)]


def test_users_that_differ_only_in_case_are_counted_apart(bench: Bench) -> None:
    store = bench.store("analytic")
    store.begin({0: 0})
    store.commit([play(0, user_id="Ä"), play(1, user_id="ä")], {0: Move(0, 2)})
    store.commit([play(2, user_id="Ä")], {0: Move(2, 3)})
    assert {user: number for user, (number, _) in bench.plays().items()} == {"Ä": 2, "ä": 1}


def test_many_plays_are_added_at_once(bench: Bench) -> None:
    rows = [(TOPIC, f"u{n}", n, as_text(AT)) for n in range(1000)]
    for _ in range(2):
        with bench.engine.begin() as connection:
            dialect_of(connection).add(connection, ANALYTIC, rows)
    assert {user: number for user, (number, _) in bench.plays().items()} == {f"u{n}": 2 * n for n in range(1000)}


# --- failures of SQLite ----------------------------------------------------------------------------------------------


def test_a_table_that_is_missing_stops_the_store(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    bench.execute("DROP TABLE journey_events")
    with pytest.raises(StopError, match=r"cannot be used: no such table: journey_events\. Run: kafkajourney doctor"):
        store.commit([play(0)], {0: Move(0, 1)})
    assert store.progress() == {0: 0}
    bench.execute("DROP TABLE consumer_progress")
    for call in (store.progress, lambda: store.begin({0: 0}), lambda: store.commit([], {0: Move(0, 1)})):
        with pytest.raises(StopError, match="no such table: consumer_progress"):
            call()


def test_a_column_that_is_missing_stops_the_store(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    bench.execute("ALTER TABLE journey_events DROP COLUMN payload")
    with pytest.raises(StopError, match=r"cannot be used: .*no column named payload.*Run: kafkajourney doctor"):
        store.commit([play(0)], {0: Move(0, 1)})


def test_a_database_that_another_one_writes_to_is_an_outage(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    with closing(sqlite3.connect(bench.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            TransientError, match=r"^the database at sqlite:///.*journey\.db is away or busy: database is locked"
        ):
            store.commit([play(0)], {0: Move(0, 1)})
        with pytest.raises(TransientError, match="database is locked"):
            store.begin({1: 0})
        assert store.progress() == {0: 0}, "a reader waits for no writer"
        other.execute("ROLLBACK")
    store.commit([play(0)], {0: Move(0, 1)})
    assert bench.offsets() == [(0, 0)]


def test_a_database_that_was_never_there_stops_the_store_and_one_that_has_gone_is_an_outage(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    settings = Settings("localhost:1", "http://localhost:1", f"sqlite:///{folder}/journey.db", TOPIC)
    store = Store(engines.engine(settings), settings, "journey", store_events)
    with pytest.raises(StopError, match="There is no folder"):
        store.progress()
    folder.mkdir()
    revisions.upgrade(settings)
    with engines.disposed(engines.engine(settings)) as engine:
        store = Store(engine, settings, "journey", store_events)
        assert store.progress() == {}
        engine.dispose()
        folder.rename(tmp_path / "gone")
        with pytest.raises(TransientError, match="has gone"):
            store.progress()
        with pytest.raises(DatabaseAwayError, match=r"^No database answers at .*"), engines.reached(settings):
            store.progress()
        (tmp_path / "gone").rename(folder)
        assert store.progress() == {}


def test_a_file_that_is_no_database_stops_the_store(tmp_path: Path) -> None:
    (tmp_path / "journey.db").write_text("These are not the bytes that you are looking for. " * 20)
    settings = Settings("localhost:1", "http://localhost:1", f"sqlite:///{tmp_path}/journey.db", TOPIC)
    with pytest.raises(StopError, match="file is not a database"):
        Store(engines.engine(settings), settings, "journey", store_events).progress()


def test_a_database_without_tables_says_how_to_make_them(tmp_path: Path) -> None:
    settings = Settings("localhost:1", "http://localhost:1", f"sqlite:///{tmp_path}/new.db", TOPIC)
    engine = engines.engine(settings)
    (tmp_path / "new.db").touch()
    with pytest.raises(
        StopError,
        match=r"new\.db is at revision none, .* needs library_0002 .* Run: python -m migrations upgrade",
    ):
        revisions.require_revisions(engine, settings)
    engine.dispose()
    revisions.upgrade(settings)
    revisions.require_revisions(engine, settings)
    engine.dispose()


def test_a_value_that_the_driver_cannot_bind_is_a_row_refused(bench: Bench) -> None:
    store = bench.store()
    store.begin({0: 0})
    with pytest.raises(RefusedError):
        store.commit([play(0, user_id={"not": "text"})], {0: Move(0, 1)})  # type: ignore[arg-type]


def test_a_row_inserted_by_sql_is_seen_as_it_is(bench: Bench) -> None:
    with bench.engine.begin() as connection:
        row = {"topic": TOPIC, "user_id": "u", "plays": 3, "last_played_at": naive(AT)}
        connection.execute(insert(video_plays), [row])
    assert bench.plays() == {"u": (3, naive(AT))}


# --- failures of SQL Server ------------------------------------------------------------------------------------------

SQL_SERVER = Settings(
    "localhost:1",
    "http://localhost:1",
    "mssql+pyodbc://sa:s3cret@db:1433/journey?driver=ODBC+Driver+18+for+SQL+Server",
    TOPIC,
)


@pytest.mark.parametrize(
    ("kind", "state", "words", "expected"),
    [
        (
            "Error",
            "40001",
            "[SQL Server]Transaction was deadlocked and has been chosen as the victim. (1205)",
            DatabaseAwayError,
        ),
        ("OperationalError", "40001", "[SQL Server]... chosen as the deadlock victim. (1205)", DatabaseAwayError),
        ("OperationalError", "08S01", "TCP Provider: Error code 0x68 (104)", DatabaseAwayError),
        ("OperationalError", "08001", "TCP Provider: No connection could be made (10061)", DatabaseAwayError),
        ("OperationalError", "HYT00", "Login timeout expired (0)", DatabaseAwayError),
        ("OperationalError", "HYT01", "Connection timeout expired (0)", DatabaseAwayError),
        ("Error", "HY000", "[SQL Server]Something that nobody has seen before. (49999)", DatabaseAwayError),
        ("InterfaceError", "28000", "[SQL Server]Login failed for user 'sa'. (18456)", StopError),
        ("OperationalError", "28000", "[SQL Server]Login failed for user 'sa'. (18456)", StopError),
        ("ProgrammingError", "42S02", "[SQL Server]Invalid object name 'journey_events'. (208)", StopError),
        ("ProgrammingError", "42000", "[SQL Server]The INSERT permission was denied. (229)", StopError),
        ("IntegrityError", "23000", "[SQL Server]Violation of PRIMARY KEY constraint 'pk'. (2627)", RefusedError),
        (
            "IntegrityError",
            "23000",
            "[SQL Server]The INSERT statement conflicted with the CHECK constraint. (547)",
            RefusedError,
        ),
        ("DataError", "22001", "[SQL Server]String or binary data would be truncated. (8152)", RefusedError),
        ("DataError", "22003", "[SQL Server]Arithmetic overflow error. (8115)", RefusedError),
    ],
)
def test_failures_of_sql_server_are_sorted_by_what_to_do(
    kind: str, state: str, words: str, expected: type[KafkaJourneyError]
) -> None:
    with pytest.raises(KafkaJourneyError) as caught, engines.sorted_errors(SQL_SERVER):
        raise failure(kind, state, words)
    assert type(caught.value) is expected
    assert words in str(caught.value)
    assert ("is away or busy" in str(caught.value)) == (expected is DatabaseAwayError and state != "HY000")
    assert "s3cret" not in str(caught.value)
    if expected is not RefusedError:
        assert "mssql+pyodbc://sa:***@db:1433/journey" in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "[SQL Server]Lock request time out period exceeded. (1222)",
        "[SQL Server]The transaction log for database 'journey' is full due to 'LOG_BACKUP'. (9002)",
        "[SQL Server]There is insufficient system memory to run this query. (701)",
        "[SQL Server]Database 'journey' cannot be opened because it is offline. (942)",
    ],
)
def test_conditions_that_pass_are_outages_also_under_the_state_of_a_syntax_error(words: str) -> None:
    assert type(sorted_error(failure("ProgrammingError", "42000", words), "mssql://h")) is TransientError


def test_a_refused_login_says_what_to_correct() -> None:
    error = sorted_error(failure("InterfaceError", "28000", "Login failed for user 'sa'. (18456)"), "mssql://sa:***@h")
    assert str(error).startswith("The database at mssql://sa:***@h refuses the login: ")
    assert str(error).endswith("Correct user and password.")


def test_a_connection_that_is_lost_is_an_outage_whatever_its_state_says() -> None:
    error = failure("Error", "HY010", "Function sequence error")
    error.connection_invalidated = True
    assert "is away or busy" in str(sorted_error(error, "mssql://h"))


def test_a_pool_that_is_exhausted_is_an_outage() -> None:
    error = sorted_error(PoolTimeoutError("QueuePool limit reached"), "mssql://h")
    assert type(error) is TransientError
    assert "mssql://h does not answer: QueuePool limit reached" in str(error)


# --- the driver ------------------------------------------------------------------------------------------------------


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what says which ODBC drivers are installed."""

    def install(*names: str) -> None:
        monkeypatch.setitem(sys.modules, "pyodbc", SimpleNamespace(drivers=lambda: list(names)))

    return install


def test_a_url_without_a_driver_takes_the_best_that_is_installed(drivers: Callable[..., None]) -> None:
    drivers("SQLite3", "FreeTDS", "ODBC Driver 17 for SQL Server")
    assert engines._with_driver(make_url("mssql://h/d")).query["driver"] == "ODBC Driver 17 for SQL Server"
    drivers("FreeTDS")
    assert engines._with_driver(make_url("mssql+pyodbc://h/d")).query["driver"] == "FreeTDS"


def test_a_driver_that_is_not_installed_is_an_error_with_the_next_step(drivers: Callable[..., None]) -> None:
    drivers("FreeTDS")
    with pytest.raises(SettingsError, match=r"'ODBC Driver 18 for SQL Server' is not installed; .*: FreeTDS\. Install"):
        engines.engine(SQL_SERVER)
    drivers()
    with pytest.raises(SettingsError, match=r"No ODBC driver for SQL Server is installed\. Install Microsoft's"):
        engines._with_driver(make_url("mssql://h/d"))


def test_a_missing_odbc_library_is_an_error_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyodbc", None)
    with pytest.raises(SettingsError, match=r"SQL Server needs pyodbc.*apt install unixodbc") as caught:
        engines.engine(SQL_SERVER)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "mssql+pymssql://h/d", "mssql+pyodbc:///?odbc_connect=DRIVER%3DX"])
def test_a_url_that_takes_no_driver_is_left_as_it_is(drivers: Callable[..., None], url: str) -> None:
    drivers()
    assert engines._with_driver(make_url(url)) == make_url(url)


@pytest.mark.parametrize("url", ["mssql+nothing://sa:s3cret@h/d", "sqlite+nothing:///x.db"])
def test_a_url_with_an_unknown_driver_is_a_wrong_setting(url: str) -> None:
    settings = Settings("localhost:1", "http://localhost:1", url, TOPIC)
    with pytest.raises(SettingsError, match=r"database URL .* cannot be used: .*nothing") as caught:
        engines.engine(settings)
    assert "s3cret" not in str(caught.value)
