"""Events from NDJSON: one JSON object a line, its event type in ``type``. Pure: lines in, events out.

What a line may hold follows from the newest Avro schema of its type. Nothing is guessed, nothing is dropped:
a line that does not fit is refused with the reason.
"""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from kafkajourney.avro.catalogue import Catalogue, SchemaVersion
from kafkajourney.avro.json_values import Convert, MismatchError, converter, shown
from kafkajourney.errors import RecordError
from kafkajourney.events import Event


class Reader:
    """Reads the events of an application's types, each by its newest version."""

    def __init__(self, catalogue: Catalogue, classes: Mapping[str, type]) -> None:
        self._classes = classes
        self._types = {name: t.newest for t in catalogue.values() for name in (t.name, t.subject)}
        """The newest versions by short and by full name."""
        self._shapes: dict[str, _Shape] = {}

    def read(self, lines: Iterable[bytes | str]) -> Iterator[tuple[int, Event | RecordError]]:
        """Yield each line's number, from 1, with its event or why it is none; pass over blank lines."""
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, self._event_or_error(line)

    def parse(self, line: str) -> Event:
        """Return the event of one line; raise RecordError with the reason where it is none.

        A missing ``event_id`` is made at random; ``occurred_at`` is converted to UTC, truncated to milliseconds.
        """
        try:
            return self._event(_json_object(line))
        except RecursionError:
            raise RecordError("not an event: nested too deeply") from None

    def _event_or_error(self, line: bytes | str) -> Event | RecordError:
        try:
            return self.parse(_text(line).removeprefix("\ufeff"))  # Windows tools begin a file with a byte order mark
        except RecordError as error:
            return error

    def _event(self, record: dict[str, Any]) -> Event:
        shape = self._shape_of(record.pop("type", None))
        _check_names(shape, record)
        values = {name: _converted(shape, name, value) for name, value in record.items()}
        if not values["user_id"]:
            raise RecordError(f'{shape.name}.user_id: expected some text, for it is the record\'s key, got ""')
        if "event_id" not in values:
            values["event_id"] = uuid.uuid4()
        return shape.make(**values)

    def _shape_of(self, name: object) -> "_Shape":
        known = self._types
        if isinstance(name, str) and name in known:
            if name not in self._shapes:
                self._shapes[name] = _shape(known[name], self._classes[known[name].subject])
            return self._shapes[name]
        problem = "`type` is missing" if name is None else f"unknown type {shown(name)}"
        raise RecordError(f"{problem}; known are {', '.join(sorted({version.name for version in known.values()}))}")


@dataclass(frozen=True)
class _Shape:
    """What a line of one event type may and must hold."""

    name: str
    make: Callable[..., Event]
    converters: Mapping[str, Convert]
    required: frozenset[str]


def _shape(version: SchemaVersion, event_class: type) -> _Shape:
    fields = version.definition["fields"]
    return _Shape(
        version.name,
        event_class,
        {field["name"]: converter(field["type"]) for field in fields},
        frozenset(field["name"] for field in fields if "default" not in field) - {"event_id"},
    )


def _text(line: bytes | str) -> str:
    if isinstance(line, str):
        return line
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}") from None


def _check_names(shape: _Shape, record: dict[str, Any]) -> None:
    if unknown := [name for name in record if name not in shape.converters]:
        raise RecordError(f"{shape.name} has no field {shown(unknown[0])}; it has {', '.join(shape.converters)}")
    if missing := shape.required - record.keys():
        raise RecordError(f"{shape.name}: missing {', '.join(n for n in shape.converters if n in missing)}")


def _converted(shape: _Shape, name: str, value: object) -> Any:
    try:
        return shape.converters[name](value)
    except MismatchError as expected:
        raise RecordError(f"{shape.name}.{name}: expected {expected}, got {shown(value)}") from None


# From text to JSON


def _json_object(line: str) -> dict[str, Any]:
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error.msg} at column {error.colno}") from None
    except ValueError:
        raise RecordError("not JSON that can be read: a number has too many digits") from None
    if not isinstance(value, dict):
        raise RecordError(f"expected a JSON object, got {shown(value)}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError(f"not JSON: {name} is no JSON number")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        (name, _times), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise RecordError(f"the field {shown(name)} is there more than once")
    return record


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)
