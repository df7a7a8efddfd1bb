"""From records to rows of ``video_plays``. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from kafkajourney.events import Record, as_text

COUNTED = "VideoPlayed"
"""The event type that is counted."""


class Row(NamedTuple):
    """What is added to a row of ``video_plays``, in the order of its columns."""

    user_id: str
    plays: int
    last_played_at: str
    """As ``events.as_text`` makes it: the later moment is the greater text."""


def plays(records: Iterable[Record]) -> list[Row]:
    """Return one row a user: how many plays these records add, and when the last of them was.

    The rows are in the order of the users' ids, so that two transactions lock the users in the same order.
    """
    rows: dict[str, Row] = {}
    for record in records:
        if record.decoded is not None:
            event = record.decoded.event
            before = rows.get(event.user_id, Row(event.user_id, 0, ""))
            last = max(before.last_played_at, as_text(event.occurred_at))
            rows[event.user_id] = Row(event.user_id, before.plays + 1, last)
    return [rows[user_id] for user_id in sorted(rows)]
