"""The migrations: what they make, that it is what the tables say, and their SQL for SQL Server."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import Engine, Table, inspect, text
from sqlalchemy.dialects import mssql
from sqlalchemy.schema import CreateTable

from consumers import GROUPS
from kafkajourney import application
from kafkajourney.control.new import copy
from kafkajourney.database import branches, engines, revisions
from kafkajourney.database.command import migrations
from kafkajourney.database.tables import metadata
from kafkajourney.errors import StopError
from kafkajourney.settings import Settings

METADATA = [metadata, *(group.table.metadata for group in GROUPS)]
TABLES = [table for own in METADATA for table in own.sorted_tables]
HEADS = ("library_0002", "application_0002")
AT_HEADS = " ".join(HEADS)
VERSION_TABLE = "kafkajourney_version"

COLUMNS = {
    "journey_events": {
        "topic": "VARCHAR(249) COLLATE Latin1_General_100_BIN2",
        "partition": "INTEGER",
        "offset": "BIGINT",
        "event_id": "UNIQUEIDENTIFIER",
        "event_type": "NVARCHAR(128)",
        "user_id": "NVARCHAR(128) COLLATE Latin1_General_100_BIN2",
        "session_id": "NVARCHAR(128)",
        "page_url": "NVARCHAR(2048)",
        "occurred_at": "DATETIME2(3)",
        "stored_at": "DATETIME2(3)",
        "payload": "NVARCHAR(max)",
        "received_at": "DATETIME2(3)",
        "schema_id": "INTEGER",
    },
    "video_plays": {
        "topic": "VARCHAR(249) COLLATE Latin1_General_100_BIN2",
        "user_id": "NVARCHAR(128) COLLATE Latin1_General_100_BIN2",
        "plays": "BIGINT",
        "last_played_at": "DATETIME2(3)",
    },
    "consumer_progress": {
        "consumer_group": "VARCHAR(255) COLLATE Latin1_General_100_BIN2",
        "topic": "VARCHAR(249) COLLATE Latin1_General_100_BIN2",
        "partition": "INTEGER",
        "next_offset": "BIGINT",
        "updated_at": "DATETIME2(3)",
        "topic_id": "VARCHAR(36)",
        "epoch": "BIGINT",
        "repeat_window": "INTEGER",
        "repeats_from": "BIGINT",
        "repeats": "BIGINT",
        "conflicts": "BIGINT",
    },
    "dead_letters": {
        "consumer_group": "VARCHAR(255) COLLATE Latin1_General_100_BIN2",
        "topic": "VARCHAR(249) COLLATE Latin1_General_100_BIN2",
        "partition": "INTEGER",
        "offset": "BIGINT",
        "reason": "NVARCHAR(1024)",
        "set_aside_at": "DATETIME2(3)",
        "replayed_at": "DATETIME2(3)",
    },
}
"""What SQL Server has: names as in the README's tables, all of them not null but those in NULLABLE."""

NULLABLE = {
    ("dead_letters", "replayed_at"),
    ("journey_events", "received_at"),
    ("journey_events", "schema_id"),
    ("consumer_progress", "topic_id"),
    ("consumer_progress", "repeat_window"),
    ("consumer_progress", "repeats_from"),
}

DEFAULTED = [("consumer_progress", name) for name in ("epoch", "repeats", "conflicts")]
"""What an older consumer, which does not know the column, leaves out."""

