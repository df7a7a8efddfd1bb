"""Many rows as one parameter, how columns are added to, texts that would be cut: what dialects share. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from sqlalchemy import Column, String

from kafkajourney.database.types import Guid, is_json
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


def text_check(group: Group, length_of: Callable[[str], int], forbidden: str = "") -> Callable[[Row], None]:
    """Return what refuses a row with a text that is longer than its column, whatever its characters.

    Databases refuse that themselves, but for blanks at the end, which they cut off as SQL has it. ``length_of`` is how
    the database counts, at most two for a character; ``forbidden`` is a character that it has no form for, within JSON
    neither.
    """
    texts = [(place, column) for place, column in enumerate(group.own_columns) if _is_text(column)]
    short = [(place, length // 2 if length_of is not len else length) for place, length in _limits(texts)]
    places = [place for place, _column in texts]
    jsons = [place for place, column in enumerate(group.own_columns) if is_json(column)] if forbidden else []
    escaped = json.dumps(forbidden)[1:-1]

    def check(row: Row) -> None:
        for place, length in short:
            text = row[place]
            if text is not None and len(text) > length:
                refuse_long(row)
        if forbidden:
            for place in places:
                text = row[place]
                if text is not None and forbidden in text:
                    refuse_character(group.own_columns[place].name)
            for place in jsons:
                text = row[place]
                if text is not None and escaped in text and (path := path_to(forbidden, json.loads(text))):
                    refuse_character(".".join((group.own_columns[place].name, *path)))

    def refuse_character(name: str) -> NoReturn:
        raise RefusedError(f"the database refuses the row: {name} holds the character {forbidden!r}")

    def refuse_long(row: Row) -> None:
        for place, length in _limits(texts):
            if row[place] is not None and length_of(row[place]) > length:
                name = group.own_columns[place].name
                raise RefusedError(f"the database refuses the row: {name} is longer than {length} characters")

    return check


def path_to(character: str, value: Any) -> tuple[str, ...]:
    """Return the names of the fields that lead to a text with this character within a JSON value, none where none do.

    A key that has the character is the last of them.
    """
    match value:
        case dict():
            for key, item in value.items():
                if character in key:
                    return (repr(key),)
                if isinstance(item, str) and character in item:
                    return (key,)
                if path := path_to(character, item):
                    return (key, *path)
        case list():
            for n, item in enumerate(value):
                if (isinstance(item, str) and character in item) or path_to(character, item):
                    return (str(n), *path_to(character, item))
    return ()


def _is_text(column: Column[Any]) -> bool:
    """Whether a column holds text that comes from the event as it is: JSON and UUIDs are made here."""
    return isinstance(column.type, String) and column.type is not Guid and not is_json(column)


def _limits(texts: Iterable[tuple[int, Column[Any]]]) -> Iterator[tuple[int, int]]:
    for place, column in texts:
        if length := getattr(column.type, "length", None):
            yield place, length


def change(name: str, merge: Merge, new: str) -> str:
    """Return the assignment that adds a row called ``new`` to a column, whose quoted name this is, of ``known``."""
    match merge:
        case Merge.SUM:
            return f"{name} = known.{name} + {new}.{name}"
        case Merge.MAX:
            return f"{name} = CASE WHEN {new}.{name} > known.{name} THEN {new}.{name} ELSE known.{name} END"
