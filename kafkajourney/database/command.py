"""``python -m migrations``: the database's tables, from one revision to another."""

from dataclasses import replace

import click
from alembic import command as alembic
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from kafkajourney.command.options import CommandGroup, settings_options
from kafkajourney.database import engines, revisions
from kafkajourney.database.dialects import mssql
from kafkajourney.errors import SettingsError
from kafkajourney.settings import Settings


@click.group(cls=CommandGroup)
def migrations() -> None:
    """Bring the database's tables to a revision. Revisions are files in migrations/versions (Alembic)."""


@migrations.command()
@click.argument("revision", default="head")
@click.option(
    "--create-database",
    is_flag=True,
    help="Create the database first where the server has none of this name.",
)
@settings_options("database_url")
def upgrade(settings: Settings, revision: str, create_database: bool) -> None:  # noqa: FBT001 # click calls it
    """Go forward to REVISION (default: the newest)."""
    if create_database:
        _create_database(settings)
    revisions.migrate(settings, lambda config: alembic.upgrade(config, revision))
    click.echo(f"{settings.safe_database_url} is at revision {_current(settings)}")


@migrations.command(context_settings={"ignore_unknown_options": True})  # "-1" is a revision
@click.argument("revision")
@settings_options("database_url")
def downgrade(settings: Settings, revision: str) -> None:
    """Go back to REVISION ("base": none, which drops the tables with all they hold; "-1": one back)."""
    revisions.migrate(settings, lambda config: alembic.downgrade(config, revision))
    click.echo(f"{settings.safe_database_url} is at revision {_current(settings)}")


@migrations.command()
@settings_options("database_url")
def current(settings: Settings) -> None:
    """Print the revision that the database is at."""
    click.echo(_current(settings))


@migrations.command()
def history() -> None:
    """Print all revisions, newest first."""
    for revision in ScriptDirectory.from_config(revisions.alembic_config()).walk_revisions():
        click.echo(f"{revision.revision}  {revision.doc}")


@migrations.command()
@settings_options("database_url")
def check(settings: Settings) -> None:
    """End with 1 where the database is not at the newest revision, or its tables are not as this version needs them."""
    with engines.disposed(engines.engine(settings)) as engine:
        revisions.require_newest_revision(engine, settings)
    revisions.migrate(settings, alembic.check)


@migrations.command()
@click.argument("revision", default="head")
@settings_options("database_url")
def sql(settings: Settings, revision: str) -> None:
    """Print the SQL of the way to REVISION instead of running it; FROM:TO prints a part of the way.

    Needs no database: only the dialect of the URL matters.
    """
    config = revisions.alembic_config()
    config.attributes["dialect"] = make_url(settings.database_url).get_backend_name()
    with revisions.clear_errors():
        alembic.upgrade(config, revision, sql=True)


def _current(settings: Settings) -> str:
    with engines.disposed(engines.engine(settings)) as engine, engines.reached(settings):
        return revisions.current_revision(engine) or "none"


def _create_database(settings: Settings) -> None:
    url = make_url(settings.database_url)
    if url.get_backend_name() != "mssql" or not url.database:
        raise SettingsError("--create-database is for SQL Server, with the database's name in the URL.")
    # SQL Server creates no database within a transaction; `autocommit` is for pyodbc.
    master = url.set(database="master").update_query_dict({"autocommit": "true"})
    own = replace(settings, database_url=master.render_as_string(hide_password=False))
    with engines.reached(settings), engines.disposed(engines.engine(own)) as engine, engine.connect() as connection:
        mssql.create_database(connection, url.database)
