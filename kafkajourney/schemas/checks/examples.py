"""That every version has examples, which are valid by it and come back from bytes as they went in."""

import io
import json
from collections.abc import Iterator
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.validation import ValidationError, validate

from kafkajourney import application
from kafkajourney.avro.catalogue import SchemaVersion
from kafkajourney.avro.examples import native
from kafkajourney.schemas.checks.finding import Finding


def bad_examples(version: SchemaVersion) -> Iterator[Finding]:
    """Find examples that are missing, invalid or do not survive the way to bytes and back."""
    whom = f"readers and writers of version {version.version} are tested with it"
    path = version.examples_path
    if not path.exists() or not path.read_text(encoding="utf-8").strip():
        advice = "Write a JSON record a line, as the other types have it."
        yield Finding(path, "the file", "with examples is missing or empty", whom, advice)
        return
    schema: Any = parse_schema(version.definition)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if why := _unfit(schema, version.definition, line):
            yield Finding(path, f"line {number}", why, whom, "Correct the example.")


def _unfit(schema: Any, definition: Any, line: str) -> str | None:
    try:
        written = json.loads(line)
        if why := _other_fields(definition, written):
            return why
        example = native(definition, written)
        validate(example, schema)
    except ValidationError as error:
        return f"does not fit: {_first(error)}"
    except ValueError as error:
        return f"cannot be read: {error}"
    encoded = _encoded(schema, example)
    # Compared as bytes: a 32 bit float comes back as another Python float.
    again = _encoded(schema, schemaless_reader(io.BytesIO(encoded), schema, None))
    return None if again == encoded else "comes back from bytes as something else"


def _other_fields(definition: Any, written: Any) -> str | None:
    """Return which fields an example lacks or has too many; fastavro is lax there."""
    if not isinstance(written, dict):
        return "is no JSON object"
    known = {field["name"] for field in definition["fields"]}
    if missing := sorted(known - written.keys()):
        return f"lacks {', '.join(missing)}"
    if unknown := sorted(written.keys() - known):
        return f"has {', '.join(unknown)}, which the version does not have"
    return None


def _encoded(schema: Any, record: Any) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, schema, record)
    return stream.getvalue()


def _first(error: ValidationError) -> str:
    """Return what is wrong with the first field that does not fit; a union has an error for each branch."""
    first = error.errors[0]
    expected = [_type_name(e.schema) for e in error.errors if e.field == first.field]
    field = first.field.removeprefix(f"{application.current().namespace}.")
    return f"{field} is {first.datum!r}, not {' or '.join(expected)}"


def _type_name(schema: Any) -> str:
    match schema:
        case {"logicalType": str(name)} | {"name": str(name)} | {"type": str(name)}:
            return name
    return str(schema)
