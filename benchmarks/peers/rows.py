"""What the Python peers share: Avro by confluent-kafka's own deserializer, and a row of ``journey_events``."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from benchmarks.bare import COMMON

NAMES = (
    *("topic", "partition", "offset", "event_id", "event_type", "user_id"),
    *("session_id", "page_url", "occurred_at", "stored_at", "payload"),
)


def deserializer(topic: str) -> Callable[[bytes | None], Any]:
    """Return what makes a dictionary of a record's value."""
    registry = SchemaRegistryClient({"url": os.environ["KAFKAJOURNEY_SCHEMA_REGISTRY_URL"], "timeout": 10})
    deserialize, context = AvroDeserializer(registry), SerializationContext(topic, MessageField.VALUE)
    return lambda value: deserialize(value, context)


def row(topic: str, partition: int, offset: int, event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as a row. Its type stays empty: the deserializer does not tell the record's name."""
    common = {name: event.pop(name) for name in COMMON}
    common |= {"event_id": str(common["event_id"]), "occurred_at": common["occurred_at"].replace(tzinfo=None)}
    place = {"topic": topic, "partition": partition, "offset": offset}
    rest = {"event_type": "", "stored_at": datetime.now(UTC).replace(tzinfo=None), "payload": json.dumps(event)}
    return place | common | rest
