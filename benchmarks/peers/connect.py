"""Kafka Connect, standalone, one task, with Debezium's JDBC sink and Apicurio's Avro converter.

Each event type goes to a table of its own: into one table the sink writes as many records at once as follow one
another with the same schema, which among mixed types is one or two. Rows are upserted by their place on the topic: with
plain inserts, what comes again after a crash is a duplicate key, which ends the task.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks import watch
from benchmarks.peers.install import connect_libraries, connect_plugins
from kafkajourney.avro.catalogue import load
from kafkajourney.settings import Settings
from kafkajourney.state import STATE_FOLDER
from tests.stack.download import java
from tests.stack.server import HOST, free_port

HEAP = ("-Xms256M", "-Xmx2G")
"""What connect-standalone.sh takes."""


def command(settings: Settings, _events: int) -> list[str]:
    """Return the command that starts it; its properties are written below the stack's folder."""
    folder = (STATE_FOLDER / "bench" / f"connect-{uuid4()}").absolute()
    folder.mkdir(parents=True)
    files = [
        _write(folder / "worker.properties", _worker(settings, folder)),
        _write(folder / "sink.properties", _sink(settings)),
    ]
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"
    libraries = f"{connect_libraries()}/*"
    return [java(), *HEAP, quiet, "-cp", libraries, "org.apache.kafka.connect.cli.ConnectStandalone", *map(str, files)]


def tables(_topic: str, ends: Mapping[int, int]) -> watch.Watch:
    """Watch the sink's tables, one for each event type; routed there, a record has its type's name for a topic."""
    names = [event_type.subject for event_type in load().values()]
    return watch.tables({name.replace(".", "_").lower(): name for name in names}, ends)


def _worker(settings: Settings, folder: Path) -> dict[str, str]:
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "listeners": f"http://{HOST}:{free_port()}",
        "offset.storage.file.filename": str(folder / "offsets"),
        "plugin.path": str(connect_plugins()),
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "io.apicurio.registry.utils.converter.AvroConverter",
        # The registry's own API. As Confluent's: 4 bytes of id after the magic byte.
        "value.converter.apicurio.registry.url": settings.schema_registry_url.replace("ccompat/v7", "registry/v2"),
        "value.converter.apicurio.registry.as-confluent": "true",
        "value.converter.apicurio.registry.use-id": "contentId",
        "value.converter.apicurio.registry.headers.enabled": "false",
    }


def _sink(settings: Settings) -> dict[str, str]:
    address = urlsplit(settings.database_url)
    return {
        "name": f"sink-{uuid4()}",  # its consumer group is named after it
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics": settings.topic,
        "connection.url": f"jdbc:postgresql://{address.hostname}:{address.port}{address.path}?reWriteBatchedInserts=true",
        "connection.username": address.username or "",
        "connection.password": address.password or "",
        "insert.mode": "upsert",
        "primary.key.mode": "kafka",
        "schema.evolution": "basic",
        "batch.size": "2000",
        "consumer.override.max.poll.records": "5000",
        "consumer.override.auto.offset.reset": "earliest",
        "transforms": "byType",
        "transforms.byType.type": "io.debezium.transforms.ContentBasedRouter",
        "transforms.byType.language": "jsr223.groovy",
        "transforms.byType.topic.expression": "valueSchema.name()",
    }


def _write(path: Path, properties: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()), encoding="utf-8")
    return path
