"""Events to bytes and back, with the embedded registry over HTTP."""

import contextlib
import copy
import io
import json
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference
from fastavro import parse_schema, schemaless_writer
from hypothesis import example, given
from hypothesis import strategies as st

from kafkajourney.avro.catalogue import SchemaVersion, load
from kafkajourney.embedded.registry import RegistryServer
from kafkajourney.errors import DecodeError, StopError, TransientError
from kafkajourney.events import COMMON_FIELDS, Decoded, Event, UnknownEvent
from kafkajourney.registry.client import NotRegisteredError, Registry
from kafkajourney.registry.decoder import Decoder
from kafkajourney.registry.encoder import Encoder
from kafkajourney.schemas.register import register
from kafkajourney.settings import Settings
from schemas.events import EVENT_TYPES, SearchPerformed, VideoPlayed

pytestmark = pytest.mark.registry

TOPIC = "user-journey"
CATALOGUE = load()
VERSIONS = [version for event_type in CATALOGUE.values() for version in event_type.versions]
EXAMPLES = [(version, example) for version in VERSIONS for example in version.examples()]
VIDEO = CATALOGUE["VideoPlayed"].newest.definition
EVENT: dict[str, Any] = {
    "event_id": UUID("0190b5a2-7c1e-7d3a-9f64-000000000001"),
    "user_id": "user-0042",
    "session_id": "user-0042-3",
    "page_url": "https://shop.example.com/",
    "occurred_at": datetime(2026, 3, 14, 9, 26, 53, 589000, UTC),
}
PLAY = EVENT | {"video_id": "tour-1", "position_seconds": 12.5, "playback_rate": 1.75}


def label(value: object) -> str | None:
    return f"{value.name} v{value.version}" if isinstance(value, SchemaVersion) else None


def native(record: dict[str, Any]) -> dict[str, Any]:
    """Return an example record with the values that Avro's logical types stand for."""
    occurred_at = datetime.fromisoformat(record["occurred_at"])
    return record | {"event_id": UUID(record["event_id"]), "occurred_at": occurred_at}


def made(version: SchemaVersion, values: dict[str, Any]) -> Event:
    event_class = cast("Callable[..., Event]", EVENT_TYPES[version.subject])
    return event_class(**values)


def wire(schema_id: int, body: bytes = b"") -> bytes:
    return struct.pack(">bI", 0, schema_id) + body


