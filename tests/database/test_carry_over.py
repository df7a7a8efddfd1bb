"""A database of version 0.1 is carried over with all that it holds; several migrations at once wait for each other."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from kafkajourney.database import engines, revisions
from kafkajourney.errors import StopError
from kafkajourney.settings import Settings
from tests.stack import RealStack
from tests.support.processes import Commands

HEADS = {"library_0002", "application_0002"}
AT = "2026-03-14 09:26:53.589000"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with a database without tables."""
    settings = Settings("localhost:1", "http://localhost:1", f"sqlite:///{tmp_path}/journey.db", "a")
    if request.param == "sqlite":
        return settings
    real: RealStack = request.getfixturevalue("real")
    return replace(settings, database_url=real.database.create(f"carry{uuid.uuid4().hex[:12]}"))


@pytest.fixture
def before(empty: Settings) -> Settings:
    """Settings with a database as version 0.1 left it."""
    revisions.upgrade(empty, "library_0001")
    revisions.upgrade(empty, "application_0001")
    execute(
        empty,
        "DROP TABLE kafkajourney_version",
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('0001')",
    )
    return empty


def execute(settings: Settings, *statements: str) -> None:
    with engines.disposed(engines.engine(settings)) as engine, engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with engines.disposed(engines.engine(settings)) as engine, engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def event(topic: str, offset: int, user: str, payload: str = '{"video_id":"v"}', kind: str = "VideoPlayed") -> str:
    place = f"'{topic}', 0, {offset}, '00000000-0000-0000-0000-{offset:012}'"
    return f"INSERT INTO journey_events VALUES ({place}, '{kind}', '{user}', 's', 'u', '{AT}', '{AT}', '{payload}')"


def progress(group: str, topic: str, offset: int) -> str:
    return f"INSERT INTO consumer_progress VALUES ('{group}', '{topic}', 0, {offset}, '{AT}')"


def plays(user: str, number: int) -> str:
    return f"INSERT INTO video_plays VALUES ('{user}', {number}, '{AT}')"


def current(settings: Settings) -> set[str]:
    with engines.disposed(engines.engine(settings)) as engine:
        return set(revisions.standing(engine).current)


def counted(settings: Settings) -> list[tuple[Any, ...]]:
    return rows(settings, "SELECT topic, user_id, plays FROM video_plays ORDER BY topic, user_id")


LETTER = f"INSERT INTO dead_letters VALUES ('journey', 'a', 0, 3, 'truncated', '{AT}', NULL)"


def test_rows_dead_letters_and_progress_are_kept(before: Settings) -> None:
    execute(before, event("a", 0, "x"), event("a", 1, "y"), LETTER, plays("x", 1), plays("y", 1))
    execute(before, progress("journey", "a", 4), progress("analytic", "a", 2))
    assert current(before) == {"0001"}
    revisions.upgrade(before)
    assert current(before) == HEADS
    assert rows(before, 'SELECT "offset", user_id, received_at, schema_id FROM journey_events ORDER BY 1') == [
        (0, "x", None, None),
        (1, "y", None, None),
    ]
    assert counted(before) == [("a", "x", 1), ("a", "y", 1)]
    assert rows(before, "SELECT reason FROM dead_letters") == [("truncated",)]
    moved = "SELECT consumer_group, next_offset, topic_id, epoch, repeats FROM consumer_progress ORDER BY 1"
    assert rows(before, moved) == [("analytic", 2, None, 0, 0), ("journey", 4, None, 0, 0)]
    assert rows(before, "SELECT version_num FROM alembic_version") == []
    revisions.check(before)


def test_a_version_table_of_somebody_else_is_left_as_it_is(before: Settings) -> None:
    execute(before, "INSERT INTO alembic_version VALUES ('4f1e')")
    revisions.upgrade(before)
    assert rows(before, "SELECT version_num FROM alembic_version") == [("4f1e",)]


def test_a_revision_0001_of_somebody_else_is_not_ours(empty: Settings) -> None:
    revisions.upgrade(empty)
    revisions.downgrade(empty, "base")
    execute(empty, "DROP TABLE kafkajourney_version")
    execute(
        empty, "CREATE TABLE alembic_version (version_num VARCHAR(32))", "INSERT INTO alembic_version VALUES ('0001')"
    )
    revisions.upgrade(empty)
    assert current(empty) == HEADS
    assert rows(empty, "SELECT version_num FROM alembic_version") == [("0001",)]


