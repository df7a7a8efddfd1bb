"""Who reads whom: the verdicts of Java's SchemaCompatibility, and sentences that a person can act on."""

import json
from typing import Any

import pytest

from kafkajourney.avro.catalogue import load
from kafkajourney.avro.compatibility import Level, SchemaInvalidError, check, findings, parse


def record(*fields: Any, name: str = "R", **rest: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **rest}


def field(name: str, type_: Any = "int", **rest: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **rest}


def enum(*symbols: str, name: str = "E", **rest: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **rest}


def fixed(size: int, name: str = "F", **rest: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **rest}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def tree(value: str) -> dict[str, Any]:
    return record(field("value", value), field("children", array("R")))


def logical(type_: str, logical_type: str) -> dict[str, Any]:
    return {"type": type_, "logicalType": logical_type}


PAIRS: dict[str, tuple[Any, Any, tuple[bool, bool]]] = {
    # name: (a, b, (whether a reads what b wrote, whether b reads what a wrote))
    "int and long": ("long", "int", (True, False)),
    "int and float": ("float", "int", (True, False)),
    "int and double": ("double", "int", (True, False)),
    "long and float": ("float", "long", (True, False)),
    "long and double": ("double", "long", (True, False)),
    "float and double": ("double", "float", (True, False)),
    "string and bytes": ("string", "bytes", (True, True)),
    "string and int": ("string", "int", (False, False)),
    "boolean and int": ("boolean", "int", (False, False)),
    "field with default": (record(field("a"), field("b", default=1)), record(field("a")), (True, True)),
    "field without default": (record(field("a"), field("b")), record(field("a")), (False, True)),
    "null as default": (record(field("a", ["null", "int"], default=None)), record(), (True, True)),
    "other order of fields": (record(field("a"), field("b")), record(field("b"), field("a")), (True, True)),
    "renamed field": (record(field("b")), record(field("a")), (False, False)),
    "renamed field with alias": (record(field("b", aliases=["a"])), record(field("a")), (True, False)),
    "alias beside the name": (record(field("b", aliases=["a"])), record(field("a"), field("b")), (False, False)),
    "field wider": (record(field("a", "double")), record(field("a", "int")), (True, False)),
    "nested record": (
        record(field("r", record(field("x", "long"), name="S"))),
        record(field("r", record(field("x", "int"), name="S"))),
        (True, False),
    ),
    "renamed record": (record(name="A"), record(name="B"), (False, False)),
    "renamed record with alias": (record(name="A", aliases=["B"]), record(name="B"), (True, False)),
    "alias in the namespace of its record": (
        record(name="A", namespace="x", aliases=["B"]),
        record(name="B", namespace="x"),
        (True, False),
    ),
    "alias in another namespace": (
        record(name="A", namespace="x", aliases=["y.B"]),
        record(name="B", namespace="x"),
        (False, False),
    ),
    "other namespace": (record(namespace="x"), record(namespace="y"), (True, True)),
    "enum with more symbols": (enum("P", "Q"), enum("P"), (True, False)),
    "enum with a default symbol": (enum("P", default="P"), enum("P", "Q"), (True, True)),
    "renamed enum": (enum("P"), enum("P", name="G"), (False, False)),
    "enum of a new field": (record(field("e", enum("P", default="P"))), record(), (False, True)),
    "fixed of other size": (fixed(4), fixed(8), (False, False)),
    "renamed fixed with alias": (fixed(4, aliases=["G"]), fixed(4, name="G"), (True, False)),
    "array items": (array("long"), array("int"), (True, False)),
    "map values": ({"type": "map", "values": "long"}, {"type": "map", "values": "int"}, (True, False)),
    "array and map": (array("int"), {"type": "map", "values": "int"}, (False, False)),
    "union with more branches": (["null", "string", "int"], ["null", "string"], (True, False)),
    "branches in other order": (["null", "string"], ["string", "null"], (True, True)),
    "union and one of its branches": (["null", "int"], "int", (True, False)),
    "union that the reader widens": ("long", ["int", "long"], (True, True)),
    "branch that reads by promotion": (["null", "double"], ["null", "int"], (True, False)),
    "recursion, wider": (tree("long"), tree("int"), (True, False)),
    "recursion, other type": (tree("string"), tree("int"), (False, False)),
    "logical type and none": (logical("long", "timestamp-millis"), "long", (True, True)),
    "unknown logical type": (logical("string", "no-such-type"), "string", (True, True)),
    "uuid on a fixed": (fixed(16, logicalType="uuid"), fixed(16), (True, True)),
    "error, which is a record": (record(field("a")) | {"type": "error"}, record(field("a")), (True, True)),
    "doc only": (record(field("a", doc="new"), doc="new"), record(field("a")), (True, True)),
}


