"""Avro schemas from their JSON text, refused where Java's parser refuses them.

Pure. avro's own parser is laxer and stumbles over some of what is valid: ``_plain``, ``_qualify_aliases`` and
``_defects`` mend that.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from avro.errors import AvroException
from avro.name import Names
from avro.schema import ArraySchema, Field, MapSchema, NamedSchema, RecordSchema, Schema, UnionSchema, make_avsc_object


class SchemaInvalidError(ValueError):
    """The text is no Avro schema: ``str(error)`` says what is wrong with it."""


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


def describe(schema: Schema) -> str:
    """Return what a type is called in a sentence: ``enum x.Kind``, ``union [null, string]``."""
    if isinstance(schema, UnionSchema):
        return f"union [{', '.join(map(name_of, schema.schemas))}]"
    return f"{schema.type} {schema.fullname}" if isinstance(schema, NamedSchema) else schema.type


def name_of(schema: Schema) -> str:
    """Return a named type's full name, of others what they are."""
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
        counts = Counter(map(name_of, schema.schemas))
        yield from (f"{name} is in a union {count} times" for name, count in counts.items() if count > 1)
    for part in _parts(schema):
        yield from _defects(part, seen)


def _field_defects(field: Field, where: str) -> Iterator[str]:
    if not (field.name.isascii() and field.name.isidentifier()):
        yield f"{where} is not a valid field name"
    if field.has_default and not _fits(field.type, field.default):
        yield f"the default of {where}, {json.dumps(field.default)}, is no {describe(field.type)}"


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
