"""Whether every version of a type reads what every other one wrote.

The topic's union is of the newest versions. With those reading all earlier ones it reads all earlier unions, unless
a type is gone (``schemas.checks.history``) or two of its types define the same name (``named_twice``).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from kafkajourney.avro.catalogue import EVENT_COMPATIBILITY, SchemaVersion
from kafkajourney.avro.changes import ADDED, REMOVED, SIZE, SYMBOLS, TYPE, Change, changes, places
from kafkajourney.avro.compatibility import Kind, Level, Reason, parse, reasons
from kafkajourney.schemas.checks.finding import Finding, versions_text

_LEVEL = Level(EVENT_COMPATIBILITY)
_BACKWARD, _FORWARD = "backward", "forward"


class _Break(NamedTuple):
    """What a new version breaks: in which direction, and together with which earlier version."""

    place: str
    problem: str
    advice: str
    direction: str
    earlier: int


def incompatible(versions: Sequence[SchemaVersion]) -> Iterator[Finding]:
    """Find what in a version breaks readers of it or of an earlier one; ``versions`` are one type's, oldest first."""
    for index, new in enumerate(versions):
        earlier = versions[:index] if _LEVEL.transitive else versions[max(index - 1, 0) : index]
        names = _renames(versions[index - 1], new) if index else {}
        breaks = sorted((b for old in earlier for b in _breaks(old, new, names)), key=lambda b: b[:3])
        for (place, problem, advice), group in groupby(breaks, key=lambda b: b[:3]):
            yield Finding(new.path, place, problem, _whom(new.version, list(group)), advice)


def renamed(versions: Sequence[SchemaVersion]) -> Iterator[Finding]:
    """Find versions that call the record otherwise than the first one does."""
    for version in versions[1:]:
        if version.name != versions[0].name:
            earlier = versions_text([v.version for v in versions if v.version < version.version])
            whom = f"readers of {earlier} take what writers of version {version.version} write for an unknown type"
            advice = f"Keep the name; for a new type run: python -m schemas new {version.name}"
            yield Finding(version.path, version.name, f"is called {versions[0].name} in version 1", whom, advice)


def unchanged(versions: Sequence[SchemaVersion]) -> Iterator[Finding]:
    """Find versions that say what the one before says: to a registry they would be one."""
    for old, new in pairwise(versions):
        if not changes(old.definition, new.definition):
            problem = f"says what version {old.version} says"
            whom = f"writers of version {new.version} would be taken for writers of version {old.version}"
            yield Finding(new.path, "the file", problem, whom, "Change it, or remove it with its examples.")


def other_meaning(versions: Sequence[SchemaVersion]) -> Iterator[Finding]:
    """Find fields whose logical type changed: no registry minds, and every reader takes one thing for another."""
    for old, new in pairwise(versions):
        before, after = _logical_types(old.definition), _logical_types(new.definition)
        for place in (place for place in after if place in before and before[place] != after[place]):
            alike = [v for v in versions if v.version <= old.version and place in _logical_types(v.definition)]
            earlier = versions_text([v.version for v in alike])
            problem = f"had the logical type {before[place]} and has {after[place]} now"
            whom = (
                f"readers of version {new.version} take what writers of {earlier} wrote for something else, and "
                f"readers of {earlier} what writers of version {new.version} write"
            )
            yield Finding(new.path, place, problem, whom, _ANOTHER_FIELD)


def named_twice(newest: Sequence[SchemaVersion]) -> Iterator[Finding]:
    """Find nested types that several event types define: the topic's union cannot have two of one name."""
    named = {v: [view[TYPE] for place, view in places(v.definition).items() if "." not in place] for v in newest}
    counts = Counter(name for names in named.values() for name in names)
    for version, names in named.items():
        for name in (name for name in names if counts[name] > 1):
            others = ", ".join(v.name for v in newest if v is not version and name in named[v])
            whom = f"the topic's union, which readers of all types share, cannot hold version {version.version}"
            advice = f"Give it a name of its own, such as {version.name}{name.rpartition('.')[2]}."
            yield Finding(version.path, f"the {name}", f"is defined in {others} too", whom, advice)


