"""Whether a reader's Avro schema can read what a writer's schema wrote, and if not, why not.

Pure. The verdict is Apache's own: ``avro.compatibility``, a port of the Java class that Confluent's registry
asks. What differs from Java is mended in ``_Checker``, ``_plain``, ``_qualify_aliases`` and ``_defects``. It
loses the order and the places of what it finds, so the sentences are made by walking along where it says no.
fastavro, which decodes the records, has no such judge: it resolves as it reads.

https://avro.apache.org/docs/1.12.0/specification/#schema-resolution
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from avro import compatibility as apache
from avro.errors import AvroException
from avro.name import Names
from avro.schema import (
    ArraySchema,
    EnumSchema,
    Field,
    FixedSchema,
    MapSchema,
    NamedSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    make_avsc_object,
)


class SchemaInvalidError(ValueError):
    """The text is no Avro schema: ``str(error)`` says what is wrong with it."""


class Level(StrEnum):
    """Confluent's compatibility levels: who has to read whom when a schema gets a new version."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def backward(self) -> bool:
        """Whether the new version has to read what earlier ones wrote."""
        return self.startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        """Whether earlier versions have to read what the new one writes."""
        return self.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        """Whether every earlier version counts, not only the latest."""
        return self.endswith("TRANSITIVE")


def parse(text: str, references: Sequence[str] = ()) -> Schema:
    """Return the Avro schema that ``text`` defines.

    Parameters
    ----------
    text
        The schema's JSON.
    references
        The schemas whose named types ``text`` uses, each after those that it uses itself.

    Raises
    ------
    SchemaInvalidError
        If one of them is malformed, a name is unknown or defined twice, or a default does not fit its field.

    """
    names = Names()
    for reference in references:
        _read(reference, names)
    schema = _read(text, names)
    for named in names.names.values():
        _qualify_aliases(named)
    if defects := list(_defects(schema, set())):
        raise SchemaInvalidError(f"Not a valid Avro schema: {'; '.join(defects)}.")
    return schema


def check(new: Schema, earlier: Mapping[str, Schema], level: Level) -> list[str]:
    """Return why ``level`` does not allow ``new`` to follow the earlier versions; empty if it does.

    Parameters
    ----------
    new
        The schema that would become the next version.
    earlier
        The versions so far, oldest first, each under the name that the findings call it by.
    level
        BACKWARD: ``new`` reads the latest; FORWARD: the latest reads ``new``; FULL: both;
        the TRANSITIVE ones: with every version in the latest's place.

    """
    labels = list(earlier) if level.transitive else list(earlier)[-1:]
    found: list[str] = []
    for label in labels:
        if level.backward:
            found += [f"the new schema cannot read {label}: {why}" for why in findings(new, earlier[label])]
        if level.forward:
            found += [f"{label} cannot read the new schema: {why}" for why in findings(earlier[label], new)]
    return found


def findings(reader: Schema, writer: Schema) -> list[str]:
    """Return why ``reader`` cannot read what ``writer`` wrote, a sentence each; empty if it can."""
    return list(dict.fromkeys(_reasons(reader, writer, getattr(reader, "name", reader.type), frozenset())))


class _Checker(apache.ReaderWriterCompatibilityChecker):
    """Apache's checker, but refusing as Java does to choose where both a field's name and alias match."""

    def check_reader_writer_record_fields(
        self, reader: RecordSchema, writer: RecordSchema, location: list[str]
    ) -> apache.SchemaCompatibilityResult:
        if any(len(_sources(field, writer)) > 1 for field in reader.fields):
            return apache.type_mismatch(reader, writer, location)
        return super().check_reader_writer_record_fields(reader, writer, location)


def _can_read(reader: Schema, writer: Schema) -> bool:
    result = _Checker().get_compatibility(reader, writer)  # type: ignore[no-untyped-call]
    return result.compatibility is apache.SchemaCompatibilityType.compatible


def _sources(field: Field, writer: RecordSchema) -> list[str]:
    """Return the writer's fields that this reader's field takes its value from, by name or by alias."""
    aliases = field.get_prop("aliases")
    names = [field.name, *dict.fromkeys(aliases if isinstance(aliases, list) else [])]
    return [name for name in names if name in writer.fields_dict]


_Pairs = frozenset[tuple[int, int]]  # the ids of readers and writers on the way here: recursion ends there


def _reasons(reader: Schema, writer: Schema, where: str, above: _Pairs) -> Iterator[str]:
    below = above | {(id(reader), id(writer))}
    if below == above or _can_read(reader, writer):
        return
    if isinstance(writer, UnionSchema):
        for branch in writer.schemas:
            yield from _reasons(reader, branch, where, below)
    elif isinstance(reader, UnionSchema):
        yield from _branch_reasons(reader, writer, where, below)
    elif isinstance(reader, RecordSchema) and isinstance(writer, RecordSchema):
        yield from _record_reasons(reader, writer, where, below)
    elif isinstance(reader, ArraySchema) and isinstance(writer, ArraySchema):
        yield from _reasons(reader.items, writer.items, f"{where}[]", below)
    elif isinstance(reader, MapSchema) and isinstance(writer, MapSchema):
        yield from _reasons(reader.values, writer.values, f"{where}{{}}", below)
    else:
        yield from _leaf_reasons(reader, writer, where)


def _branch_reasons(reader: UnionSchema, writer: Schema, where: str, above: _Pairs) -> Iterator[str]:
    """Say what is wrong with the branch that is meant, or that there is none."""
    meant = [branch for branch in reader.schemas if _same_name(branch, writer)]
    for branch in meant:
        yield from _reasons(branch, writer, where, above)
    if not meant:
        yield f"{where}: the reader's {_describe(reader)} has no branch for the writer's {_describe(writer)}"


