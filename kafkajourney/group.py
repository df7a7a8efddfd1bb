"""A consumer group as an application describes it: what it wants of the topic, and what becomes of a record.

The library does the rest for every group and every dialect: the transaction, the fence, dead letters, ``verify``,
``status``, metrics. An application lists its groups in ``consumers/__init__.py``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from sqlalchemy import Column, Table

from kafkajourney.events import Record, UnknownEvent

FILLED = ("topic", "partition", "offset", "received_at", "schema_id", "stored_at")
"""Columns that the library fills, where the table has them; all others are the group's own.

A table that is added to has ``topic`` alone of them, since its rows are of many records.
"""

Row = tuple[Any, ...]
"""The values of a group's own columns, in the table's order. Times are as ``events.as_text`` makes them."""


class Merge(Enum):
    """How a column takes what a row adds to it."""

    SUM = "sum"
    MAX = "max"

    def of(self, values: Iterable[Any]) -> Any:
        """Return what several rows, at least one, add together."""
        return sum(values) if self is Merge.SUM else max(values)


SUM, MAX = Merge.SUM, Merge.MAX


@dataclass(frozen=True, eq=False)
class Group:
    """A consumer group: one row of its table for each record, or for each key, to which the records add."""

    name: str
    """Also the folder of its package, so that ``python -m consumers.<name>`` runs it."""
    wanted: frozenset[str] | None
    """The short names of the event types that it takes, None for all; others are passed over."""
    table: Table
    rows: Callable[[Record], Row | None]
    """Returns the row of a record that has an event, None where it gives none. Pure."""
    merge: Mapping[str, Merge] | None = None
    """None to insert each row; else the columns that are added to, all others being the key."""
    person: str | None = None
    """The column that names the user, None where no column does."""

    def __post_init__(self) -> None:
        """Raise ValueError where the library could not write the table as the group describes it."""
        if next((column.name for column in self.table.primary_key), None) != "topic":
            raise ValueError(
                f"The primary key of {self.table.name} has to begin with a column topic: topics do not mix."
            )
        if self.merge is None:
            return
        if self.own_columns[: len(self.own_key)] != self.own_key:
            raise ValueError(
                f"The columns of the key of {self.table.name} have to come before those that {self.name} adds to."
            )
        if len(self.filled) > 1:
            names = ", ".join(column.name for column in self.filled[1:])
            raise ValueError(
                f"{self.name} adds to {self.table.name}, whose rows are of many records: it can have no {names}."
            )

    def takes(self, record: Record) -> bool:
        """Whether a record has an event of a type that the group wants; another namespace's is another type."""
        if record.decoded is None:
            return False
        is_known = not isinstance(record.decoded.event, UnknownEvent)
        return self.wanted is None or (is_known and record.decoded.event_type in self.wanted)

    @cached_property
    def filled(self) -> tuple[Column[Any], ...]:
        """Return the columns that the library fills, in the order of ``FILLED``."""
        return tuple(self.table.columns[name] for name in FILLED if name in self.table.columns)

    @cached_property
    def own_columns(self) -> tuple[Column[Any], ...]:
        """Return the columns that ``rows`` gives values for, in the table's order."""
        return tuple(column for column in self.table.columns if column.name not in FILLED)

    @cached_property
    def columns(self) -> tuple[Column[Any], ...]:
        """Return the columns of a row as it is written: those that the library fills, then the group's own."""
        return self.filled + self.own_columns

    @cached_property
    def key(self) -> tuple[Column[Any], ...]:
        """Return the columns that tell a row of a group that adds from the others."""
        return tuple(column for column in self.columns if column.name not in (self.merge or ()))

    @cached_property
    def own_key(self) -> tuple[Column[Any], ...]:
        """Return those of them that are the group's own."""
        return tuple(column for column in self.own_columns if column.name not in (self.merge or ()))

    @cached_property
    def merged(self) -> tuple[tuple[Column[Any], Merge], ...]:
        """Return the columns that are added to, each with how."""
        merge = self.merge or {}
        return tuple((column, merge[column.name]) for column in self.own_columns if column.name in merge)
