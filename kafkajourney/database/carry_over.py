"""A database of version 0.1, which had one branch with one revision, in Alembic's own version table."""

from collections.abc import Iterator

from alembic.migration import MigrationContext
from sqlalchemy import Connection, Executable, column, delete, insert, inspect, select, table
from sqlalchemy.schema import CreateTable

from kafkajourney.database.branches import APPLICATION, LIBRARY, VERSION_TABLE

BEFORE = "0001"
"""The revision of a database of version 0.1."""

BASES = {LIBRARY: f"{LIBRARY}_0001", APPLICATION: f"{APPLICATION}_0001"}
"""The revisions that its tables are at, by branch."""

_old = table("alembic_version", column("version_num"))
_MARKS = {_old.name, "consumer_progress", "journey_events"}
"""Tables without which that revision is somebody else's."""


def is_of_before(connection: Connection) -> bool:
    """Whether the database is at the revision of version 0.1, and not yet carried over."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE in tables or not tables >= _MARKS:
        return False
    return connection.scalar(select(_old).where(_old.c.version_num == BEFORE)) is not None


def statements(context: MigrationContext) -> Iterator[Executable]:
    """Yield what carries a database over: the bases stand in our own table, the old row goes, others' rows stay."""
    own = context.impl.version_table_impl(version_table=VERSION_TABLE, version_table_schema=None, version_table_pk=True)
    yield CreateTable(own)
    for base in BASES.values():
        yield insert(own).values(version_num=base)
    yield delete(_old).where(_old.c.version_num == BEFORE)
