"""What bytes a schema can be read from: the same as another's, and none that ask for more than they hold. Pure.

The schemas are as ``fastavro.parse_schema`` returns them: names are full, a type is spelled out where it comes first.
"""

from collections.abc import Mapping
from typing import Any

MOST_NESTED = 200
"""Levels of JSON in a schema. Parsers and readers recurse as deep, in C without a limit."""

_LEAST = {"null": 0, "float": 4, "double": 8}
"""Bytes of the shortest value, of primitive types; of all others one."""


def require_shallow(definition: Any) -> None:
    """Raise ValueError where JSON is nested deeper than a parser should be given."""
    level, depth = [definition], 0
    while level := [inner for node in level for inner in _inner(node)]:
        depth += 1
        if depth > MOST_NESTED:
            raise ValueError(f"the schema is nested deeper than {MOST_NESTED} levels")


def _inner(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def require_bounded(schema: Any, named: Mapping[str, Any]) -> None:
    """Raise ValueError where a few bytes can ask for any depth, or for any number of items.

    A recursive type does; so do arrays whose items take no bytes: 60 bytes can hold 2**63 nulls.
    """
    _least_bytes(schema, named, (), {})


def _least_bytes(node: Any, named: Mapping[str, Any], within: tuple[str, ...], known: dict[str, int]) -> int:
    """Return the bytes of the shortest value; ``within`` names the types around, ``known`` has what was found."""
    if isinstance(node, list):
        return 1 + min((_least_bytes(branch, named, within, known) for branch in node), default=0)
    if isinstance(node, str):
        if node in within:
            raise ValueError(f"{node} is recursive")
        return known[node] if node in known else _of_name(node, named, within, known)
    kind = node["type"]
    if kind in ("record", "error"):
        name = node["name"]
        fields = (_least_bytes(field["type"], named, (*within, name), known) for field in node["fields"])
        known[name] = sum(fields)
        return known[name]
    if kind == "array":
        if _least_bytes(node["items"], named, within, known) == 0:
            raise ValueError("an array has items that take no bytes")
        return 1
    if kind == "map":
        _least_bytes(node["values"], named, within, known)
        return 1
    if kind in ("enum", "fixed"):
        return int(node["size"]) if kind == "fixed" else 1
    return _least_bytes(kind, named, within, known)


def _of_name(name: str, named: Mapping[str, Any], within: tuple[str, ...], known: dict[str, int]) -> int:
    return _least_bytes(named[name], named, within, known) if name in named else _LEAST.get(name, 1)


def shape(node: Any) -> Any:
    """Return what decides how bytes are read, to compare it: no docs, defaults, aliases or own properties.

    https://avro.apache.org/docs/1.12.0/specification/#parsing-canonical-form-for-schemas, and the logical types.
    """
    if isinstance(node, list):
        return [shape(branch) for branch in node]
    if not isinstance(node, dict):
        return node
    kept = {key: node[key] for key in ("name", "symbols", "size", "logicalType", "precision", "scale") if key in node}
    if "fields" in node:
        kept["fields"] = [(field["name"], shape(field["type"])) for field in node["fields"]]
    for part in ("items", "values"):
        if part in node:
            kept[part] = shape(node[part])
    return {"type": shape(node["type"]), **kept} if kept else shape(node["type"])
