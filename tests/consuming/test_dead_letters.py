"""Dead letters as users meet them: set aside by the consumers, listed, shown, and replayed after a fix."""

import io
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema
from sqlalchemy import text

from kafkajourney.avro.catalogue import load
from kafkajourney.database import engines
from kafkajourney.registry.client import Registry
from kafkajourney.registry.wire import HEADER
from kafkajourney.settings import Settings
from tests.support.pipeline import rows, store_all
from tests.support.processes import Commands

pytestmark = [
    pytest.mark.stack,
    # Only there it is known beforehand which id the next schema will have.
    pytest.mark.parametrize("stack", ["embedded"], indirect=True),
]

COMING_ID = sum(len(event_type.versions) for event_type in load().values()) + 2
"""The id that the embedded registry will give to the next schema: it has all versions and the topic's union."""


def coming_schema() -> dict[str, Any]:
    """Return a version of VideoPlayed that is not registered yet."""
    newest = load()["VideoPlayed"].newest.definition
    return newest | {"fields": [*newest["fields"], {"name": "subtitles", "type": "boolean", "default": False}]}


def play(user_id: str) -> dict[str, Any]:
    return {
        "event_id": uuid.uuid4(),
        "user_id": user_id,
        "session_id": f"{user_id}-1",
        "page_url": "https://shop.example.com/",
        "occurred_at": datetime.now(UTC),
        "video_id": "tour",
        "position_seconds": 1.5,
        "playback_rate": 1.0,
        "subtitles": True,
    }


def encoded(event: dict[str, Any], schema_id: int) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(coming_schema()), event)
    return HEADER.pack(0, schema_id) + body.getvalue()


def produce(stack: Settings, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": stack.bootstrap_servers})
    for value in values:
        producer.produce(stack.topic, key=b"ada", value=value, partition=0, headers=[("traceparent", b"00-1")])
    assert producer.flush(30) == 0


def test_a_replayed_record_is_stored_and_counted_once(stack: Settings, commands: Commands) -> None:
    produce(stack, [encoded(play("ada"), COMING_ID) for _ in range(3)])
    commands.run("producer", "--rate", "0", "--count", "30")
    store_all(commands)
    listed = commands.run("kafkajourney", "dlq", "list")
    assert "6 dead letters" in listed
    assert f"schema id {COMING_ID} is not in the registry" in " ".join(listed.split())
    assert "3 dead letters" in commands.run(
        "kafkajourney", "dlq", "list", "--group", "analytic", "--reason", "SCHEMA ID"
    )
    assert "0 dead letters" in commands.run("kafkajourney", "dlq", "list", "--since", "2100-01-01")
    assert "missing 0" in commands.run("kafkajourney", "verify")

    refused = commands.run("kafkajourney", "dlq", "replay", code=1)
    assert f"[0] 0: still refused: schema id {COMING_ID} is not in the registry" in refused
    assert "0 of 6 dead letters are stored" in refused

    schema = Schema(json.dumps(coming_schema()), "AVRO")
    assert Registry(stack).register("kafkajourney.events.VideoPlayed", schema) == COMING_ID
    assert "1 of 1 dead letters are stored" in commands.run(
        "kafkajourney", "dlq", "replay", "--group", "analytic", "--place", "0", "1"
    )
    assert rows(stack, "SELECT plays FROM video_plays WHERE user_id = 'ada'") == [(1,)]
    assert "5 of 5 dead letters are stored" in commands.run("kafkajourney", "dlq", "replay")
    assert "0 of 0 dead letters are stored" in commands.run("kafkajourney", "dlq", "replay")
    assert "6 dead letters" in commands.run("kafkajourney", "dlq", "list", "--all")

    assert rows(stack, "SELECT plays FROM video_plays WHERE user_id = 'ada'") == [(3,)]
    query = """SELECT "offset", payload FROM journey_events WHERE user_id = 'ada' ORDER BY "offset" """
    stored = rows(stack, query)
    assert [offset for offset, _ in stored] == [0, 1, 2]
    assert json.loads(stored[0][1])["subtitles"] is True
    assert "produced 33, stored 33, missing 0" in commands.run("kafkajourney", "verify")


def test_a_dead_letter_is_shown_with_its_bytes_headers_and_reason(stack: Settings, commands: Commands) -> None:
    produce(stack, [b"\x01garbage"])
    store_all(commands)
    shown = commands.run("kafkajourney", "dlq", "show", "journey", "0", "0")
    assert b"\x01garbage".hex(" ") in shown
    assert "traceparent              00-1" in shown
    assert "kafkajourney.offset      0" in shown
    assert "not the magic byte 0" in shown
    assert "has no dead letter of [0] 7" in commands.run("kafkajourney", "dlq", "show", "journey", "0", "7", code=1)


def test_verify_finds_a_dead_letter_whose_bytes_are_lost(stack: Settings, commands: Commands) -> None:
    commands.run("producer", "--rate", "0", "--count", "5")
    store_all(commands)
    with engines.engine(stack).begin() as connection:
        place = connection.execute(text('SELECT "partition", "offset" FROM journey_events LIMIT 1')).one()
        values = {"p": place[0], "o": place[1]}
        connection.execute(text('DELETE FROM journey_events WHERE "partition" = :p AND "offset" = :o'), values)
        letter = "'journey', 'user-journey', :p, :o, 'why', '2026-01-01 00:00:00.000000', NULL"
        connection.execute(text(f"INSERT INTO dead_letters VALUES ({letter})"), values)
    assert "is not in its dead-letter topic" in commands.run("kafkajourney", "verify", code=1)
