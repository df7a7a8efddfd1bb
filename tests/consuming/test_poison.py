"""Poison: records that cannot be stored, in between good ones, through a running consumer.

Of each kind: the dead letter has the raw bytes and the reason, and the records before and after it are stored.
"""

import io
import json
import struct
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema

from kafkajourney.avro.catalogue import load
from kafkajourney.consuming import dead_letters
from kafkajourney.embedded.stack import embedded_stack, environment
from kafkajourney.kafka import clients
from kafkajourney.registry.client import Registry
from kafkajourney.settings import Settings
from tests.support.pipeline import rows
from tests.support.processes import Commands, end_all
from tests.support.raw import produce_with_header

pytestmark = pytest.mark.stack

VIDEO = load()["VideoPlayed"].newest
EVENT = {
    "event_id": uuid.UUID(int=1),
    "user_id": "ada",
    "session_id": "ada-1",
    "page_url": "https://shop.example.com/",
    "occurred_at": datetime(2026, 1, 1, tzinfo=UTC),
    "video_id": "tour",
    "position_seconds": 1.0,
    "playback_rate": 1.0,
}


def avro(schema: Any, value: Any) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), value)
    return body.getvalue()


def loosened(**types: str) -> Any:
    """Return VideoPlayed with other types in some fields, to write what its own schema would not let through."""
    fields = [field | {"type": types.get(field["name"], field["type"])} for field in VIDEO.definition["fields"]]
    return VIDEO.definition | {"fields": fields}


BODY = avro(VIDEO.definition, EVENT)
LOOSE = loosened(event_id="string", user_id="bytes", occurred_at="long")
LOOSE_EVENT = EVENT | {"event_id": str(EVENT["event_id"]), "user_id": b"ada", "occurred_at": 0}


class Ids(NamedTuple):
    """Schema ids in the registry."""

    video: int
    text: int
    no_event: int
    union: int
    recursive: int
    empty_items: int