def test_the_totals_of_two_topics_are_counted_apart(before: Settings) -> None:
    execute(before, event("a", 0, "x"), event("a", 1, "y"), event("b", 0, "x"), event("b", 1, "x"))
    execute(before, event("b", 2, "x", kind="PageViewed"), event("b", 3, "x"))  # the last: not yet counted
    execute(before, progress("analytic", "a", 2), progress("analytic", "b", 3), plays("x", 3), plays("y", 1))
    revisions.upgrade(before)
    assert counted(before) == [("a", "x", 1), ("a", "y", 1), ("b", "x", 2)]


@pytest.mark.parametrize(
    ("of_progress", "named"),
    [(["a", "b"], "a, b"), ([], "none")],
    ids=["two topics, one of them not stored", "no progress"],
)
def test_totals_that_cannot_be_told_apart_are_refused_and_nothing_is_changed(
    before: Settings, of_progress: Sequence[str], named: str
) -> None:
    execute(before, event("a", 0, "x"), plays("x", 3))
    execute(before, *(progress("analytic", topic, 2) for topic in of_progress))
    with pytest.raises(StopError, match=rf"of which topic its plays are \({named} in the progress.*Empty video_plays"):
        revisions.upgrade(before)
    assert current(before) == {"0001"}
    assert rows(before, "SELECT user_id, plays FROM video_plays") == [("x", 3)]


def test_a_nul_in_a_payload_is_refused_where_jsonb_has_no_form_for_it(before: Settings) -> None:
    escaped = r'{"video_id":"\\u0000"}'  # an escaped backslash before it: no NUL
    execute(before, event("a", 0, "x", escaped), event("a", 1, "y", r'{"video_id":"v\u0000"}'))
    if not before.database_url.startswith("postgresql"):
        revisions.upgrade(before)
        return
    with pytest.raises(StopError, match=r"the character NUL.*: a \[0\] 1 is the first"):
        revisions.upgrade(before)
    execute(before, 'DELETE FROM journey_events WHERE "offset" = 1')
    revisions.upgrade(before)
    assert rows(before, "SELECT payload FROM journey_events") == [({"video_id": r"\u0000"},)]


def test_going_back_puts_the_totals_of_topics_together(before: Settings) -> None:
    revisions.upgrade(before)
    values = [("a", "x", 1, AT), ("b", "x", 2, "2026-03-15 00:00:00.000000"), ("b", "y", 5, AT)]
    execute(before, *(f"INSERT INTO video_plays (topic, user_id, plays, last_played_at) VALUES {v}" for v in values))
    revisions.downgrade(before, "application@-1")
    totals = rows(before, "SELECT user_id, plays, last_played_at FROM video_plays ORDER BY 1")
    assert [(user, number, str(last)[:10]) for user, number, last in totals] == [
        ("x", 3, "2026-03-15"),
        ("y", 5, "2026-03-14"),
    ]


def test_four_at_once_wait_for_each_other(empty: Settings, lone_commands: Commands) -> None:
    url = {"KAFKAJOURNEY_DATABASE_URL": empty.database_url}
    running = [lone_commands.start("migrations", "upgrade", variables=url) for _ in range(4)]
    assert ["is at revision library_0002 application_0002" in each.end() for each in running] == [True] * 4
    assert current(empty) == HEADS


@pytest.fixture
def ahead(empty: Settings) -> Settings:
    """Settings with a database that a newer version has migrated."""
    revisions.upgrade(empty)
    execute(empty, "UPDATE kafkajourney_version SET version_num = 'library_0099' WHERE version_num = 'library_0002'")
    return empty


def test_a_database_that_is_ahead_is_accepted(ahead: Settings, lone_commands: Commands) -> None:
    url = {"KAFKAJOURNEY_DATABASE_URL": ahead.database_url}
    assert "is at revision library_0099 application_0002" in lone_commands.run("migrations", "upgrade", variables=url)
    with engines.disposed(engines.engine(ahead)) as engine:
        revisions.require_revisions(engine, ahead)
    assert "No schema registry answers" in lone_commands.waits("consumers.journey", variables=url)
