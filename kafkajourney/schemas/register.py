"""Putting the schema files into a registry: what is missing, in order of version, then the topic's union."""

import json
from collections.abc import Iterator

from confluent_kafka.schema_registry import Schema, SchemaReference

from kafkajourney.avro.catalogue import EVENT_COMPATIBILITY, UNION_COMPATIBILITY, Catalogue, EventType, SchemaVersion
from kafkajourney.errors import StopError
from kafkajourney.registry.client import IncompatibleError, NotRegisteredError, Registry
from kafkajourney.registry.subjects import union_subject
from kafkajourney.schemas.checks.finding import shown


def union_schema(catalogue: Catalogue, versions: dict[str, int]) -> Schema:
    """Return the union of all event types, each by reference to a version (by subject) in the registry."""
    names = [event_type.subject for event_type in catalogue.values()]
    references = [SchemaReference(name=name, subject=name, version=versions[name]) for name in names]
    return Schema(json.dumps(names), "AVRO", references)


def register(registry: Registry, catalogue: Catalogue, topic: str) -> Iterator[tuple[str, int, int]]:
    """Register every version of every event type, then the topic's union; what is registered already stays.

    Yields (subject, version, schema id) for each. The levels are set first, so that the registry judges by them.
    Two at once end with what one alone would have made: each call says what shall be, not what to do.
    Raises IncompatibleError where the registry refuses a schema, TransientError while it is away.
    """
    newest: dict[str, int] = {}
    for event_type in catalogue.values():
        for subject, version, schema_id in _register_type(registry, event_type):
            newest[subject] = version
            yield subject, version, schema_id
    subject = union_subject(topic)
    _set_level(registry, subject, UNION_COMPATIBILITY)
    yield _register_one(registry, subject, union_schema(catalogue, newest))


def _register_type(registry: Registry, event_type: EventType) -> Iterator[tuple[str, int, int]]:
    _set_level(registry, event_type.subject, EVENT_COMPATIBILITY)
    registered = registry.versions(event_type.subject)
    for version in event_type.versions:
        schema = Schema(version.text, "AVRO")
        if version.version in registered:
            _require(registry, version, schema)
        try:
            yield _register_one(registry, event_type.subject, schema)
        except IncompatibleError as error:
            raise IncompatibleError(f"{shown(version.path)}: {error} Run: python -m schemas check") from error


def _require(registry: Registry, version: SchemaVersion, schema: Schema) -> None:
    """Raise StopError where the registry has another schema as this version: it would get this one as a newer one."""
    try:
        registry.lookup(version.subject, schema)
    except NotRegisteredError as error:
        raise StopError(
            f"{shown(version.path)}: the registry has another version {version.version} of {version.subject}. Restore "
            f"the file; for a change run: python -m schemas evolve {version.name}"
        ) from error


def _register_one(registry: Registry, subject: str, schema: Schema) -> tuple[str, int, int]:
    schema_id = registry.register(subject, schema)
    return subject, registry.lookup(subject, schema), schema_id


def _set_level(registry: Registry, subject: str, level: str) -> None:
    if registry.level(subject) == level:
        return
    try:
        registry.set_level(subject, level)
    except IncompatibleError:
        # Apicurio answers 409 where another process set the first level of a subject at the same moment.
        if registry.level(subject) != level:
            raise
