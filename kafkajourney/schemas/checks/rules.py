"""What holds for each version by itself: names, the common fields, what a Python class can be made of."""

import keyword
import re
from collections.abc import Iterator

from dataclasses_avroschema import AvroModel

from kafkajourney import application
from kafkajourney.avro.catalogue import SchemaVersion
from kafkajourney.avro.changes import outline
from kafkajourney.events import COMMON_FIELDS, COMMON_TYPES
from kafkajourney.schemas.checks.finding import TODO, Finding

TYPE_NAME = re.compile(r"[A-Z][a-z0-9]*([A-Z][a-z0-9]*)*")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NDJSON_TYPE = "type"


def folder_name(name: str) -> str:
    """Return the folder of an event type: ``video_played`` for ``VideoPlayed``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def broken(version: SchemaVersion) -> Iterator[Finding]:
    """Find what is wrong with one version, whatever the others are."""
    yield from _names(version)
    yield from _common_fields(version)
    yield from _field_names(version)
    yield from _unwritten_docs(version)


def _names(version: SchemaVersion) -> Iterator[Finding]:
    namespace = version.definition.get("namespace")
    own = application.current().namespace
    if namespace != own or "." in version.name:
        whom = f"readers of {own} do not know what writers of version {version.version} write"
        advice = f'Write "name": "{version.name.rpartition(".")[2]}", "namespace": "{own}".'
        yield Finding(version.path, "the namespace", f"is {namespace or 'missing'}, not {own}", whom, advice)
    elif not TYPE_NAME.fullmatch(version.name):
        whom = f"readers and writers of version {version.version} have a class of this name"
        yield Finding(version.path, version.name, "is no name such as VideoPlayed", whom, "Write it in CamelCase.")
    elif folder_name(version.name) != version.path.parent.name:
        whom = f"readers of version {version.version} are told its name by the schema, people by the folder"
        advice = f"Name the folder {folder_name(version.name)}, or the record as before: a new name is a new type."
        yield Finding(version.path, version.name, f"is in the folder {version.path.parent.name}", whom, advice)


def _common_fields(version: SchemaVersion) -> Iterator[Finding]:
    fields = {field["name"]: field for field in version.definition["fields"]}
    whom = f"no reader takes what writers of version {version.version} write for an event"
    advice = f"Begin with {', '.join(COMMON_FIELDS)}, as `python -m schemas new` writes them."
    for name, expected in COMMON_TYPES.items():
        subject = f"{version.name}.{name}"
        if name not in fields:
            yield Finding(version.path, subject, "is missing, which every event has", whom, advice)
        elif outline(fields[name]["type"]) != expected or "default" in fields[name]:
            yield Finding(version.path, subject, "is not what it is in every other event", whom, advice)
    if set(COMMON_FIELDS) <= set(fields) and tuple(fields)[: len(COMMON_FIELDS)] != COMMON_FIELDS:
        yield Finding(version.path, version.name, "does not begin with the common fields in their order", whom, advice)


def _field_names(version: SchemaVersion) -> Iterator[Finding]:
    for name in version.own_fields:
        if why := _unusable(name):
            whom = f"readers and writers of version {version.version} have a class with this attribute"
            advice = "Choose another name, in snake_case."
            yield Finding(version.path, f"{version.name}.{name}", f"cannot be called so ({why})", whom, advice)


def _unusable(name: str) -> str | None:
    if not _FIELD_NAME.fullmatch(name):
        return "not in snake_case"
    if keyword.iskeyword(name):
        return "a word of Python's own"
    if hasattr(AvroModel, name):
        return "the generated class has a method of this name"
    return "an NDJSON line has the event's type there" if name == _NDJSON_TYPE else None


def _unwritten_docs(version: SchemaVersion) -> Iterator[Finding]:
    described = {version.name: version.definition}
    described |= {f"{version.name}.{field['name']}": field for field in version.definition["fields"]}
    for subject, node in described.items():
        if str(node.get("doc", "")).startswith(TODO):
            whom = f"readers of version {version.version} have to guess what writers mean"
            yield Finding(
                version.path, subject, "has a doc that is still to be written", whom, 'Say in its "doc" what it means.'
            )
