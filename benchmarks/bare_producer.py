"""The limit of producing in Python: a bare loop, in a process of its own.

``python -m benchmarks.bare_producer TOPIC EVENTS``: the simulator's events, ``fastavro.schemaless_writer``, one
``produce`` for each, with the same properties as our producer. No event is validated, no delivery is counted.
"""

import io
import json
import os
import struct
import sys
from itertools import islice
from typing import Any

import fastavro
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient

from producer.simulator import simulate

USERS, SEED = 1000, 7
PROPERTIES = {
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 20,
    "enable.idempotence": True,
    "acks": "all",
}


def run(topic: str, events: int) -> None:
    """Produce as many of the simulator's events."""
    registry = SchemaRegistryClient({"url": os.environ["KAFKAJOURNEY_SCHEMA_REGISTRY_URL"], "timeout": 10})
    producer = Producer(PROPERTIES | {"bootstrap.servers": os.environ["KAFKAJOURNEY_BOOTSTRAP_SERVERS"]})
    schemas: dict[type, tuple[bytes, Any]] = {}
    for event in islice(simulate(USERS, SEED), events):
        kind = type(event)
        if kind not in schemas:
            newest = registry.get_latest_version(f"kafkajourney.events.{kind.__name__}")
            definition = json.loads(newest.schema.schema_str or "")
            schemas[kind] = struct.pack(">bI", 0, newest.schema_id), fastavro.parse_schema(definition)
        header, schema = schemas[kind]
        body = io.BytesIO()
        body.write(header)
        fastavro.schemaless_writer(body, schema, vars(event))
        while True:
            try:
                producer.produce(topic, key=event.user_id.encode(), value=body.getvalue())
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
