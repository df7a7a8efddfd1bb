"""The two consumer groups: what each wants of the topic, and what it writes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from consumers.analytic.rows import COUNTED, plays
from consumers.journey.rows import row
from kafkajourney.dialects import add_plays, insert_events
from kafkajourney.events import Record, as_text
from kafkajourney.store import Write


class Group(NamedTuple):
    """A consumer group."""

    name: str
    write: Write
    wanted: frozenset[str] | None
    """The event types that it takes, None for all; others are passed over."""


def store_events(connection: Connection, records: Sequence[Record], now: datetime) -> None:
    """Insert the records' events into ``journey_events``."""
    stored_at = as_text(now)
    insert_events(connection, [row(record, stored_at) for record in records])


def count_plays(connection: Connection, records: Sequence[Record], _now: datetime) -> None:
    """Add the records' plays to the users' totals in ``video_plays``."""
    add_plays(connection, plays(records))


JOURNEY = Group("journey", store_events, None)
ANALYTIC = Group("analytic", count_plays, frozenset({COUNTED}))
GROUPS = {group.name: group for group in (JOURNEY, ANALYTIC)}
