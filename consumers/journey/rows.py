"""From records to rows of ``journey_events``. Pure."""

import base64
import json
import math
from datetime import date, datetime, time
from typing import Any

from kafkajourney.events import Decoded, Record, as_text, own_fields

Row = tuple[str, str, str, str, str, str, str]
"""``event_id``, ``event_type``, ``user_id``, ``session_id``, ``page_url``, ``occurred_at``, ``payload``."""


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def rows(record: Record) -> Row | None:
    """Return the row of a record."""
    decoded = record.decoded
    if decoded is None:
        return None
    event = decoded.event
    return (
        str(event.event_id),
        decoded.event_type,
        event.user_id,
        event.session_id,
        event.page_url,
        as_text(event.occurred_at),
        payload(decoded),
    )


def payload(decoded: Decoded) -> str:
    """Return the fields that are this type's own as JSON text, with those that only the writer's schema knows."""
    event = decoded.event
    fields = {name: getattr(event, name) for name in own_fields(type(event))}
    if decoded.extras:
        fields |= decoded.extras
    try:
        return _encode(fields)
    except (TypeError, ValueError):
        return _encode(_plain(fields))


def _plain(value: Any) -> Any:
    """Return any value that Avro can hold as one that JSON can.

    What JSON has no form for becomes text: NaN and the infinities by their names, bytes in base64, dates and times
    in ISO 8601, everything else (UUID, Decimal) as it prints.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case bytes():
            return base64.b64encode(value).decode()
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)
