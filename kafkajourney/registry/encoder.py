"""From events to bytes, by confluent-kafka's AvroSerializer."""

import dataclasses
import json
from typing import Any

from confluent_kafka.schema_registry import Schema, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import MessageField, SerializationContext

from kafkajourney.avro.catalogue import Catalogue
from kafkajourney.errors import StopError
from kafkajourney.events import Event
from kafkajourney.registry.client import NotRegisteredError, Registry
from kafkajourney.registry.wire import HEADER


def _with_header(body: bytes, _context: SerializationContext, schema_id: SchemaId) -> bytes:
    """Return the wire format of a body; confluent-kafka's own function for it takes three times as long."""
    return HEADER.pack(0, schema_id.id) + body


class Encoder:
    """From an event of a generated class to bytes, by confluent-kafka's AvroSerializer.

    Schemas are only looked up, never registered: what producers write was registered in deployment. That the values
    fit the classes is up to whoever makes the events: Avro's writer takes some that do not.
    """

    def __init__(self, registry: Registry, catalogue: Catalogue, topic: str) -> None:
        self._context = SerializationContext(topic, MessageField.VALUE)
        self._serializers: dict[str, AvroSerializer] = {}
        for event_type in catalogue.values():
            newest = event_type.newest
            schema = Schema(newest.text, "AVRO")
            self._require(registry, newest.subject, newest.version, schema)
            self._serializers[event_type.name] = AvroSerializer(
                registry.client,
                schema,
                to_dict=_nested_fields if '"record"' in json.dumps(newest.definition["fields"]) else _fields,
                conf={
                    "auto.register.schemas": False,
                    # Named, since the default asks the registry for associations first.
                    "subject.name.strategy": record_subject_name_strategy,
                    "schema.id.serializer": _with_header,
                },
            )

    @staticmethod
    def _require(registry: Registry, subject: str, version: int, schema: Schema) -> None:
        try:
            registry.lookup(subject, schema)
        except NotRegisteredError as error:
            raise StopError(
                f"Version {version} of {subject} is not registered: {error}. Run: python -m schemas register"
            ) from error

    def __call__(self, event: Event) -> bytes:
        """Return the event in the Confluent wire format; raise ValueError or TypeError where a field does not fit."""
        value = self._serializers[type(event).__name__](event, self._context)
        assert value is not None  # noqa: S101 # None stands for a null event only
        return value


def _fields(event: Any, _context: SerializationContext) -> dict[str, Any]:
    fields: dict[str, Any] = vars(event)
    return fields


def _nested_fields(event: Any, _context: SerializationContext) -> dict[str, Any]:
    """Return the fields of an event that has records within; that takes its time."""
    nested: dict[str, Any] = dataclasses.asdict(event)
    return nested
