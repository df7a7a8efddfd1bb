"""The style of most examples, and of the original application: AvroDeserializer, one insert and one commit an event.

``python -m benchmarks.per_event TOPIC EVENTS DATABASE_URL``
"""

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from sqlalchemy import create_engine, insert

from benchmarks.bare import COMMON
from consumers.journey.table import journey_events


def run(topic: str, events: int, url: str) -> None:
    """Move ``events`` records of the topic into ``journey_events``, one by one."""
    registry = SchemaRegistryClient({"url": os.environ["KAFKAJOURNEY_SCHEMA_REGISTRY_URL"], "timeout": 10})
    deserialize = AvroDeserializer(registry, conf={"use.latest.version": False})
    context = SerializationContext(topic, MessageField.VALUE)
    engine = create_engine(url)
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKAJOURNEY_BOOTSTRAP_SERVERS"],
            "group.id": f"per-event-{os.getpid()}",
            "auto.offset.reset": "earliest",
            "enable.auto.offset.store": False,
        }
    )
    consumer.subscribe([topic])
    done = 0
    while done < events:
        message = consumer.poll(1.0)
        if message is None:
            continue
        event: Any = deserialize(message.value(), context)
        row = {name: event.pop(name) for name in COMMON}
        row |= {"event_id": str(row["event_id"]), "occurred_at": row["occurred_at"].replace(tzinfo=None)}
        place = {"topic": topic, "partition": message.partition(), "offset": message.offset()}
        rest = {"event_type": "", "stored_at": datetime.now(UTC).replace(tzinfo=None), "payload": json.dumps(event)}
        with engine.begin() as connection:
            connection.execute(insert(journey_events), [place | row | rest])
        consumer.store_offsets(message)
        done += 1
    consumer.close()


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), sys.argv[3])