KEYS = {
    "journey_events": ["topic", "partition", "offset"],
    "video_plays": ["topic", "user_id"],
    "consumer_progress": ["consumer_group", "topic", "partition"],
    "dead_letters": ["consumer_group", "topic", "partition", "offset"],
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings("localhost:1", "http://localhost:1", f"sqlite:///{tmp_path}/journey.db", "user-journey")


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = engines.engine(settings)
    yield made
    made.dispose()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings) -> Callable[..., str]:
    """Return what runs ``python -m migrations`` on the test's database and returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def invoke(command: str, *arguments: str, url: str = settings.database_url) -> str:
        options = [] if command in ("history", "revision") else ["--database-url", url]
        result = CliRunner().invoke(migrations, [command, *options, *arguments])
        if result.exception is not None:
            raise result.exception
        return result.output

    return invoke


def current(engine: Engine) -> set[str]:
    return set(revisions.standing(engine).current)


def mssql_columns(sql: str) -> dict[str, dict[str, str]]:
    """Return the columns with their types of every CREATE TABLE in this SQL, with those that are added later."""
    found = {}
    for name, body in re.findall(r"CREATE TABLE (\w+) \(\n(.*?)\n\)", sql, re.DOTALL):
        lines = [line.strip().rstrip(", ") for line in body.splitlines()]
        columns = [line.partition(" ") for line in lines if line and not line.startswith("CONSTRAINT")]
        found[name] = {column.strip("[]"): rest.strip() for column, _, rest in columns}
    for name, column, rest in re.findall(r"ALTER TABLE (\w+) (?:ADD|ALTER COLUMN) (?!CONSTRAINT)(\w+) (.*);", sql):
        found[name][column] = rest
    return found


def constraints(sql: str) -> set[str]:
    return {line.strip().rstrip(", ").replace("[", "").replace("]", "") for line in re.findall(r"CONSTRAINT .*", sql)}


def compiled(table: Table) -> str:
    return str(CreateTable(table).compile(dialect=mssql.dialect()))  # type: ignore[no-untyped-call]


# --- on a database ---------------------------------------------------------------------------------------------------


def test_upgrading_makes_exactly_the_tables_of_the_metadata(settings: Settings, engine: Engine) -> None:
    revisions.upgrade(settings)
    assert set(inspect(engine).get_table_names()) == {*(table.name for table in TABLES), VERSION_TABLE}
    assert current(engine) == set(HEADS)


def test_downgrading_to_the_base_leaves_nothing(settings: Settings, engine: Engine) -> None:
    revisions.upgrade(settings)
    revisions.downgrade(settings, "base")
    assert inspect(engine).get_table_names() == [VERSION_TABLE]
    assert current(engine) == set()


def test_every_revision_can_be_taken_back_and_forth_again(settings: Settings, engine: Engine) -> None:
    scripts = branches.scripts()
    for branch in ("library", "application"):
        for revision in reversed(list(scripts.iterate_revisions(f"{branch}@head", "base"))):
            revisions.upgrade(settings, revision.revision)
            tables = set(inspect(engine).get_table_names())
            revisions.downgrade(settings, f"{branch}@-1")
            revisions.upgrade(settings, revision.revision)
            assert set(inspect(engine).get_table_names()) == tables
    assert current(engine) == set(HEADS)


def test_upgrading_again_changes_nothing(settings: Settings, engine: Engine) -> None:
    revisions.upgrade(settings)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO video_plays VALUES ('t', 'u', 1, '2026-03-14 00:00:00')"))
    revisions.upgrade(settings)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT plays FROM video_plays")) == 1


def test_each_branch_has_one_newest_revision_and_one_oldest() -> None:
    scripts = branches.scripts()
    assert set(scripts.get_heads()) == set(HEADS)
    assert {r.revision for r in scripts.walk_revisions() if r.down_revision is None} == {
        "library_0001",
        "application_0001",
    }


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_the_migrated_columns_are_those_of_the_table(settings: Settings, engine: Engine, table: Table) -> None:
    revisions.upgrade(settings)
    inspector = inspect(engine)
    found = {c["name"]: (str(c["type"]), c["nullable"]) for c in inspector.get_columns(table.name)}
    expected = {c.name: (c.type.compile(engine.dialect), c.nullable) for c in table.columns}
    assert found == expected
    assert {(table.name, name) for name, (_, nullable) in found.items() if nullable} <= NULLABLE


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_the_migrated_primary_key_is_that_of_the_table(settings: Settings, engine: Engine, table: Table) -> None:
    revisions.upgrade(settings)
    key = inspect(engine).get_pk_constraint(table.name)
    assert key["constrained_columns"] == [column.name for column in table.primary_key.columns] == KEYS[table.name]
    assert key["name"] == table.primary_key.name


def differences(engine: Engine) -> list[Any]:
    """Return what Alembic sees without our own options, but for the version table."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "version_table": VERSION_TABLE})
        everything: Any = METADATA  # which is more than the hint of the function says that it takes
        return list(compare_metadata(context, everything))


