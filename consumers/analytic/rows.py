"""From records to rows of ``video_plays``. Pure."""

from kafkajourney.events import Record, as_text

COUNTED = "VideoPlayed"
"""The event type that is counted."""

Row = tuple[str, int, str]
"""``user_id``, one play, and when it was."""


def rows(record: Record) -> Row | None:
    """Return what a record adds to its user's row."""
    if record.decoded is None:
        return None
    event = record.decoded.event
    return event.user_id, 1, as_text(event.occurred_at)
