"""What differs between two versions of a schema, field by field. Pure.

A schema is laid out flat: a place is a field (``VideoPlayed.title``) or a named type (``VideoPlayed``), and has
attributes as short texts. How its JSON is laid out, and where a nested type is defined, makes no difference.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Json = Any
Attributes = Mapping[str, str]

ADDED, REMOVED, ORDER = "added", "removed", "order of fields"
TYPE, SYMBOLS, SIZE = "type", "symbols", "size"


class Change(NamedTuple):
    """One difference."""

    place: str
    what: str
    """``added``, ``removed``, or the attribute that differs: ``type``, ``default``, ``doc``, ..."""
    old: str
    new: str


def changes(old: Json, new: Json) -> list[Change]:
    """Return what differs between two schemas as parsed JSON; nothing where they mean the same."""
    before, after = places(old), places(new)
    found = []
    for place in dict.fromkeys([*after, *before]):
        if place not in before:
            found.append(Change(place, ADDED, "", summary(after[place])))
        elif place not in after:
            found.append(Change(place, REMOVED, summary(before[place]), ""))
        else:
            found += _differences(place, before[place], after[place])
    return found + _moves(before, after)


def places(schema: Json) -> dict[str, Attributes]:
    """Return the attributes of every field and named type of a schema, in its order."""
    return dict(_walk(schema, ""))


def summary(attributes: Attributes) -> str:
    """Return a place in one line: its type, and its default where it has one."""
    default = f", default {attributes['default']}" if "default" in attributes else ""
    return attributes.get(TYPE, "") + default


def outline(node: Json, namespace: str = "") -> Json:
    """Return a type with each named type as its full name, and its attributes in one order."""
    match node:
        case list():
            return [outline(branch, namespace) for branch in node]
        case {"type": "record" | "error" | "enum" | "fixed", "name": str()}:
            return _full_name(node, namespace)
        case {"type": kind, **rest}:
            inner = {key: outline(rest[key], namespace) for key in ("items", "values") if key in rest}
            other = {key: rest[key] for key in sorted(map(str, rest)) if key not in inner}
            return {"type": outline(kind, namespace)} | inner | other if rest else outline(kind, namespace)
        case str():
            return node if node in _KINDS or "." in node or not namespace else f"{namespace}.{node}"
    return node


_KINDS = ("null", "boolean", "int", "long", "float", "double", "bytes", "string", "array", "map")


def _walk(node: Json, namespace: str) -> Iterator[tuple[str, Attributes]]:
    match node:
        case list():
            for branch in node:
                yield from _walk(branch, namespace)
        case {"type": "record" | "error" | "enum" | "fixed" as kind, "name": str()}:
            full_name = _full_name(node, namespace)
            space, _, name = full_name.rpartition(".")
            yield name, {TYPE: f"{kind} {full_name}", **_texts(node, ("doc", "aliases", SYMBOLS, "default", SIZE))}
            for field in node.get("fields", ()):
                yield f"{name}.{field['name']}", _field(field, space)
                yield from _walk(field.get("type"), space)
        case {"type": _}:
            for key in ("type", "items", "values"):
                yield from _walk(node.get(key), namespace)


def _field(field: Json, namespace: str) -> Attributes:
    return {TYPE: _text(outline(field.get("type"), namespace)), **_texts(field, ("default", "doc", "aliases"))}


def _texts(node: Json, keys: tuple[str, ...]) -> dict[str, str]:
    return {key: node[key] if key == "doc" else _text(node[key]) for key in keys if key in node}


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _full_name(node: Json, namespace: str) -> str:
    space = node.get("namespace", namespace)
    return node["name"] if "." in node["name"] or not space else f"{space}.{node['name']}"


def _differences(place: str, old: Attributes, new: Attributes) -> list[Change]:
    names = dict.fromkeys([*old, *new])
    return [
        Change(place, name, old.get(name, ""), new.get(name, "")) for name in names if old.get(name) != new.get(name)
    ]


def _moves(before: Mapping[str, Attributes], after: Mapping[str, Attributes]) -> list[Change]:
    """Return the records whose common fields stand in another order: it is the order of their bytes."""
    found = []
    for record in (place for place in after if place in before and "." not in place):
        orders = [
            [p.partition(".")[2] for p in side if p.startswith(f"{record}.") and p in other]
            for side, other in ((before, after), (after, before))
        ]
        if orders[0] != orders[1]:
            found.append(Change(record, ORDER, ", ".join(orders[0]), ", ".join(orders[1])))
    return found
