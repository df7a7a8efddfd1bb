"""Quix Streams: ``python -m benchmarks.peers.quix_streams TOPIC EVENTS DATABASE_URL``.

Its own PostgreSQL sink; for SQLite, which it has none for, a batching sink as its documentation tells to write one.
Repeated records are ignored by their key. All else is its default: a checkpoint every five seconds.
"""

import os
import sys
import tempfile
from typing import Any
from urllib.parse import urlsplit

from quixstreams import Application, message_context
from quixstreams.models import SchemaRegistryClientConfig
from quixstreams.models.serializers.avro import AvroDeserializer
from quixstreams.sinks import BatchingSink, SinkBatch
from quixstreams.sinks.community.postgresql import PostgreSQLSink

from benchmarks.bare import connect
from benchmarks.peers.rows import NAMES, row


class SQLiteSink(BatchingSink):  # type: ignore[misc]
    """Writes a batch in one transaction."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._connection, self._statement, self._moment = connect(url)

    def write(self, batch: SinkBatch) -> None:
        """Insert the batch's rows."""
        moments = ("occurred_at", "stored_at")
        rows = [item.value | {name: self._moment(item.value[name]) for name in moments} for item in batch]
        values = [tuple(row[name] for name in NAMES) for row in rows]
        self._connection.executemany(f"{self._statement} ON CONFLICT DO NOTHING", values)
        self._connection.commit()


def run(topic: str, events: int, url: str) -> None:
    """Move ``events`` records of the topic into ``journey_events``."""
    with tempfile.TemporaryDirectory() as state:
        application = Application(
            broker_address=os.environ["KAFKAJOURNEY_BOOTSTRAP_SERVERS"],
            consumer_group=f"quix-{os.getpid()}",
            auto_offset_reset="earliest",
            state_dir=state,
            loglevel="WARNING",
        )
        registry = SchemaRegistryClientConfig(url=os.environ["KAFKAJOURNEY_SCHEMA_REGISTRY_URL"])
        source = application.topic(topic, value_deserializer=AvroDeserializer(schema_registry_client_config=registry))
        application.dataframe(source).apply(_row).sink(_sink(url))
        application.run(count=events, collect=False)


def _row(event: dict[str, Any]) -> dict[str, Any]:
    place = message_context()
    return row(place.topic, place.partition, place.offset, event)


def _sink(url: str) -> BatchingSink:
    if url.startswith("sqlite"):
        return SQLiteSink(url)
    address = urlsplit(url)
    return PostgreSQLSink(
        host=address.hostname,
        port=address.port,
        dbname=address.path.removeprefix("/"),
        user=address.username,
        password=address.password,
        table_name="journey_events",
        schema_auto_update=False,
        include_metadata=False,
        on_conflict_do_nothing=True,
    )


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), sys.argv[3])
