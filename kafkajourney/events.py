"""What every event has, whatever its type, and how an event and its record look to the rest of the project."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple, Protocol
from uuid import UUID

COMMON_TYPES: Mapping[str, Any] = {
    "event_id": {"type": "string", "logicalType": "uuid"},
    "user_id": "string",
    "session_id": "string",
    "page_url": "string",
    "occurred_at": {"type": "long", "logicalType": "timestamp-millis"},
}
"""Every event type starts with these fields, in this order, without defaults; the values are Avro types."""

COMMON_FIELDS = tuple(COMMON_TYPES)


class Event(Protocol):
    """The five fields that every event type starts with; the generated classes add their own."""

    event_id: UUID
    user_id: str
    session_id: str
    page_url: str
    occurred_at: datetime


@dataclasses.dataclass(slots=True)
class UnknownEvent:
    """An event of a type that this version of the project does not know yet: its own fields are all extras."""

    event_id: UUID
    user_id: str
    session_id: str
    page_url: str
    occurred_at: datetime


class Decoded(NamedTuple):
    """An event out of a record's bytes."""

    event_type: str
    """The record's short name, such as ``VideoPlayed``."""
    event: Event
    extras: Mapping[str, Any]
    """Fields that the writer knew and this project's class does not."""
    schema_id: int | None = None
    """The registry's id of the writer's schema."""


@dataclasses.dataclass(slots=True)
class Record:
    """A place in a partition, with the event that stands there unless it is passed over."""

    topic: str
    partition: int
    offset: int
    decoded: Decoded | None = None
    message: Any = None
    """The ``confluent_kafka.Message`` that it came as: what a dead letter keeps."""
    timestamp: int | None = None
    """When it was received, in milliseconds since 1970; None where the topic does not know."""
    reason: str | None = None
    """Why it is a dead letter, where it is one."""
    row: tuple[Any, ...] | None = None
    """The values of the group's own columns, where it has a row of it."""

    @property
    def received_at(self) -> str | None:
        """Return ``timestamp`` as the tables take it; None where it is a moment that they have no form for."""
        return millis_as_text(self.timestamp) if self.timestamp is not None and 0 <= self.timestamp <= LATEST else None

    @property
    def schema_id(self) -> int | None:
        """Return the registry's id of the writer's schema."""
        return None if self.decoded is None else self.decoded.schema_id


class Move(NamedTuple):
    """The advance of a partition's progress: from the offset believed in to the next one."""

    expected: int
    next_offset: int


@cache
def own_fields(event_class: type) -> tuple[str, ...]:
    """Return the names of the fields that an event class adds to the common ones."""
    return tuple(f.name for f in dataclasses.fields(event_class) if f.name not in COMMON_FIELDS)


def as_text(moment: datetime) -> str:
    """Return a moment, which is in UTC, as every database reads it, and as SQLAlchemy's own types keep it in SQLite.

    As text because it costs a third of what it does to make a naive datetime and have the driver write that.
    """
    return moment.isoformat(" ", "milliseconds")[:23] + "000"


LATEST = 253_402_300_799_999
"""The last millisecond of the year 9999: whoever takes microseconds for milliseconds is far beyond."""


@lru_cache(maxsize=4096)  # many records have the same millisecond
def millis_as_text(millis: int) -> str:
    """Return a moment, in milliseconds since 1970, as ``as_text`` does."""
    return as_text(datetime.fromtimestamp(millis // 1000, UTC) + timedelta(milliseconds=millis % 1000))


def utc_naive(moment: datetime) -> datetime:
    """Return a moment as the tables keep it: UTC, milliseconds, without a time zone."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=None)