def avro(schema: Any, record: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    schemaless_writer(file, parse_schema(copy.deepcopy(schema)), record)
    return file.getvalue()


def record_schema(*fields: Any, without: tuple[str, ...] = (), types: Any = None, **named: str) -> dict[str, Any]:
    """Return the schema of an event type: the common fields, some left out or of other types, and some more."""
    common = [f | {"type": (types or {}).get(f["name"], f["type"])} for f in VIDEO["fields"][:5]]
    kept = [field for field in common if field["name"] not in without]
    named = {"name": f"Zoomed{uuid4().hex}", "namespace": "kafkajourney.events"} | named
    return {"type": "record", **named, "fields": [*kept, *fields]}


def field(name: str, type_: Any, **rest: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **rest}


def with_types(schema: dict[str, Any], **types: Any) -> dict[str, Any]:
    return schema | {"fields": [f | {"type": types.get(f["name"], f["type"])} for f in schema["fields"]]}


def written_by(value: bytes) -> int:
    """Return the schema id in a record's bytes."""
    return int.from_bytes(value[1:5])


class Bench:
    """A registry with the project's schemas in it, and what talks to it."""

    def __init__(self, url: str) -> None:
        self.registry = Registry(Settings("localhost:1", url, "sqlite://", TOPIC), max_retries=0)
        done = list(register(self.registry, CATALOGUE, TOPIC))
        self.ids = {(subject, version): schema_id for subject, version, schema_id in done}
        self.union = self.ids["user-journey-value", 1]
        self.video = self.ids["kafkajourney.events.VideoPlayed", 2]
        self.encode = Encoder(self.registry, CATALOGUE, TOPIC)
        self.decode = self.decoder()

    def decoder(self, *wanted: str) -> Decoder:
        return Decoder(self.registry, CATALOGUE, EVENT_TYPES, wanted or None)

    def add(self, schema: Any, subject: str | None = None) -> int:
        """Register a schema, under a subject of its own unless one is given; return its id."""
        return self.registry.register(subject or f"other-{uuid4()}", Schema(json.dumps(schema), "AVRO"))

    def decoded(self, value: bytes | None) -> Decoded:
        decoded = self.decode(value)
        assert decoded is not None
        return decoded


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    """A bench for the tests that leave the project's own subjects as they are."""
    with RegistryServer() as server:
        yield Bench(server.url)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with RegistryServer() as server:
        yield Bench(server.url)


def served(monkeypatch: pytest.MonkeyPatch, bench: Bench, schema: Schema) -> Decoder:
    """Return a decoder for which the registry has this schema under every id."""
    monkeypatch.setattr(bench.registry.client, "get_schema", lambda _id: schema)
    return bench.decoder()


# --- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "example"), EXAMPLES, ids=label)
def test_every_example_comes_back_as_an_event(shared: Bench, version: SchemaVersion, example: dict[str, Any]) -> None:
    values = native(example)
    event = made(version, values)
    if version is CATALOGUE[version.name].newest:
        value = shared.encode(event)
        assert value == wire(shared.ids[version.subject, version.version], avro(version.definition, values))
    else:
        value = wire(shared.ids[version.subject, version.version], avro(version.definition, values))
    assert shared.decode(value) == Decoded(version.name, event, {}, written_by(value))


@pytest.mark.parametrize(("version", "example"), EXAMPLES, ids=label)
def test_a_record_of_the_topics_union_comes_back_as_an_event(
    shared: Bench, version: SchemaVersion, example: dict[str, Any]
) -> None:
    newest, values = CATALOGUE[version.name].newest, {"playback_rate": 1.0, **native(example)}
    index = list(CATALOGUE).index(version.name)
    value = wire(shared.union, bytes([2 * index]) + avro(newest.definition, values))
    fields = {name: values[name] for name in (*COMMON_FIELDS, *newest.own_fields)}
    assert shared.decode(value) == Decoded(version.name, made(version, fields), {}, written_by(value))


@given(
    user_id=st.text(max_size=20),
    query=st.text(max_size=20),
    results=st.integers(-(2**31), 2**31 - 1),
    event_id=st.uuids(),
    occurred_at=st.datetimes(timezones=st.just(UTC)),
)
def test_whatever_fits_the_fields_comes_back(shared: Bench, **values: Any) -> None:
    event = SearchPerformed(session_id="s", page_url="p", **values)
    millis = values["occurred_at"].microsecond // 1000 * 1000
    expected = SearchPerformed(**vars(event) | {"occurred_at": values["occurred_at"].replace(microsecond=millis)})
    value = shared.encode(event)
    assert shared.decode(value) == Decoded("SearchPerformed", expected, {}, written_by(value))


def test_the_first_version_of_a_play_has_the_normal_rate(shared: Bench) -> None:
    first = CATALOGUE["VideoPlayed"].versions[0]
    decoded = shared.decoded(wire(shared.ids[first.subject, 1], avro(first.definition, PLAY)))
    assert isinstance(decoded.event, VideoPlayed)
    assert decoded.event.playback_rate == 1.0
    assert decoded.extras == {}


def test_moments_come_back_in_utc_and_ids_as_uuids(shared: Bench) -> None:
    event = shared.decoded(wire(shared.video, avro(VIDEO, PLAY))).event
    assert event.occurred_at.tzinfo is UTC
    assert type(event.event_id) is UUID


# --- evolution -------------------------------------------------------------------------------------------------------


def test_a_newer_version_keeps_its_new_fields_as_extras(bench: Bench) -> None:
    device = field("device", ["null", "string"], default=None)
    levels = field("levels", {"type": "map", "values": "int"}, default={})
    third = VIDEO | {"fields": [device, *VIDEO["fields"], levels]}
    schema_id = bench.add(third, "kafkajourney.events.VideoPlayed")
    value = wire(schema_id, avro(third, PLAY | {"device": "tv", "levels": {"sound": 3}}))
    extras = {"device": "tv", "levels": {"sound": 3}}
    assert bench.decode(value) == Decoded("VideoPlayed", VideoPlayed(**PLAY), extras, written_by(value))
    assert type(bench.decoded(value).event) is VideoPlayed


def test_a_newer_version_is_resolved_where_a_field_was_left_out_moved_or_narrowed(bench: Bench) -> None:
    bench.registry.set_level("kafkajourney.events.VideoPlayed", "NONE")
    *others, position, _rate = with_types(VIDEO, position_seconds="int")["fields"]
    third = VIDEO | {"fields": [position, *others]}
    schema_id = bench.add(third, "kafkajourney.events.VideoPlayed")
    decoded = bench.decoded(wire(schema_id, avro(third, PLAY | {"position_seconds": 12})))
    assert decoded.event == VideoPlayed(**PLAY | {"position_seconds": 12.0, "playback_rate": 1.0})


@pytest.mark.parametrize(
    ("third", "words"),
    [
        (with_types(VIDEO, position_seconds="string"), "SchemaResolutionError.*string is not double"),
        (VIDEO | {"fields": [f for f in VIDEO["fields"] if f["name"] != "position_seconds"]}, "No default value for"),
    ],
    ids=["another type", "left out"],
)
def test_a_version_that_cannot_be_resolved_is_poison(bench: Bench, third: dict[str, Any], words: str) -> None:
    bench.registry.set_level("kafkajourney.events.VideoPlayed", "NONE")
    schema_id = bench.add(third, "kafkajourney.events.VideoPlayed")
    with pytest.raises(DecodeError, match=rf"no valid VideoPlayed: .*{words}"):
        bench.decode(wire(schema_id, avro(third, PLAY | {"position_seconds": "12"})))


def test_an_unknown_type_with_the_common_fields_is_an_event_with_extras(shared: Bench) -> None:
    schema = record_schema(field("level", "int"), field("at", {"type": "array", "items": "double"}), name="Zoomed")
    value = wire(shared.add(schema), avro(schema, EVENT | {"level": 3, "at": [0.5, 1.5]}))
    extras = {"level": 3, "at": [0.5, 1.5]}
    assert shared.decode(value) == Decoded("Zoomed", UnknownEvent(**EVENT), extras, written_by(value))


def test_an_unknown_type_may_have_its_fields_in_any_order(shared: Bench) -> None:
    schema = record_schema(field("level", "int"))
    schema["fields"].reverse()
    value = wire(shared.add(schema), avro(schema, EVENT | {"level": 3}))
    assert shared.decode(value) == Decoded(schema["name"], UnknownEvent(**EVENT), {"level": 3}, written_by(value))


def test_an_unknown_type_may_keep_its_id_in_plain_text_and_its_moment_in_microseconds(shared: Bench) -> None:
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    schema = record_schema(types={"event_id": "string", "occurred_at": micros})
    value = wire(shared.add(schema), avro(schema, EVENT | {"event_id": str(EVENT["event_id"])}))
    assert shared.decoded(value).event == UnknownEvent(**EVENT)


def test_an_unknown_type_without_the_common_fields_is_no_event(shared: Bench) -> None:
    schema = record_schema(without=("user_id", "occurred_at"), name="Zoomed", namespace="elsewhere")
    with pytest.raises(DecodeError, match=r"^elsewhere\.Zoomed is no event: it has no user_id, occurred_at$"):
        shared.decode(wire(shared.add(schema), avro(schema, EVENT)))


def test_an_unknown_type_whose_moment_is_none_is_no_event(shared: Bench) -> None:
    schema = record_schema(types={"occurred_at": "long"})
    with pytest.raises(DecodeError, match=r"occurred_at 5 is no timestamp-millis"):
        shared.decode(wire(shared.add(schema), avro(schema, EVENT | {"occurred_at": 5})))


@pytest.mark.parametrize("name", ["user_id", "session_id", "page_url"])
@pytest.mark.parametrize(
    ("type_", "value"), [("long", 7), (["null", "string"], None), ({"type": "map", "values": "int"}, {})]
)
def test_an_unknown_type_whose_common_fields_are_no_text_is_no_event(
    shared: Bench, name: str, type_: Any, value: Any
) -> None:
    schema = record_schema(types={name: type_})
    with pytest.raises(DecodeError, match=name):
        shared.decode(wire(shared.add(schema), avro(schema, EVENT | {name: value})))


# --- poison ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, r"^the value is null$"),
        (b"", r"^0 bytes are too few for the Confluent header of 5$"),
        (b"\x00", r"^1 bytes are too few"),
        (b"\x00\x00", r"^2 bytes are too few"),
        (b"\x00\x00\x00", r"^3 bytes are too few"),
        (b"\x00\x00\x00\x00", r"^4 bytes are too few"),
        (b"\x01\x00\x00\x00\x01", r"^the first byte is 1, not the magic byte 0"),
        (b"\xff\x00\x00\x00\x01", r"^the first byte is 255, not the magic byte 0"),
        (b'{"user_id": "u"}', r"^the first byte is 123, not the magic byte 0"),
        (wire(999_999), r"^schema id 999999 is not in the registry: .*40403"),
        (wire(0), r"^schema id 0 is not in the registry"),
        (wire(2**32 - 1), r"^schema id 4294967295 is not in the registry"),
    ],
)
def test_bytes_that_are_no_record_of_the_registry_are_poison(shared: Bench, value: bytes | None, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        shared.decode(value)


GOOD = avro(VIDEO, PLAY)
LOOSE = with_types(VIDEO, event_id="string", user_id="bytes", occurred_at="long")
LOOSE_PLAY = PLAY | {"event_id": str(PLAY["event_id"]), "user_id": b"u", "occurred_at": 0}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", r"^truncated: the body ends before the VideoPlayed does$"),
        (GOOD[:-1], r"^truncated: the body ends before the VideoPlayed does$"),
        (GOOD[:1], r"^truncated: the body ends before the VideoPlayed does$"),
        (GOOD + b"\x00", r"^1 bytes are left over after the VideoPlayed$"),
        (GOOD + GOOD, rf"^{len(GOOD)} bytes are left over after the VideoPlayed$"),
        (b"\x01" + GOOD, r"^truncated"),
        (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", r"^truncated"),
        (b"\x0aabcde" * 9, r"no valid VideoPlayed: ValueError badly formed hexadecimal UUID string"),
        (avro(LOOSE, LOOSE_PLAY | {"event_id": "user-0042"}), r"badly formed hexadecimal UUID string"),
        (avro(LOOSE, LOOSE_PLAY | {"event_id": ""}), r"badly formed hexadecimal UUID string"),
        (
            avro(LOOSE, LOOSE_PLAY | {"user_id": b"\xff\xfe"}),
            r"UnicodeDecodeError 'utf-8' codec can't decode byte 0xff",
        ),
        (avro(LOOSE, LOOSE_PLAY | {"user_id": b"\xed\xa0\x80"}), r"UnicodeDecodeError"),
        (avro(LOOSE, LOOSE_PLAY | {"occurred_at": 253_402_300_800_000}), r"OverflowError date value out of range"),
        (avro(LOOSE, LOOSE_PLAY | {"occurred_at": -62_135_596_800_001}), r"OverflowError date value out of range"),
        (avro(LOOSE, LOOSE_PLAY | {"occurred_at": 2**63 - 1}), r"OverflowError"),
    ],
    ids=str,
)
def test_a_body_that_is_no_play_is_poison(shared: Bench, body: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        shared.decode(wire(shared.video, body))


def test_a_play_that_is_cut_anywhere_is_poison(shared: Bench) -> None:
    for length in range(len(GOOD)):
        with pytest.raises(DecodeError, match=r"^truncated: the body ends before the VideoPlayed does$"):
            shared.decode(wire(shared.video, GOOD[:length]))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", r"begins with no branch of its union of 6 types"),
        (b"\x0c", r"begins with no branch of its union of 6 types"),
        (b"\x01", r"begins with no branch of its union of 6 types"),
        (b"\xff" * 12, r"begins with no branch of its union of 6 types"),
        (b"\x0a", r"^truncated"),
        (b"\x00" + GOOD, r"left over after the ButtonClicked|no valid ButtonClicked"),
        (b"\x0a" + GOOD + b"\x00", r"1 bytes are left over after the VideoPlayed"),
    ],
    ids=str,
)
def test_a_body_that_is_no_record_of_the_union_is_poison(shared: Bench, body: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        shared.decode(wire(shared.union, body))


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ("string", "no record but string"),
        ({"type": "map", "values": "int"}, "no record but {'type': 'map'"),
        (["null", "string"], "no record but string"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "no record but {'type': 'enum'"),
    ],
)
def test_a_record_of_a_schema_that_is_no_record_is_poison(shared: Bench, schema: Any, shown: str) -> None:
    schema_id = shared.add(schema)
    with pytest.raises(DecodeError, match=rf"^schema id {schema_id} is {shown}"):
        shared.decode(wire(schema_id, b"\x02\x02"))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (Schema('{"type": "object"}', "JSON"), "is of type JSON, not AVRO"),
        (Schema('syntax = "proto3";', "PROTOBUF"), "is of type PROTOBUF, not AVRO"),
        (Schema("not json", "AVRO"), "cannot be used: Expecting value"),
        (Schema('{"type": "record"}', "AVRO"), 'cannot be used: "name" is a required field'),
        (
            Schema('{"type": "record", "name": "R", "fields": [{"name": "f", "type": "S"}]}', "AVRO"),
            "cannot be used: S",
        ),
        (Schema('["kafkajourney.events.Absent"]', "AVRO"), "is no record but kafkajourney.events.Absent"),
    ],
)
def test_a_record_of_a_schema_that_cannot_be_used_is_poison(
    shared: Bench, monkeypatch: pytest.MonkeyPatch, schema: Schema, words: str
) -> None:
    with pytest.raises(DecodeError, match=rf"^schema id 7 {words}"):
        served(monkeypatch, shared, schema)(wire(7, b"\x00"))