@pytest.mark.parametrize(("a", "b", "reads"), PAIRS.values(), ids=PAIRS)
def test_verdict(a: object, b: object, reads: tuple[bool, bool]) -> None:
    first, second = parse(json.dumps(a)), parse(json.dumps(b))
    assert (not findings(first, second), not findings(second, first)) == reads


FINDINGS: dict[str, tuple[Any, Any, list[str]]] = {
    "missing default": (
        record(field("a"), field("b"), field("c")),
        record(field("a")),
        [
            "R.b: the reader needs this field, the writer does not have it; give it a default",
            "R.c: the reader needs this field, the writer does not have it; give it a default",
        ],
    ),
    "type": (
        record(field("a", "int")),
        record(field("a", "string")),
        ["R.a: the reader's int cannot read the writer's string"],
    ),
    "in an array": (
        record(field("a", array("int"))),
        record(field("a", array("string"))),
        ["R.a[]: the reader's int cannot read the writer's string"],
    ),
    "in a map": (
        {"type": "map", "values": "int"},
        {"type": "map", "values": "string"},
        ["map{}: the reader's int cannot read the writer's string"],
    ),
    "null": (
        record(field("a", "string")),
        record(field("a", ["null", "string"])),
        ["R.a: the reader's string cannot read the writer's null"],
    ),
    "branch": (
        [record(name="x.A"), "null"],
        [record(name="x.B"), "null"],
        ["union: the reader's union [x.A, null] has no branch for the writer's record x.B"],
    ),
    "inside a branch": (
        [record(field("a", "int")), "null"],
        [record(field("a", "long")), "null"],
        ["R.a: the reader's int cannot read the writer's long"],
    ),
    "name": (
        record(name="x.A"),
        record(name="x.B"),
        ["A: the writer calls it x.B, and the reader has no such alias"],
    ),
    "symbols": (enum("P"), enum("P", "Q", "S"), ["E: the reader's enum lacks Q, S and has no default symbol"]),
    "size": (fixed(4), fixed(8), ["F: the reader's size is 4, the writer's 8 bytes"]),
    "recursion": (tree("string"), tree("int"), ["R.value: the reader's string cannot read the writer's int"]),
}


@pytest.mark.parametrize(("reader", "writer", "expected"), FINDINGS.values(), ids=FINDINGS)
def test_sentence(reader: object, writer: object, expected: list[str]) -> None:
    assert findings(parse(json.dumps(reader)), parse(json.dumps(writer))) == expected


INVALID: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "Expecting property name"),
    "no schema": ("3", "Could not make an Avro Schema"),
    "unknown type": ('"strnig"', "strnig"),
    "unknown name": ('["x.A"]', "x.A"),
    "no fields": ('{"type": "record", "name": "R"}', "fields"),
    "field twice": (json.dumps(record(field("a"), field("a"))), "already in use"),
    "field without a name": (json.dumps(record({"type": "int"})), "non-empty name"),
    "name of a field": (json.dumps(record(field("a-b"))), "R.a-b is not a valid field name"),
    "name of a record": (json.dumps(record(name="a-b")), "a-b is not a valid"),
    "record twice": (json.dumps(record(field("a", record(name="S")), field("b", record(name="S")))), "already in use"),
    "branch twice": (json.dumps([record(), "R"]), "R is in a union 2 times"),
    "primitive twice": ('["int", "int"]', "int type already in Union"),
    "null for an int": (json.dumps(record(field("a", default=None))), "the default of R.a, null, is no int"),
    "true for an int": (json.dumps(record(field("a", default=True))), "the default of R.a, true, is no int"),
    "text for bytes or null": (json.dumps(record(field("a", ["null", "bytes"], default=1))), "union [null, bytes]"),
    "items": (json.dumps(record(field("a", array("int"), default=["x"]))), "is no array"),
    "symbol": (json.dumps(record(field("a", enum("P"), default="Q"))), "is no enum E"),
    "default symbol": (json.dumps(enum("P", default="Q")), "Q"),
    "incomplete record": (json.dumps(record(field("a", record(field("b"), name="S"), default={}))), "is no record S"),
    "aliases": ('{"type": "record", "name": "R", "aliases": "S", "fields": []}', "no list of names"),
}