def _record_reasons(reader: RecordSchema, writer: RecordSchema, where: str, above: _Pairs) -> Iterator[str]:
    yield from _name_reasons(reader, writer, where)
    for field in reader.fields:
        place = f"{reader.name}.{field.name}"
        sources = _sources(field, writer)
        if len(sources) > 1:
            yield f"{place}: its name and aliases match the writer's {', '.join(sources)}; only one may"
        elif sources:
            yield from _reasons(field.type, writer.fields_dict[sources[0]].type, place, above)
        elif not field.has_default:
            yield f"{place}: the reader needs this field, the writer does not have it; give it a default"


def _leaf_reasons(reader: Schema, writer: Schema, where: str) -> Iterator[str]:
    if isinstance(reader, EnumSchema) and isinstance(writer, EnumSchema):
        yield from _name_reasons(reader, writer, where)
        missing = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
        if missing and not reader.default:
            yield f"{where}: the reader's enum lacks {', '.join(missing)} and has no default symbol"
    elif isinstance(reader, FixedSchema) and isinstance(writer, FixedSchema):
        yield from _name_reasons(reader, writer, where)
        if reader.size != writer.size:
            yield f"{where}: the reader's size is {reader.size}, the writer's {writer.size} bytes"
    else:
        yield f"{where}: the reader's {_describe(reader)} cannot read the writer's {_describe(writer)}"


def _name_reasons(reader: NamedSchema, writer: NamedSchema, where: str) -> Iterator[str]:
    if not apache.schema_name_equals(reader, writer):
        yield f"{where}: the writer calls it {writer.fullname}, and the reader has no such alias"


def _same_name(reader: Schema, writer: Schema) -> bool:
    if not isinstance(reader, NamedSchema) or not isinstance(writer, NamedSchema):
        return False
    return reader.type == writer.type and apache.schema_name_equals(reader, writer)


def _describe(schema: Schema) -> str:
    if isinstance(schema, UnionSchema):
        return f"union [{', '.join(map(_name, schema.schemas))}]"
    return f"{schema.type} {schema.fullname}" if isinstance(schema, NamedSchema) else schema.type


def _name(schema: Schema) -> str:
    return schema.fullname if isinstance(schema, NamedSchema) else schema.type


def _read(text: str, names: Names) -> Schema:
    """Return one schema, with its named types added to ``names``."""
    try:
        return make_avsc_object(json.loads(text, object_hook=_plain), names)
    except (json.JSONDecodeError, AvroException, AttributeError, KeyError, TypeError) as error:
        raise SchemaInvalidError(f"Not a valid Avro schema: {str(error).rstrip('.')}.") from None


def _plain(node: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object without what resolution ignores and avro stumbles over.

    A logical type that avro does not know, or not on this type (a uuid on a fixed, new in Avro 1.12), is a
    warning; an ``error``, which Java takes for a record, is a type that its checker does not know.
    """
    aliases = node.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise TypeError(f"the aliases {aliases!r} are no list of names")
    plain = {key: value for key, value in node.items() if key != "logicalType"}
    return plain | {"type": "record"} if node.get("type") == "error" else plain


def _qualify_aliases(named: NamedSchema) -> None:
    """Give the aliases their namespace: avro compares them as written, so that ``A`` is never ``x.A``."""
    aliases = named.get_prop("aliases")
    if isinstance(aliases, list) and named.namespace:
        named.set_prop("aliases", [a if "." in a else f"{named.namespace}.{a}" for a in aliases])


def _defects(schema: Schema, seen: set[int]) -> Iterator[str]:
    """Find what Java's parser refuses and avro's does not: bad field names and defaults, a branch twice."""
    if id(schema) in seen:
        return
    seen.add(id(schema))
    if isinstance(schema, RecordSchema):
        for field in schema.fields:
            yield from _field_defects(field, f"{schema.name}.{field.name}")
    if isinstance(schema, UnionSchema):
        counts = Counter(map(_name, schema.schemas))
        yield from (f"{name} is in a union {count} times" for name, count in counts.items() if count > 1)
    for part in _parts(schema):
        yield from _defects(part, seen)


def _field_defects(field: Field, where: str) -> Iterator[str]:
    if not (field.name.isascii() and field.name.isidentifier()):
        yield f"{where} is not a valid field name"
    if field.has_default and not _fits(field.type, field.default):
        yield f"the default of {where}, {json.dumps(field.default)}, is no {_describe(field.type)}"


def _parts(schema: Schema) -> list[Schema]:
    if isinstance(schema, RecordSchema):
        return [field.type for field in schema.fields]
    if isinstance(schema, UnionSchema):
        return list(schema.schemas)
    part = schema.get_prop("items") or schema.get_prop("values")
    return [part] if isinstance(part, Schema) else []


def _fits(schema: Schema, value: object) -> bool:
    """Whether a default, as JSON has it, is a value of this schema."""
    match schema, value:
        case UnionSchema(), _:
            fits = any(_fits(branch, value) for branch in schema.schemas)
        case RecordSchema(fields=fields), dict():
            fits = all(_fits(f.type, value[f.name]) if f.name in value else f.has_default for f in fields)
        case ArraySchema(), list():
            fits = all(_fits(schema.items, item) for item in value)
        case MapSchema(), dict():
            fits = all(_fits(schema.values, item) for item in value.values())
        case Schema(type="bytes" | "fixed"), _:
            fits = isinstance(value, str)
        case _, bool():  # which is an int in Python
            fits = schema.type == "boolean"
        case _:
            fits = schema.validate(value) is not None
    return fits
