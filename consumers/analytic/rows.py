"""From records to rows of ``video_plays``. Pure."""

from collections.abc import Iterable
from typing import Any

from kafkajourney.events import Record, utc_naive

COUNTED = "VideoPlayed"
"""The event type that is counted."""

Row = dict[str, Any]


def plays(records: Iterable[Record]) -> list[Row]:
    """Return one row a user: how many plays these records add, and when the last of them was.

    The rows are in the order of the users' ids, so that two transactions lock the users in the same order.
    """
    rows: dict[str, Row] = {}
    for record in records:
        if record.decoded is None:
            continue
        event = record.decoded.event
        played_at = utc_naive(event.occurred_at)
        row = rows.setdefault(event.user_id, {"user_id": event.user_id, "plays": 0, "last_played_at": played_at})
        row["plays"] += 1
        row["last_played_at"] = max(row["last_played_at"], played_at)
    return [rows[user_id] for user_id in sorted(rows)]