def test_alembic_finds_no_difference(settings: Settings, engine: Engine) -> None:
    revisions.upgrade(settings)
    revisions.check(settings)
    assert differences(engine) == []


def test_tables_of_somebody_else_and_more_indexes_are_no_difference(settings: Settings, engine: Engine) -> None:
    revisions.upgrade(settings)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE other (id INTEGER)"))
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('somebody_elses')"))
        connection.execute(text("CREATE INDEX by_type ON journey_events (event_type)"))
    revisions.check(settings)
    revisions.upgrade(settings)
    assert current(engine) == set(HEADS)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "somebody_elses"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE video_plays ADD COLUMN likes INTEGER",
        "ALTER TABLE video_plays RENAME COLUMN plays TO played",
        "DROP TABLE consumer_progress",
        "DROP INDEX ix_journey_events_user",
    ],
)
def test_alembic_does_find_a_difference_where_there_is_one(settings: Settings, engine: Engine, change: str) -> None:
    revisions.upgrade(settings)
    with engine.begin() as connection:
        connection.execute(text(change))
    assert differences(engine)
    with pytest.raises(StopError, match=r"New upgrade operations detected"):
        revisions.check(settings)


# --- the SQL for SQL Server ------------------------------------------------------------------------------------------


@pytest.fixture
def sql(run: Callable[..., str]) -> str:
    return run("sql", url="mssql+pyodbc://sa:s3cret@nowhere/journey")


def test_the_sql_has_the_types_of_sql_server(sql: str) -> None:
    expected = {
        table: {n: f"{type_} {'NULL' if (table, n) in NULLABLE else 'NOT NULL'}" for n, type_ in columns.items()}
        for table, columns in COLUMNS.items()
    }
    found = mssql_columns(sql)
    del found[VERSION_TABLE]
    for table, name in DEFAULTED:
        expected[table][name] += " DEFAULT '0'"
    assert found == expected


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_the_sql_of_the_tables_has_the_migrations_types(sql: str, table: Table) -> None:
    def without_default(columns: dict[str, str]) -> dict[str, str]:
        return {name: " ".join(sorted(rest.split())) for name, rest in columns.items()}  # DEFAULT stands elsewhere

    own = compiled(table)
    assert without_default(mssql_columns(own)[table.name]) == without_default(mssql_columns(sql)[table.name])
    assert {found.replace("CLUSTERED ", "") for found in constraints(own)} <= {
        found.replace("CLUSTERED ", "").rstrip(";") for found in constraints(sql)
    }


def test_the_sql_has_the_keys_and_the_check_of_the_payload(sql: str) -> None:
    found = constraints(sql)
    for table, columns in KEYS.items():
        if table != "video_plays":
            assert f"CONSTRAINT pk_{table} PRIMARY KEY CLUSTERED ({', '.join(columns)})" in found
    # Clustered as well, being the table's only one: https://learn.microsoft.com/sql/t-sql/statements/alter-table-table-constraint-transact-sql
    assert "CONSTRAINT pk_video_plays PRIMARY KEY (topic, user_id);" in found
    assert "CONSTRAINT ck_journey_events_payload CHECK (ISJSON(payload) = 1)" in found
    assert "IDENTITY" not in sql


def test_the_check_of_the_payload_is_sql_servers_alone(settings: Settings, engine: Engine) -> None:
    revisions.upgrade(settings)
    assert inspect(engine).get_check_constraints("journey_events") == []


