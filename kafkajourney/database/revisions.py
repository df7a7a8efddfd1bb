"""Which revisions the tables are at, and the way to others, by Alembic."""

import logging
from collections.abc import Callable

from alembic import command as alembic
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, make_url

from kafkajourney.command.logs import event
from kafkajourney.database import branches, carry_over, engines
from kafkajourney.database.branches import NEWEST, VERSION_TABLE, Standing
from kafkajourney.database.dialect import dialect_of
from kafkajourney.database.views import READ_ONLY
from kafkajourney.errors import StopError
from kafkajourney.settings import Settings

log = logging.getLogger("kafkajourney")


def migrate(settings: Settings, act: Callable[[Config], None], *, may_create: bool = False) -> None:
    """Let an Alembic command act on the database, in one transaction, one at a time.

    ``may_create``: a SQLite file that is not there is made. Raises DatabaseAwayError where the database does not
    answer, StopError where the command refuses.
    """
    with (
        engines.disposed(engines.engine(settings, may_create=may_create)) as made,
        engines.reached(settings),
        made.connect() as connection,
        branches.clear_errors(),
    ):
        dialect_of(connection).wait_until_alone(connection)
        if carry_over.is_of_before(connection):
            for statement in carry_over.statements(MigrationContext.configure(connection)):
                connection.execute(statement)
        with branches.stubs(_current(connection)) as folders:
            config = branches.alembic_config(*folders)
            config.attributes["connection"] = connection
            act(config)
        connection.commit()


def upgrade(settings: Settings, revision: str = NEWEST) -> None:
    """Bring the tables forward to a revision. What a newer version has applied is left as it is."""
    targets = branches.ways() if revision == NEWEST else [revision]

    def act(config: Config) -> None:
        for target in targets:
            alembic.upgrade(config, target)

    migrate(settings, act, may_create=True)


def downgrade(settings: Settings, revision: str) -> None:
    """Bring the tables back to a revision: ``base``, or one of a branch, as ``application@-1``."""
    migrate(settings, lambda config: alembic.downgrade(config, revision))


def check(settings: Settings) -> None:
    """Raise StopError where the tables are not as this version needs them, whatever the revision says."""
    migrate(settings, alembic.check)


def print_sql(settings: Settings, revision: str) -> None:
    """Print the SQL of the way to a revision, or of a part of it (FROM:TO); FROM may be a database of version 0.1.

    It is one transaction, also where it is of both branches, which Alembic prints one after the other.
    """
    library, *application = branches.ways()
    from_before = f"{carry_over.BEFORE}:{NEWEST}"
    parts = {
        NEWEST: [library, *(f"{library}:{target}" for target in application)],
        from_before: [f"{base}:{branch}@head" for branch, base in carry_over.BASES.items()],
    }.get(revision, [revision])
    for part in parts:
        config = branches.alembic_config()
        config.attributes["dialect"] = make_url(settings.database_url).get_backend_name()
        is_first, is_last = part == parts[0], part == parts[-1]
        config.attributes |= {"begins": is_first, "ends": is_last, "carry over": revision == from_before and is_first}
        with branches.clear_errors():
            alembic.upgrade(config, part, sql=True)


def standing(made: Engine) -> Standing:
    """Return where the database stands, against what this version knows."""
    with made.connect().execution_options(**READ_ONLY) as connection:
        current = _current(connection)
        if not current and carry_over.is_of_before(connection):
            current = (carry_over.BEFORE,)
    return Standing(current, branches.scripts().get_heads())


def _current(connection: Connection) -> tuple[str, ...]:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_heads()


def require_revisions(made: Engine, settings: Settings) -> None:
    """Raise StopError where the database lacks a revision that this version needs; one that is ahead is told.

    Raises DatabaseAwayError where no database answers.
    """
    with engines.reached(settings):
        found = standing(made)
    at = f"The database at {settings.safe_database_url} is at revision {branches.text(found.current)}"
    if found.is_behind:
        needs = f"this version needs {branches.text(found.newest)}"
        raise StopError(f"{at}, {needs}. Run: python -m migrations upgrade")
    if found.ahead:
        log.info("%s, ahead of this version's %s", at, branches.text(found.newest), extra=event("database_ahead"))
