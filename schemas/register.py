"""Putting the schema files into a registry: what is missing, in order of version, then the topic's union."""

import json
from collections.abc import Iterator

from confluent_kafka.schema_registry import Schema, SchemaReference

from kafkajourney.registry import Registry
from schemas.catalogue import EVENT_COMPATIBILITY, UNION_COMPATIBILITY, Catalogue, EventType


def union_subject(topic: str) -> str:
    """Return the topic's subject, under which Control Center shows the schema of its values."""
    return f"{topic}-value"


def union_schema(catalogue: Catalogue, versions: dict[str, int]) -> Schema:
    """Return the union of all event types, each by reference to a version (by subject) in the registry."""
    subjects = [event_type.subject for event_type in catalogue.values()]
    references = [SchemaReference(name=subject, subject=subject, version=versions[subject]) for subject in subjects]
    return Schema(json.dumps(subjects), "AVRO", references)


def register(registry: Registry, catalogue: Catalogue, topic: str) -> Iterator[tuple[str, int, int]]:
    """Register every version of every event type, then the topic's union; what is registered already stays.

    Yields (subject, version, schema id) for each. The levels are set first, so that the registry judges by them.
    Raises IncompatibleError where the registry refuses a schema, TransientError while it is away.
    """
    newest: dict[str, int] = {}
    for event_type in catalogue.values():
        for subject, version, schema_id in _register_type(registry, event_type):
            newest[subject] = version
            yield subject, version, schema_id
    subject = union_subject(topic)
    registry.set_level(subject, UNION_COMPATIBILITY)
    yield _register_one(registry, subject, union_schema(catalogue, newest))


def _register_type(registry: Registry, event_type: EventType) -> Iterator[tuple[str, int, int]]:
    registry.set_level(event_type.subject, EVENT_COMPATIBILITY)
    for version in event_type.versions:
        yield _register_one(registry, event_type.subject, Schema(version.text, "AVRO"))


def _register_one(registry: Registry, subject: str, schema: Schema) -> tuple[str, int, int]:
    schema_id = registry.register(subject, schema)
    return subject, registry.lookup(subject, schema), schema_id