def test_the_sql_is_one_transaction_of_which_nothing_is_left_where_it_fails(sql: str) -> None:
    """It is rolled back, and what a tool would run after it is only parsed."""
    first, *batches, last, _end = sql.split("\nGO\n")
    assert (first.strip(), last.strip()) == ("SET XACT_ABORT ON;", "SET NOEXEC OFF;")
    statements, guards = batches[::2], batches[1::2]
    assert statements[0].strip().startswith("BEGIN TRANSACTION;")
    assert statements[-1].strip() == "COMMIT;"
    assert {guard.strip() for guard in guards} == {"IF @@TRANCOUNT = 0 SET NOEXEC ON;"}
    assert len(guards) == len(statements)
    assert sql.count("TRANSACTION;") == sql.count("COMMIT;") == 1
    for head in HEADS:
        assert re.search(rf"UPDATE {VERSION_TABLE} SET version_num='{head}' ", sql)


def test_the_sql_that_carries_a_database_of_before_over_is_one_transaction_too(run: Callable[..., str]) -> None:
    for url in ("mssql://h/d", "postgresql://h/d"):
        sql = run("sql", "0001:heads", url=url)
        assert sql.count("BEGIN") == sql.count("COMMIT;") == 1
        assert "DELETE FROM alembic_version WHERE alembic_version.version_num = '0001'" in sql
        assert "CREATE TABLE journey_events" not in sql
        for head in HEADS:
            assert re.search(rf"UPDATE {VERSION_TABLE} SET version_num='{head}' ", sql)


def test_the_sql_shows_no_password_and_needs_no_driver(sql: str) -> None:
    assert "s3cret" not in sql
    assert "nowhere" not in sql


def test_a_part_of_the_way_can_be_printed(run: Callable[..., str]) -> None:
    assert "TABLE" not in run("sql", "library@head:library@head", url="mssql://h/d")
    assert "CREATE TABLE video_plays" in run("sql", "base:application_0001", url="mssql://h/d")
    assert "CREATE TABLE" not in run("sql", "application_0001:application_0002", url="mssql://h/d")
    assert "UNIQUEIDENTIFIER" not in run("sql", url="sqlite://")


def test_the_sql_for_postgresql_has_its_own_types(run: Callable[..., str]) -> None:
    sql = run("sql", url="postgresql://u:s3cret@nowhere/journey")
    assert "event_id UUID NOT NULL" in sql
    assert "occurred_at TIMESTAMP(3) WITHOUT TIME ZONE NOT NULL" in sql
    assert "ISJSON" not in sql
    assert "s3cret" not in sql


# --- the commands ----------------------------------------------------------------------------------------------------


def test_the_commands_go_forth_and_back_and_say_where_they_are(run: Callable[..., str], settings: Settings) -> None:
    with pytest.raises(StopError, match=r"no database .*/journey\.db\. Make it \(python -m migrations upgrade"):
        run("current")
    assert run("upgrade") == f"{settings.database_url} is at revision {AT_HEADS}\n"
    assert run("current") == f"{AT_HEADS}\n"
    run("check")
    assert run("downgrade", "application@-1") == (
        f"{settings.database_url} is at revision library_0002 application_0001\n"
    )
    assert run("downgrade", "base") == f"{settings.database_url} is at revision none\n"
    assert re.findall(r"^\w+", run("history"), re.MULTILINE) == [
        *("library_0002", "library_0001", "application_0002", "application_0001"),
    ]


def test_a_revision_that_does_not_exist_is_an_error_with_the_next_step(run: Callable[..., str]) -> None:
    for command in ("upgrade", "downgrade", "sql"):
        with pytest.raises(StopError, match=r"Can't locate revision .*'9999'.*See: python -m migrations history"):
            run(command, "9999")


def test_checking_a_database_that_is_not_migrated_says_how_to(run: Callable[..., str]) -> None:
    run("upgrade")
    run("downgrade", "base")
    with pytest.raises(StopError, match=rf"revision none, .* needs {AT_HEADS}\. Run: python -m migrations upgrade"):
        run("check")


def test_checking_says_that_tables_were_changed_by_hand(run: Callable[..., str], engine: Engine) -> None:
    run("upgrade")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE video_plays"))
    with pytest.raises(StopError, match=r"were changed by hand: .*video_plays"):
        run("check")


