"""Events from NDJSON: one JSON object a line, its event type in ``type``. Pure: lines in, events out.

What a line may hold follows from the newest Avro schema of its type. Nothing is guessed, nothing is dropped:
a line that does not fit is refused with the reason.
"""

import json
import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, NoReturn, cast

from kafkajourney.errors import RecordError, StopError
from kafkajourney.events import Event
from schemas import catalogue
from schemas.events import EVENT_TYPES

SHOWN_CHARACTERS = 60
"""A value in an error message is cut to this length."""

Convert = Callable[[object], Any]
"""Turns a JSON value into an event's value; raises MismatchError where it does not fit."""


class MismatchError(Exception):
    """A value does not fit its Avro type: ``str(error)`` is what was expected, such as ``a number``."""


def read(lines: Iterable[bytes | str]) -> Iterator[tuple[int, Event | RecordError]]:
    """Yield each line's number, from 1, with its event or why it is none; pass over blank lines."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _event_or_error(line)


def parse(line: str) -> Event:
    """Return the event of one line; raise RecordError with the reason where it is none.

    A missing ``event_id`` is made at random; ``occurred_at`` is converted to UTC, truncated to milliseconds.
    """
    try:
        return _event(_json_object(line))
    except RecursionError:
        raise RecordError("not an event: nested too deeply") from None


def converter(schema: Any) -> Convert:
    """Return what converts JSON values for this Avro type; raise StopError where there is no such thing."""
    match schema:
        case list():
            return partial(_one_of, tuple(converter(branch) for branch in schema))
        case {"type": "array", "items": items}:
            return partial(_array, converter(items))
        case {"type": "map", "values": values}:
            return partial(_map, converter(values))
        case {"type": "enum", "symbols": list(symbols)}:
            return partial(_symbol, tuple(symbols))
        case {"logicalType": name}:
            found = _LOGICAL_TYPES.get(name)
        case str(name) | {"type": str(name)}:
            found = _PRIMITIVE_TYPES.get(name)
        case _:
            found = None
    if found is None:
        raise StopError(f"NDJSON has no form for the Avro type {_shown(schema)}. Add it to producer/ndjson.py.")
    return found


@dataclass(frozen=True)
class _Shape:
    """What a line of one event type may and must hold."""

    name: str
    make: Callable[..., Event]
    converters: Mapping[str, Convert]
    required: frozenset[str]


@cache
def _types() -> Mapping[str, catalogue.SchemaVersion]:
    """Return the newest versions by short and by full name."""
    types = catalogue.load().values()
    return {name: t.newest for t in types for name in (t.name, t.subject)}


@cache
def _shape(name: str) -> _Shape:
    version = _types()[name]
    fields = version.definition["fields"]
    return _Shape(
        version.name,
        cast("Callable[..., Event]", EVENT_TYPES[version.subject]),
        {field["name"]: converter(field["type"]) for field in fields},
        frozenset(field["name"] for field in fields if "default" not in field) - {"event_id"},
    )


def _event_or_error(line: bytes | str) -> Event | RecordError:
    try:
        return parse(_text(line).removeprefix("\ufeff"))  # Windows tools begin a file with a byte order mark
    except RecordError as error:
        return error


def _text(line: bytes | str) -> str:
    if isinstance(line, str):
        return line
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}") from None


def _event(record: dict[str, Any]) -> Event:
    shape = _shape_of(record.pop("type", None))
    _check_names(shape, record)
    values = {name: _converted(shape, name, value) for name, value in record.items()}
    if not values["user_id"]:
        raise RecordError(f'{shape.name}.user_id: expected some text, for it is the record\'s key, got ""')
    if "event_id" not in values:
        values["event_id"] = uuid.uuid4()
    return shape.make(**values)


def _shape_of(name: object) -> _Shape:
    known = _types()
    if isinstance(name, str) and name in known:
        return _shape(name)
    problem = "`type` is missing" if name is None else f"unknown type {_shown(name)}"
    raise RecordError(f"{problem}; known are {', '.join(sorted({version.name for version in known.values()}))}")


def _check_names(shape: _Shape, record: dict[str, Any]) -> None:
    if unknown := [name for name in record if name not in shape.converters]:
        raise RecordError(f"{shape.name} has no field {_shown(unknown[0])}; it has {', '.join(shape.converters)}")
    if missing := shape.required - record.keys():
        raise RecordError(f"{shape.name}: missing {', '.join(n for n in shape.converters if n in missing)}")


def _converted(shape: _Shape, name: str, value: object) -> Any:
    try:
        return shape.converters[name](value)
    except MismatchError as expected:
        raise RecordError(f"{shape.name}.{name}: expected {expected}, got {_shown(value)}") from None


def _shown(value: object) -> str:
    """Return the value as JSON that can be printed, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
    return text.encode(errors="backslashreplace").decode()


