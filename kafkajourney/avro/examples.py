"""Example records: from their JSON to the values that Avro's types stand for. Pure."""

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from fastavro import parse_schema
from fastavro.validation import validate

Json = Any


def native(definition: Json, example: Json) -> Any:
    """Return a record with dates, times, UUIDs, decimals and bytes for the texts that JSON has for them.

    Raises ValueError where a text is none of these. What does not fit otherwise is left as it is.
    """
    named: dict[str, Any] = {}
    return _value(parse_schema(definition, named_schemas=named), example, named)


def _value(schema: Json, value: Json, named: dict[str, Any]) -> Any:
    match schema, value:
        case (_, None) | ("null", _):
            return value
        case list(), _:
            return _of_a_branch(schema, value, named)
        case str() as name, _ if name in named:
            return _value(named[name], value, named)
        case {"logicalType": name}, str():
            return _LOGICAL[name](value) if name in _LOGICAL else value
        case (("bytes" | {"type": "bytes" | "fixed"}), str()):
            return value.encode("latin-1")  # as Avro writes bytes in JSON
        case {"type": "record", "fields": fields}, dict():
            types = {field["name"]: field["type"] for field in fields}
            return {name: _value(types.get(name), item, named) for name, item in value.items()}
        case {"type": "array", "items": items}, list():
            return [_value(items, item, named) for item in value]
        case {"type": "map", "values": values}, dict():
            return {name: _value(values, item, named) for name, item in value.items()}
    return value


def _of_a_branch(union: list[Any], value: Json, named: dict[str, Any]) -> Any:
    """Return the value as the first branch has it in which it is valid."""
    for branch in union:
        try:
            candidate = _value(branch, value, named)
        except ValueError:
            continue
        if validate(candidate, named.get(branch, branch) if isinstance(branch, str) else branch, raise_errors=False):
            return candidate
    return value


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError(f"{text!r} is no decimal") from None


_LOGICAL: dict[str, Callable[[str], object]] = {
    "uuid": UUID,
    "date": date.fromisoformat,
    "time-millis": time.fromisoformat,
    "time-micros": time.fromisoformat,
    "timestamp-millis": datetime.fromisoformat,
    "timestamp-micros": datetime.fromisoformat,
    "local-timestamp-millis": datetime.fromisoformat,
    "local-timestamp-micros": datetime.fromisoformat,
    "decimal": _decimal,
}