def poisons(ids: Ids) -> dict[str, tuple[bytes | None, str]]:
    """Return every kind of poison with a part of its reason."""

    def wire(schema_id: int, body: bytes) -> bytes:
        return struct.pack(">bI", 0, schema_id) + body

    def loose(**changes: Any) -> bytes:
        return wire(ids.video, avro(LOOSE, LOOSE_EVENT | changes))

    return {
        "empty": (b"", "0 bytes are too few"),
        "one byte": (b"\0", "1 bytes are too few"),
        "half a header": (b"\0\0\0", "3 bytes are too few"),
        "text": (b"hello, world", "not the magic byte 0"),
        "JSON": (json.dumps({"type": "VideoPlayed"}).encode(), "not the magic byte 0"),
        "another magic byte": (b"\x01" + wire(ids.video, BODY)[1:], "not the magic byte 0"),
        "an unknown schema id": (wire(999_999, BODY), "schema id 999999 is not in the registry"),
        "schema id 0": (wire(0, BODY), "schema id 0 is not in the registry"),
        "no body": (wire(ids.video, b""), "truncated"),
        "half a body": (wire(ids.video, BODY[: len(BODY) // 2]), "truncated"),
        "all but the last byte": (wire(ids.video, BODY[:-1]), "truncated"),
        "a byte too many": (wire(ids.video, BODY + b"\0"), "1 bytes are left over"),
        "the body twice": (wire(ids.video, BODY + BODY), "bytes are left over"),
        "a length of nonsense": (wire(ids.video, b"\xfe" * 9 + b"\x01" + BODY), "truncated"),
        "an id that is no UUID": (loose(event_id="not-a-uuid"), "badly formed hexadecimal UUID"),
        "text that is not UTF-8": (loose(user_id=b"\xff\xfe"), "can't decode byte 0xff"),
        "a time beyond all years": (loose(occurred_at=2**62), "Overflow"),
        "a record that is a text": (wire(ids.text, avro("string", "hello")), "is no record but string"),
        "a record that is no event": (wire(ids.no_event, avro(NO_EVENT, {"temperature": 7})), "it has no event_id"),
        "a union without such a branch": (wire(ids.union, b"\x7e" + BODY), "no branch of its union of 6 types"),
        "a recursive type": (wire(ids.recursive, b"\x02" * 3000 + b"\x00"), "is recursive"),
        "an array of nothing": (wire(ids.empty_items, BODY), "an array has items that take no bytes"),
        "the wrong branch of a union": (wire(ids.union, b"\x00" + BODY), "ButtonClicked"),
    }


NO_EVENT = {"type": "record", "name": "Measured", "fields": [{"name": "temperature", "type": "int"}]}
RECURSIVE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
EMPTY_ITEMS = {
    "type": "record",
    "name": "Empty",
    "fields": [{"name": "items", "type": {"type": "array", "items": "null"}}],
}
KINDS = list(poisons(Ids(1, 2, 3, 4, 5, 6)))


class Outcome(NamedTuple):
    """What a consumer made of good and poison records in turn, all in one partition."""

    poison: dict[str, tuple[bytes | None, str]]
    letters: dict[int, Any]
    """Dead letters by the offset of their record."""
    stored: set[int]
    """Offsets of stored records."""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("poison")
    with embedded_stack(folder) as stack:
        poison = poisons(registered(stack))
        produce(stack, poison)
        commands = Commands(folder, environment(stack))
        commands.run("consumers.journey", "--until-caught-up")
        commands.run("consumers.analytic", "--until-caught-up")
        assert "missing 0, duplicates 0" in commands.run("kafkajourney", "verify")
        end_all(commands)
        reader = clients.reader(stack)
        letters = {offset: message for (_, offset), message in dead_letters.kept(reader, stack, "journey")}
        reader.close()
        stored = {offset for (offset,) in rows(stack, 'SELECT "offset" FROM journey_events')}
        yield Outcome(poison, letters, stored)


def registered(stack: Settings) -> Ids:
    registry = Registry(stack)
    with registry.client:
        return Ids(
            registry.client.lookup_schema(VIDEO.subject, Schema(VIDEO.text, "AVRO")).schema_id or 0,
            registry.register("text", Schema('"string"', "AVRO")),
            registry.register("Measured", Schema(json.dumps(NO_EVENT), "AVRO")),
            registry.client.get_latest_version(f"{stack.topic}-value").schema_id or 0,
            registry.register("Node", Schema(json.dumps(RECURSIVE), "AVRO")),
            registry.register("Empty", Schema(json.dumps(EMPTY_ITEMS), "AVRO")),
        )


def produce(stack: Settings, poison: dict[str, tuple[bytes | None, str]]) -> None:
    """Produce a good record, then each poison with a good record after it."""
    good = struct.pack(">bI", 0, registered(stack).video) + BODY
    producer = Producer({"bootstrap.servers": stack.bootstrap_servers})
    for value in [good, *(v for bad, _ in poison.values() for v in (bad, good))]:
        producer.produce(stack.topic, key=b"ada", value=value, partition=0, headers=[("origin", b"test")])
    assert producer.flush(30) == 0


def test_there_are_enough_kinds() -> None:
    assert len(KINDS) >= 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_poison_record_is_set_aside_as_it_is_and_its_neighbours_are_stored(outcome: Outcome, kind: str) -> None:
    offset = 1 + 2 * KINDS.index(kind)
    raw, reason = outcome.poison[kind]
    letter = outcome.letters[offset]
    header = dict(letter.headers())
    assert letter.value() == raw
    assert letter.key() == b"ada"
    assert header["origin"] == b"test"
    assert reason in header["kafkajourney.reason"].decode()
    assert header["kafkajourney.error"] == b"DecodeError"
    assert header["kafkajourney.topic"] == b"user-journey"
    assert offset not in outcome.stored
    assert {offset - 1, offset + 1} <= outcome.stored


def test_nothing_else_is_set_aside(outcome: Outcome) -> None:
    assert sorted(outcome.letters) == [1 + 2 * n for n in range(len(KINDS))]


def test_a_header_whose_name_is_no_utf8_ends_nobody(tmp_path: Path) -> None:
    """Other clients send any bytes as a name; this one cannot hand out the headers of such a record."""
    with embedded_stack(tmp_path) as stack:
        good = struct.pack(">bI", 0, registered(stack).video) + BODY
        for value in (good, b"poison", good):
            produce_with_header(stack, 0, b"ada", value, b"\xff\xfeid")
        commands = Commands(tmp_path, environment(stack) | {"OTEL_TRACES_EXPORTER": "console"})
        for group in ("journey", "analytic"):
            commands.run(f"consumers.{group}", "--until-caught-up")
        assert "verified: everything on the topic is in the tables, once, in order, but for 1 dead" in commands.run(
            "kafkajourney", "verify"
        )
        assert "not the magic byte 0" in commands.run("kafkajourney", "dlq", "show", "journey", "0", "1")
        end_all(commands)
