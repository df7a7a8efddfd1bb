"""From JSON values to values of an Avro type. Pure.

Nothing is guessed, nothing is dropped: a value that does not fit is refused with what was expected.
"""

import json
import math
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kafkajourney.errors import StopError

SHOWN_CHARACTERS = 60
"""A value in an error message is cut to this length."""


Convert = Callable[[object], Any]
"""Turns a JSON value into an event's value; raises MismatchError where it does not fit."""


class MismatchError(Exception):
    """A value does not fit its Avro type: ``str(error)`` is what was expected, such as ``a number``."""


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
        raise StopError(f"NDJSON has no form for the Avro type {shown(schema)}. Add it to {__name__}.")
    return found


def shown(value: object) -> str:
    """Return the value as JSON that can be printed, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
    return text.encode(errors="backslashreplace").decode()


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