@pytest.mark.parametrize(("text", "why"), INVALID.values(), ids=INVALID)
def test_invalid_schema(text: str, why: str) -> None:
    with pytest.raises(SchemaInvalidError) as raised:
        parse(text)
    assert str(raised.value).startswith("Not a valid Avro schema: ")
    assert why in str(raised.value)


@pytest.mark.parametrize(
    ("type_", "default"),
    [
        ("double", 1),
        ("bytes", "ÿ"),
        (["null", "int"], 1),
        (["null", "int"], None),
        (array("int"), [1, 2]),
        ({"type": "map", "values": "boolean"}, {"k": True}),
        (record(field("b", default=1), field("c"), name="S"), {"c": 2}),
        (enum("P"), "P"),
    ],
)
def test_valid_default(type_: object, default: object) -> None:
    parse(json.dumps(record(field("a", type_, default=default))))


def union(*records: dict[str, Any]) -> tuple[str, list[str]]:
    return json.dumps([r["name"] for r in records]), [json.dumps(r) for r in records]


A1, A2 = record(name="x.A"), record(field("n", default=0), name="x.A")
A_BROKEN = record(field("n"), name="x.A")
B1 = record(field("a", "x.A"), name="x.B")


@pytest.mark.parametrize(
    ("a", "b", "reads"),
    [
        (union(A1, B1), union(A1), (True, False)),
        (union(A2), union(A1), (True, True)),
        (union(A2, B1), union(A1, B1), (True, True)),
        (union(A_BROKEN, B1), union(A1, B1), (False, True)),
    ],
    ids=["added branch", "newer branch", "newer branch that is also nested", "broken branch"],
)
def test_union_with_references(a: tuple[str, list[str]], b: tuple[str, list[str]], reads: tuple[bool, bool]) -> None:
    first, second = parse(*a), parse(*b)
    assert (not findings(first, second), not findings(second, first)) == reads


def test_reference_is_checked_too() -> None:
    with pytest.raises(SchemaInvalidError, match="no int"):
        parse('["R"]', [json.dumps(record(field("a", default="x")))])


V1 = parse(json.dumps(record(field("a"))))
V2 = parse(json.dumps(record()))
V3 = parse(json.dumps(record(field("a", "string"))))


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Level.NONE, []),
        (Level.BACKWARD, ["the new schema cannot read v2: R.a: needs"]),
        (Level.FORWARD, []),
        (Level.FULL, ["the new schema cannot read v2: R.a: needs"]),
        (
            Level.BACKWARD_TRANSITIVE,
            ["the new schema cannot read v1: R.a: string int", "the new schema cannot read v2: R.a: needs"],
        ),
        (Level.FORWARD_TRANSITIVE, ["v1 cannot read the new schema: R.a: int string"]),
        (
            Level.FULL_TRANSITIVE,
            [
                "the new schema cannot read v1: R.a: string int",
                "v1 cannot read the new schema: R.a: int string",
                "the new schema cannot read v2: R.a: needs",
            ],
        ),
    ],
)
def test_level(level: Level, expected: list[str]) -> None:
    # v1 has an int, v2 has nothing, the new one has a string without a default.
    found = check(V3, {"v1": V1, "v2": V2}, level)
    assert len(found) == len(expected)
    for sentence, words in zip(found, expected, strict=True):
        place, _, rest = words.rpartition(": ")
        assert sentence.startswith(place)
        assert all(word in sentence for word in rest.split())


def test_first_version_is_compatible() -> None:
    assert all(check(V1, {}, level) == [] for level in Level)


@pytest.mark.parametrize("event_type", load().values(), ids=lambda event_type: event_type.name)
def test_every_event_type_evolves_fully(event_type: Any) -> None:
    versions = {f"v{v.version}": parse(v.text) for v in event_type.versions}
    newest = versions.popitem()[1]
    assert check(newest, versions, Level.FULL_TRANSITIVE) == []