def test_a_record_whose_schema_refers_to_one_that_is_gone_is_poison(
    shared: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = Schema('["elsewhere.Gone"]', "AVRO", [SchemaReference("elsewhere.Gone", "elsewhere.Gone", 1)])
    with pytest.raises(DecodeError, match=r"schema id 7 .*elsewhere\.Gone"):
        served(monkeypatch, shared, schema)(wire(7, b"\x00"))


@given(number=st.integers(0, 7), body=st.binary(max_size=80))
@example(number=2, body=b"")
def test_any_body_either_decodes_or_is_poison(shared: Bench, number: int, body: bytes) -> None:
    schema_id = list(shared.ids.values())[number]
    with contextlib.suppress(DecodeError):
        assert shared.decoded(wire(schema_id, body)).event_type in CATALOGUE


@given(
    number=st.sampled_from(range(len(EXAMPLES))),
    place=st.floats(0, 1, exclude_max=True),
    bits=st.integers(1, 255),
)
def test_any_flipped_bits_of_a_record_decode_or_are_poison(shared: Bench, number: int, place: float, bits: int) -> None:
    version, values = EXAMPLES[number]
    body = bytearray(avro(version.definition, native(values)))
    body[int(place * len(body))] ^= bits
    with contextlib.suppress(DecodeError):
        decoded = shared.decoded(wire(shared.ids[version.subject, version.version], bytes(body)))
        assert decoded.event_type == version.name


def test_poison_does_not_harm_the_records_after_it(shared: Bench) -> None:
    decode = shared.decoder()
    for value in (wire(shared.video), wire(999_999), None, wire(shared.video, GOOD[:-1])):
        with pytest.raises(DecodeError):
            decode(value)
    assert decode(wire(shared.video, GOOD)) == Decoded("VideoPlayed", VideoPlayed(**PLAY), {}, shared.video)


# --- what is not wanted ----------------------------------------------------------------------------------------------


def test_types_that_are_not_wanted_are_passed_over_undecoded(shared: Bench) -> None:
    decode = shared.decoder("VideoPlayed")
    for version in VERSIONS:
        schema_id = shared.ids[version.subject, version.version]
        if version.name == "VideoPlayed":
            with pytest.raises(DecodeError):
                decode(wire(schema_id, b"\xff"))
        else:
            assert decode(wire(schema_id, b"\xff")) is None
    assert decode(wire(shared.video, GOOD)) == Decoded("VideoPlayed", VideoPlayed(**PLAY), {}, shared.video)


def test_branches_of_the_union_that_are_not_wanted_are_passed_over_undecoded(shared: Bench) -> None:
    decode = shared.decoder("VideoPlayed")
    assert [decode(wire(shared.union, bytes([2 * index, 0xFF]))) for index in range(5)] == [None] * 5
    assert decode(wire(shared.union, b"\x0a" + GOOD)) == Decoded("VideoPlayed", VideoPlayed(**PLAY), {}, shared.union)


def test_unknown_types_that_are_not_wanted_are_passed_over_whatever_they_are(shared: Bench) -> None:
    decode = shared.decoder("VideoPlayed")
    assert decode(wire(shared.add(record_schema()), b"\xff")) is None
    assert decode(wire(shared.add(record_schema(without=COMMON_FIELDS)), b"\xff")) is None


def test_what_is_no_record_at_all_is_poison_also_where_little_is_wanted(shared: Bench) -> None:
    decode = shared.decoder("VideoPlayed")
    for value in (None, b"", b"\x01\x00\x00\x00\x01", wire(999_999), wire(shared.union, b"\x0c")):
        with pytest.raises(DecodeError):
            decode(value)


def test_a_namesake_in_another_namespace_is_not_wanted(shared: Bench) -> None:
    schema = record_schema(name="VideoPlayed", namespace="elsewhere")
    assert shared.decoder("VideoPlayed")(wire(shared.add(schema), avro(schema, EVENT))) is None


# --- the encoder, and outages ----------------------------------------------------------------------------------------


def test_encoding_asks_the_registry_only_once() -> None:
    with RegistryServer() as server:
        bench = Bench(server.url)
        before = bench.encode(VideoPlayed(**PLAY))
    assert bench.encode(VideoPlayed(**PLAY)) == before


def test_decoding_asks_the_registry_only_once_for_each_schema(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    look_up = shared.registry.schema

    def count(schema_id: int) -> Schema:
        asked.append(schema_id)
        return look_up(schema_id)

    monkeypatch.setattr(shared.registry, "schema", count)
    decode = shared.decoder()
    for _ in range(3):
        assert decode(wire(shared.video, GOOD)) == Decoded("VideoPlayed", VideoPlayed(**PLAY), {}, shared.video)
        value = wire(shared.union, b"\x0a" + GOOD)
        assert decode(value) == Decoded("VideoPlayed", VideoPlayed(**PLAY), {}, shared.union)
    assert asked == [shared.video, shared.union]


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": 5},
        {"query": None},
        {"results": "many"},
        {"occurred_at": "2026-03-14"},
        {"event_id": 7},
        {"query": "\ud800"},
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_its_field_is_not_encoded(shared: Bench, change: dict[str, Any]) -> None:
    event = SearchPerformed(**{**EVENT, "query": "shoes", "results": 3, **change})
    with pytest.raises((ValueError, TypeError)):
        shared.encode(event)


def test_a_schema_that_is_not_registered_stops_the_encoder() -> None:
    with RegistryServer() as server:
        registry = Registry(Settings("localhost:1", server.url, "sqlite://", TOPIC), max_retries=0)
        words = r"Version 1 of kafkajourney\.events\.ButtonClicked is not registered: .*Run: python -m schemas register"
        with pytest.raises(StopError, match=words):
            Encoder(registry, CATALOGUE, TOPIC)
        first = CATALOGUE["VideoPlayed"].versions[0]
        for event_type in CATALOGUE.values():
            newest = event_type.newest if event_type.name != "VideoPlayed" else first
            registry.register(event_type.subject, Schema(newest.text, "AVRO"))
        with pytest.raises(StopError, match=r"Version 2 of kafkajourney\.events\.VideoPlayed is not registered"):
            Encoder(registry, CATALOGUE, TOPIC)


def test_a_registry_that_is_away_is_an_outage_and_no_poison() -> None:
    with RegistryServer() as server:
        bench = Bench(server.url)
        fresh = Registry(Settings("localhost:1", server.url, "sqlite://", TOPIC), max_retries=0)
    words = rf"^No schema registry answers at {server.url} .*kafkajourney up"
    with pytest.raises(TransientError, match=words):
        Encoder(fresh, CATALOGUE, TOPIC)
    decode = Decoder(fresh, CATALOGUE, EVENT_TYPES)
    for value in (wire(bench.video, GOOD), wire(999_999, b"\xff")):
        with pytest.raises(TransientError, match=words):
            decode(value)
    with pytest.raises(DecodeError, match="too few"):
        decode(b"\x00")


def test_after_an_outage_the_same_decoder_decodes(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = shared.decoder()
    with monkeypatch.context() as patch:
        patch.setattr(shared.registry, "schema", lambda _id: (_ for _ in ()).throw(TransientError("away")))
        with pytest.raises(TransientError):
            decode(wire(shared.video, GOOD))
    assert decode(wire(shared.video, GOOD)) == Decoded("VideoPlayed", VideoPlayed(**PLAY), {}, shared.video)


# --- foreign schemas ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"name": "ns", "type": "string", "default": "", "meta": {"namespace": "x"}},
        {"name": "ns", "type": "string", "default": "", "namespace": "x", "symbols": 1, "fields": [], "items": 3},
        {"name": "labels", "type": {"type": "map", "values": "string"}, "default": {"namespace": "web", "type": "a"}},
    ],
    ids=["a property with a namespace", "properties that are names of Avro's own", "a default with a namespace"],
)
def test_a_version_with_properties_of_its_own_is_read_by_what_avro_defines(shared: Bench, more: dict[str, Any]) -> None:
    schema = copy.deepcopy(VIDEO)
    schema["fields"].append(more)
    written = PLAY | {more["name"]: more["default"] or "v"}
    decoded = shared.decoded(wire(shared.add(schema), avro(schema, written)))
    assert decoded.event == VideoPlayed(**PLAY)
    assert decoded.extras == {more["name"]: written[more["name"]]}


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}