def _breaks(old: SchemaVersion, new: SchemaVersion, renames: Mapping[str, str]) -> Iterator[_Break]:
    schemas = [parse(json.dumps(version.definition)) for version in (old, new)]
    directions = []
    if _LEVEL.backward:
        directions.append((_BACKWARD, reasons(schemas[1], schemas[0])))
    if _LEVEL.forward:
        directions.append((_FORWARD, reasons(schemas[0], schemas[1])))
    for direction, found in directions:
        for reason in found:
            place = reason.where.rstrip("[]{}")
            if reason.kind is Kind.NEEDED:
                problem, advice = _missing(place, direction, new, renames)
            else:
                problem, advice = _changed(reason, place, old, new)
            yield _Break(place, problem, advice, direction, old.version)


def _whom(number: int, breaks: Sequence[_Break]) -> str:
    clauses = []
    if backward := sorted({b.earlier for b in breaks if b.direction == _BACKWARD}):
        clauses.append(f"readers of version {number} cannot read what writers of {versions_text(backward)} wrote")
    if forward := sorted({b.earlier for b in breaks if b.direction == _FORWARD}):
        clauses.append(f"readers of {versions_text(forward)} cannot read what writers of version {number} write")
    return ", and ".join(clauses)


_ANOTHER_FIELD = "Keep it as it was, and add another field with a default."


def _missing(place: str, direction: str, new: SchemaVersion, renames: Mapping[str, str]) -> tuple[str, str]:
    """Return that a field is new or gone, and what to do instead."""
    name = place.rpartition(".")[2]
    if direction == _BACKWARD:
        return "is new and has no default", f"Give it one: {_with_default(name, places(new.definition)[place][TYPE])}."
    if place in renames:
        problem = f"is gone and has no default (to a reader, a rename to {renames[place]} is a removal)"
        return problem, f"Keep {name}, add {renames[place]} beside it with a default, and let producers fill both."
    return "is gone and has no default", f"Keep {name}, and say in its doc where nobody fills it any more."


def _changed(reason: Reason, place: str, old: SchemaVersion, new: SchemaVersion) -> tuple[str, str]:
    """Return how a field changed, and what to do instead."""
    change = _change(place, old, new)
    if change is None:
        return f"does not fit: {reason.what}", _ANOTHER_FIELD
    if change.what == TYPE:
        return f"was {change.old} and is {change.new} now", _ANOTHER_FIELD
    growing = " (An enum that has a default symbol from the start may grow.)" if change.what == SYMBOLS else ""
    return f"had the {change.what} {change.old} and has {change.new} now", _ANOTHER_FIELD + growing


def _change(place: str, old: SchemaVersion, new: SchemaVersion) -> Change | None:
    """Return how the type of a field changed: its own, or that of a named type in it."""
    differences = changes(old.definition, new.definition)
    given = places(new.definition).get(place, {}).get(TYPE, "")
    own = [c for c in differences if c.place == place and c.what == TYPE]
    inner = [c for c in differences if c.what in (SYMBOLS, SIZE) and re.search(rf'\b{c.place}"', given)]
    return next(iter(own + inner), None)


def _with_default(name: str, given: str) -> str:
    """Return a field of this type with a default that fits, as JSON."""
    type_: Any = json.loads(given)
    rest = [branch for branch in (type_ if isinstance(type_, list) else [type_]) if branch != "null"]
    if any(isinstance(branch, str) and "." in branch for branch in rest):  # a named type, which is defined here
        return '"default": null, with "null" as the first of its types'
    return json.dumps({"name": name, "type": ["null", *rest], "default": None}, ensure_ascii=False)


def _renames(old: SchemaVersion, new: SchemaVersion) -> dict[str, str]:
    """Return the new names of fields that seem to be renamed: one gone, one new, of the same type."""
    differences = changes(old.definition, new.definition)
    gone, come = ([c.place for c in differences if c.what == what and "." in c.place] for what in (REMOVED, ADDED))
    if len(gone) != 1 or len(come) != 1:
        return {}
    alike = places(old.definition)[gone[0]][TYPE] == places(new.definition)[come[0]][TYPE]
    return {gone[0]: come[0].rpartition(".")[2]} if alike else {}


def _logical_types(definition: Any) -> dict[str, str]:
    """Return the logical types of every field, its branches and items included, as text."""
    return {
        place: ", ".join(_found(json.loads(view[TYPE]))) or "none"
        for place, view in places(definition).items()
        if "." in place
    }


def _found(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for branch in node:
            yield from _found(branch)
    elif isinstance(node, dict):
        if "logicalType" in node:
            details = [f"{key} {node[key]}" for key in ("precision", "scale") if key in node]
            yield " ".join([node["logicalType"], *details])
        for key in ("items", "values"):
            yield from _found(node.get(key))
