"""Many rows as one parameter, how columns are added to, texts that would be cut: what dialects share. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Column

from kafkajourney.errors import RefusedError
from kafkajourney.group import Merge

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


def refuse_cut(length_of: Callable[[str], int], columns: Iterable[Column[Any]], rows: Sequence[Sequence[Any]]) -> None:
    """Refuse a text that does not fit but for blanks at its end: as SQL has it, databases silently cut those off.

    ``length_of`` is how the database counts. Whatever else is too long it refuses itself.
    """
    for place, column in enumerate(columns):
        length = getattr(column.type, "length", None)
        texts = map(itemgetter(place), rows)
        if length and any(
            isinstance(text, str) and len(text) * 2 > length and text[-1] == " " and length_of(text) > length
            for text in texts
        ):
            raise RefusedError(f"the database refuses the row: {column.name} is longer than {length} characters")


def change(name: str, merge: Merge, new: str) -> str:
    """Return the assignment that adds a row called ``new`` to a column, whose quoted name this is, of ``known``."""
    match merge:
        case Merge.SUM:
            return f"{name} = known.{name} + {new}.{name}"
        case Merge.MAX:
            return f"{name} = CASE WHEN {new}.{name} > known.{name} THEN {new}.{name} ELSE known.{name} END"
