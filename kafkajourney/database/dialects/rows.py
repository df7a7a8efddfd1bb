"""Many rows as one parameter, how columns are added to, texts that would be cut: what dialects share. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import Column

from kafkajourney.errors import RefusedError
from kafkajourney.group import Group, Merge, Row

JSON_SIZE = 1_000_000
"""Characters of JSON text in one parameter, before the row that goes beyond: it bounds the memory of both sides."""

encode = json.JSONEncoder(separators=(",", ":")).encode


def json_arrays(rows: Iterable[str]) -> Iterator[str]:
    """Yield JSON arrays of these rows, each of a bounded size."""
    parts: list[str] = []
    size = 0
    for row in rows:
        parts.append(row)
        size += len(row)
        if size >= JSON_SIZE:
            yield f"[{','.join(parts)}]"
            parts, size = [], 0
    if parts:
        yield f"[{','.join(parts)}]"


def length_check(group: Group, length_of: Callable[[str], int]) -> Callable[[Row], None]:
    """Return what refuses a row with a text that is longer than its column, whatever its characters.

    Databases refuse that themselves, but for blanks at the end, which they cut off as SQL has it. ``length_of`` is how
    the database counts, at most two for a character.
    """
    limits = [(place, column.name, length) for place, column, length in _limited(group.own_columns)]

    def check(row: Row) -> None:
        for place, name, length in limits:
            text = row[place]
            if text is not None and len(text) * 2 > length and length_of(text) > length:
                raise RefusedError(f"the database refuses the row: {name} is longer than {length} characters")

    return check


def _limited(columns: Iterable[Column[Any]]) -> Iterator[tuple[int, Column[Any], int]]:
    for place, column in enumerate(columns):
        length = getattr(column.type, "length", None)
        if length and issubclass(column.type.python_type, str):
            yield place, column, length


def change(name: str, merge: Merge, new: str) -> str:
    """Return the assignment that adds a row called ``new`` to a column, whose quoted name this is, of ``known``."""
    match merge:
        case Merge.SUM:
            return f"{name} = known.{name} + {new}.{name}"
        case Merge.MAX:
            return f"{name} = CASE WHEN {new}.{name} > known.{name} THEN {new}.{name} ELSE known.{name} END"