def test_checking_finds_types_that_were_changed_by_hand(run: Callable[..., str], engine: Engine) -> None:
    run("upgrade")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE video_plays"))
        table = (
            "CREATE TABLE video_plays (user_id INTEGER NOT NULL, plays TEXT NOT NULL, last_played_at TEXT NOT NULL, "
        )
        connection.execute(text(table + "CONSTRAINT pk_video_plays PRIMARY KEY (user_id))"))
    with pytest.raises(StopError, match="video_plays"):
        run("check")


def test_a_database_that_cannot_be_opened_is_an_error_with_the_next_step(run: Callable[..., str]) -> None:
    with pytest.raises(
        StopError,
        match=r"^There is no folder /absent for the database journey\.db",
    ):
        run("upgrade", url="sqlite:////absent/journey.db")


@pytest.mark.parametrize("command", [("current",), ("check",), ("downgrade", "base"), ("downgrade", "application@-1")])
def test_only_upgrading_makes_a_file(run: Callable[..., str], tmp_path: Path, command: tuple[str, ...]) -> None:
    with pytest.raises(StopError, match=r"There is no database .*journey\.db"):
        run(*command)
    assert list(tmp_path.iterdir()) == []


def test_a_step_back_from_nowhere_is_one_sentence(run: Callable[..., str]) -> None:
    run("upgrade")
    run("downgrade", "base")
    with pytest.raises(StopError, match=r"no way from where the database is\. See: python -m migrations current"):
        run("downgrade", "application@-1")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the versions' folder of an application of one's own, which is the present one."""
    copy(tmp_path / "shop", "shop.events")
    here = application.at(tmp_path / "shop")
    monkeypatch.setattr(application, "current", lambda: here)
    return tmp_path / "shop" / "migrations" / "versions"


def test_a_revision_that_is_of_no_branch_is_refused(run: Callable[..., str], own: Path) -> None:
    (own / "a1b2c3_more.py").write_text("revision, down_revision = 'a1b2c3', 'application_0002'\n")
    with pytest.raises(StopError, match=r"a1b2c3_more\.py has the revision 'a1b2c3': it has to be application_"):
        run("upgrade")


def test_two_files_with_one_revision_are_refused(run: Callable[..., str], own: Path) -> None:
    for name in ("one", "two"):
        (own / f"application_0003_{name}.py").write_text(
            "revision, down_revision = 'application_0003', 'application_0002'\n"
        )
    with pytest.raises(StopError, match="application_0003 is present more than once"):
        run("upgrade")


def test_a_database_that_is_ahead_in_one_branch_goes_on_in_the_other(run: Callable[..., str], engine: Engine) -> None:
    run("upgrade", "library_0002")
    run("upgrade", "application_0001")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE kafkajourney_version SET version_num = 'library_0099' WHERE version_num LIKE 'l%'")
        )
        connection.execute(text("ALTER TABLE consumer_progress ADD COLUMN of_a_newer_version INTEGER"))
    assert "is at revision library_0099 application_0002" in run("upgrade")
    run("check")
    assert "is at revision library_0099 application_0001" in run("downgrade", "application@-1")
    with pytest.raises(StopError, match="library_0099 is of a newer version of kafkajourney, which alone can"):
        run("downgrade", "library@-1")


def test_creating_the_database_is_for_sql_server(run: Callable[..., str]) -> None:
    with pytest.raises(Exception, match="--create-database is for SQL Server"):
        run("upgrade", "--create-database")


def test_no_connection_stays_open(monkeypatch: pytest.MonkeyPatch, run: Callable[..., str]) -> None:
    made: list[Engine] = []
    make = engines.engine

    def remember(settings: Settings, **options: bool) -> Engine:
        made.append(make(settings, **options))
        return made[-1]

    monkeypatch.setattr(engines, "engine", remember)
    run("upgrade")
    run("check")
    assert made
    assert [engine.pool.status() for engine in made if " Connections in pool: 0 " not in engine.pool.status()] == []


def test_the_tables_here_are_all_that_there_are() -> None:
    assert COLUMNS.keys() == KEYS.keys() == {table.name for table in TABLES}
    assert {t.name: [c.name for c in t.columns] for t in TABLES} == {t: list(columns) for t, columns in COLUMNS.items()}
