"""``python -m migrations``: the database's tables, from one revision to another."""

from dataclasses import replace

import click
from sqlalchemy import make_url

from kafkajourney.command.options import CommandGroup, settings_options
from kafkajourney.database import branches, engines, revisions
from kafkajourney.database.dialects import mssql
from kafkajourney.database.revise import next_revision
from kafkajourney.errors import SettingsError
from kafkajourney.settings import Settings


@click.group(cls=CommandGroup)
def migrations() -> None:
    """Bring the database's tables to a revision.

    There are two branches: the library's revisions, and the application's, which are files in migrations/versions
    (Alembic). Each counts by itself: library_0001, application_0001.
    """


@migrations.command()
@click.argument("revision", default=branches.NEWEST)
@click.option(
    "--create-database",
    is_flag=True,
    help="Create the database first where the server has none of this name.",
)
@settings_options("database_url")
def upgrade(settings: Settings, revision: str, create_database: bool) -> None:  # noqa: FBT001 # click calls it
    """Go forward to REVISION (default: heads, the newest of both branches).

    Where a newer version has migrated the database already, nothing is done. Several at once wait for each other.
    """
    if create_database:
        _create_database(settings)
    revisions.upgrade(settings, revision)
    click.echo(f"{settings.safe_database_url} is at revision {_current(settings)}")


@migrations.command()
@click.argument("revision")
@settings_options("database_url")
def downgrade(settings: Settings, revision: str) -> None:
    """Go back to REVISION.

    "application@-1" is one back in the application's branch; "base" is none of both, which drops the tables with all
    that they hold.
    """
    revisions.downgrade(settings, revision)
    click.echo(f"{settings.safe_database_url} is at revision {_current(settings)}")


@migrations.command()
@settings_options("database_url")
def current(settings: Settings) -> None:
    """Print the revisions that the database is at, one of each branch."""
    click.echo(_current(settings))


@migrations.command()
def history() -> None:
    """Print all revisions, newest first."""
    for revision in branches.scripts().walk_revisions():
        click.echo(f"{revision.revision}  {revision.doc}")


@migrations.command()
@click.argument("message")
def revision(message: str) -> None:
    """Write the next revision into migrations/versions: what the groups' tables have that no revision makes yet.

    Needs no database. Read the file before it is applied: a column that was renamed looks like one that went and one
    that came. MESSAGE says what it is for, and names the file.
    """
    path, has_steps = next_revision(message)
    click.echo(f"{path} is written." if has_steps else f"{path} is empty: no table differs. Write its steps yourself.")


@migrations.command()
@settings_options("database_url")
def check(settings: Settings) -> None:
    """End with 1 where the database lacks a revision, or its tables are not as this version needs them.

    Tables of somebody else and indexes that were added are left out of it.
    """
    with engines.disposed(engines.engine(settings)) as engine:
        revisions.require_revisions(engine, settings)
    revisions.check(settings)


@migrations.command()
@click.argument("revision", default=branches.NEWEST)
@settings_options("database_url")
def sql(settings: Settings, revision: str) -> None:
    """Print the SQL of the way to REVISION instead of running it.

    FROM:TO prints a part of the way within a branch; 0001:heads is the way of a database of version 0.1. Needs no
    database: only the dialect of the URL matters.
    """
    revisions.print_sql(settings, revision)


def _current(settings: Settings) -> str:
    with engines.disposed(engines.engine(settings)) as engine, engines.reached(settings):
        return branches.text(revisions.standing(engine).current)


def _create_database(settings: Settings) -> None:
    url = make_url(settings.database_url)
    if url.get_backend_name() != "mssql" or not url.database:
        raise SettingsError("--create-database is for SQL Server, with the database's name in the URL.")
    # SQL Server creates no database within a transaction; `autocommit` is for pyodbc.
    master = url.set(database="master").update_query_dict({"autocommit": "true"})
    own = replace(settings, database_url=master.render_as_string(hide_password=False))
    with engines.reached(settings), engines.disposed(engines.engine(own)) as engine, engine.connect() as connection:
        mssql.create_database(connection, url.database)
