"""The limit of the same work in Python: a bare loop without guarantees, in a process of its own.

``python -m benchmarks.bare TOPIC EVENTS DATABASE_URL``: confluent-kafka's ``consume``, ``fastavro.schemaless_reader``,
the driver's executemany, a commit for each batch. No progress, no fence, no dead letters, no other version of a schema,
no type that it does not know, no outage.
"""

import io
import json
import os
import sqlite3
import struct
import sys
from datetime import UTC, datetime
from typing import Any

import fastavro
import psycopg
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient

BATCH = 2000
COLUMNS = (
    'topic, "partition", "offset", event_id, event_type, user_id, session_id, page_url, occurred_at, stored_at, payload'
)
COMMON = ("event_id", "user_id", "session_id", "page_url", "occurred_at")


def run(topic: str, events: int, url: str) -> None:
    """Move ``events`` records of the topic into ``journey_events``."""
    connection, statement, moment = connect(url)
    registry = SchemaRegistryClient({"url": os.environ["KAFKAJOURNEY_SCHEMA_REGISTRY_URL"], "timeout": 10})
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKAJOURNEY_BOOTSTRAP_SERVERS"],
            "group.id": f"bare-{os.getpid()}",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    schemas: dict[int, tuple[str, Any]] = {}
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    done = 0
    while done < events:
        messages = consumer.consume(BATCH, 0.1)
        now = moment(datetime.now(UTC))
        rows = []
        for message in messages:
            value: Any = message.value()
            (schema_id,) = struct.unpack_from(">I", value, 1)
            if schema_id not in schemas:
                definition = json.loads(registry.get_schema(schema_id).schema_str or "")
                schemas[schema_id] = definition["name"], fastavro.parse_schema(definition)
            name, schema = schemas[schema_id]
            body = io.BytesIO(value)
            body.seek(5)
            event: Any = fastavro.schemaless_reader(body, schema, None)
            common = [event.pop(name) for name in COMMON]
            occurred_at = moment(common.pop())
            place = (topic, message.partition(), message.offset())
            rows.append((*place, str(common[0]), name, *common[1:], occurred_at, now, encode(event)))
        connection.cursor().executemany(statement, rows)
        connection.commit()
        done += len(rows)
    consumer.close()


def connect(url: str) -> tuple[Any, str, Any]:
    """Return a connection, the statement, and how the driver wants its times."""
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        marks, moment = ", ".join("?" * 11), lambda m: m.replace(tzinfo=None).isoformat(" ", "microseconds")
    else:
        connection = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"))
        marks, moment = ", ".join(["%s"] * 11), lambda m: m.replace(tzinfo=None)
    return connection, f"INSERT INTO journey_events ({COLUMNS}) VALUES ({marks})", moment


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), sys.argv[3])