def nested(depth: int) -> str:
    return '{"type":"array","items":' * depth + '"int"' + "}" * depth


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (json.dumps(NODE), "cannot be used: Node is recursive"),
        (json.dumps(record_schema(field("tree", NODE))), "Node is recursive"),
        (json.dumps(record_schema(field("n", {"type": "array", "items": "null"}))), "items that take no bytes"),
        (
            json.dumps(
                record_schema(field("n", {"type": "array", "items": {"type": "record", "name": "E", "fields": []}}))
            ),
            "items that take no bytes",
        ),
        (nested(201), "nested deeper than 200 levels"),
        (nested(3_000), "cannot be used: (RecursionError|the schema is nested)"),
        (nested(200_000), "cannot be used: (RecursionError|the schema is nested)"),
    ],
    ids=["recursive", "recursive within", "nulls", "empty records", "201 deep", "3,000 deep", "200,000 deep"],
)
def test_a_schema_that_asks_for_more_than_its_bytes_is_poison(
    shared: Bench, monkeypatch: pytest.MonkeyPatch, definition: str, words: str
) -> None:
    decode = served(monkeypatch, shared, Schema(definition, "AVRO"))
    for body in (b"\x02" * 3_000 + b"\x00", b"\xff" * 60):
        with pytest.raises(DecodeError, match=words):
            decode(wire(7, body))


def test_a_schema_that_cannot_be_used_is_asked_for_once(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def schema(_id: int) -> Schema:
        nonlocal asked
        asked += 1
        return Schema("not json", "AVRO")

    monkeypatch.setattr(shared.registry, "schema", schema)
    decode = shared.decoder()
    for _ in range(1000):
        with pytest.raises(DecodeError):
            decode(wire(7, b"\x00"))
    assert asked == 1


def test_an_id_that_is_absent_is_asked_for_once_in_a_while(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def schema(_id: int) -> Schema:
        nonlocal asked
        asked += 1
        raise NotRegisteredError("Schema 7 not found")

    monkeypatch.setattr(shared.registry, "schema", schema)
    decode = shared.decoder()
    for _ in range(1000):
        with pytest.raises(DecodeError, match="schema id 7 is not in the registry"):
            decode(wire(7, b"\x00"))
    assert asked == 1