# From text to JSON


def _json_object(line: str) -> dict[str, Any]:
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error.msg} at column {error.colno}") from None
    except ValueError:
        raise RecordError("not JSON that can be read: a number has too many digits") from None
    if not isinstance(value, dict):
        raise RecordError(f"expected a JSON object, got {_shown(value)}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError(f"not JSON: {name} is no JSON number")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        (name, _times), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise RecordError(f"the field {_shown(name)} is there more than once")
    return record


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)


# From JSON values to values of an Avro type


def _null(value: object) -> None:
    if value is not None:
        raise MismatchError("null")


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise MismatchError("true or false")
    return value


def _integer(bits: int, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise MismatchError("an integer")
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise MismatchError(f"an integer of {bits} bits")
    return value


def _double(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise MismatchError("a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise MismatchError("a number in the range of a double")
    return number


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise MismatchError("a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MismatchError("text that can be UTF-8, so without lone surrogates") from None
    return value


def _uuid(value: object) -> uuid.UUID:
    try:
        parsed = uuid.UUID(_string(value))
    except (MismatchError, ValueError):
        raise MismatchError("a UUID") from None
    if str(parsed) != _string(value).lower():  # uuid.UUID also takes braces, underscores, hyphens anywhere
        raise MismatchError("a UUID in its 8-4-4-4-12 form")
    return parsed


def _moment(value: object) -> datetime:
    """Return the time in UTC, truncated to milliseconds."""
    try:
        moment = datetime.fromisoformat(_string(value))
    except (MismatchError, ValueError):
        raise MismatchError("a time in ISO 8601") from None
    if moment.tzinfo is None:
        raise MismatchError("a time with an offset or Z (say which time zone)")
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        raise MismatchError("a time in the years 1 to 9999 of UTC") from None
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def _array(item: Convert, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise MismatchError("an array")
    try:
        return [item(element) for element in value]
    except MismatchError as expected:
        raise MismatchError(f"an array in which each item is {expected}") from None


def _map(item: Convert, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MismatchError("an object")
    try:
        return {name: item(element) for name, element in value.items()}
    except MismatchError as expected:
        raise MismatchError(f"an object in which each value is {expected}") from None


def _symbol(symbols: tuple[str, ...], value: object) -> str:
    if value not in symbols:
        raise MismatchError(f"one of {', '.join(symbols)}")
    return str(value)


def _one_of(branches: tuple[Convert, ...], value: object) -> Any:
    expected = []
    for branch in branches:
        try:
            return branch(value)
        except MismatchError as mismatch:
            expected.append(str(mismatch))
    raise MismatchError(" or ".join(expected))


_PRIMITIVE_TYPES: Mapping[str, Convert] = {
    "null": _null,
    "boolean": _boolean,
    "int": partial(_integer, 32),
    "long": partial(_integer, 64),
    "float": _double,
    "double": _double,
    "string": _string,
}

_LOGICAL_TYPES: Mapping[str, Convert] = {"uuid": _uuid, "timestamp-millis": _moment}
