"""What a database's module in ``kafkajourney.database.dialects`` has to have, and how it is looked up."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from sqlalchemy import Connection, Engine

from kafkajourney import settings
from kafkajourney.errors import StopError
from kafkajourney.group import Group, Row


class Dialect(Protocol):
    """All that depends on which database it is. Statements take values as parameters only."""

    CONNECT_ARGUMENTS: Mapping[str, Any]
    """What the driver is told when it connects."""
    TRANSIENT_STATES: tuple[str, ...]
    """Beginnings of the SQLSTATEs of an outage or a conflict."""
    TRANSIENT_WORDS: tuple[str, ...]
    """Words in the reason of an outage that has no state or number of its own."""
    REFUSED_WORDS: tuple[str, ...]
    """Words in the reason where a value is one that the driver has no form for."""
    WRONG_WORDS: tuple[str, ...]
    """Words in the reason of an error that trying again does not mend."""

    SCRIPT_HEAD: str
    """What the SQL of migrations begins with, where it is printed for somebody to run by hand."""
    SCRIPT_SEPARATOR: str
    """What stands after each of its statements, where the database's tools need that."""
    SCRIPT_FOOT: str
    """What it ends with."""

    def set_up(self, engine: Engine, *, may_create: bool) -> None:
        """Prepare the engine's connections; ``may_create``: a database that connecting would make may be made."""

    def wait_until_alone(self, connection: Connection) -> None:
        """Wait until no other transaction migrates the database, and keep others waiting until this one ends."""

    def row_check(self, group: Group) -> Callable[[Row], None]:
        """Return what raises RefusedError for the values of a group's own columns that the database does not take.

        Also for those that it would change: it cuts off blanks beyond a column's length.
        """

    def insert(self, connection: Connection, group: Group, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows into the group's table; each is a tuple in the order of ``group.columns``, with times as text."""

    def add(self, connection: Connection, group: Group, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows to those of the group's table; each is a tuple in the order of ``group.columns``, each key once."""

    def one_view(self, engine: Engine) -> Mapping[str, Any]:
        """Return the options of a connection that reads, and sees the database as it was at its first statement."""


DIALECTS: Mapping[str, Dialect] = {
    name: cast("Dialect", import_module(f"kafkajourney.database.dialects.{name}")) for name in settings.DIALECTS
}
"""Each served database's module, by SQLAlchemy's name of the backend."""


def dialect_of(bind: Engine | Connection) -> Dialect:
    """Return the module of the database that an engine or a connection is of; raise StopError for an unknown one."""
    name = bind.dialect.name
    if name not in DIALECTS:
        raise StopError(f"Database {name!r} is not supported. Supported are: {', '.join(DIALECTS)}.")
    return DIALECTS[name]
