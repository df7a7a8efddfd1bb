"""The embedded registry, through the real client where it has the call and through plain HTTP for the codes."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    ServerConfig,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from kafkajourney.avro.catalogue import EVENT_COMPATIBILITY, UNION_COMPATIBILITY, load
from kafkajourney.embedded.registry import RegistryServer
from kafkajourney.embedded.registry_app import MEDIA_TYPE
from kafkajourney.errors import StopError

pytestmark = pytest.mark.registry

SUBJECT = "x.A"
UNION = "user-journey-value"


@pytest.fixture
def url() -> Iterator[str]:
    with RegistryServer() as server:
        yield server.url


@pytest.fixture
def client(url: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": url, "max.retries": 0}) as registry:
        yield registry


def record(*fields: str, name: str = SUBJECT, default: int | None = 0) -> Schema:
    end = {} if default is None else {"default": default}
    columns = [{"name": field, "type": "int", **end} for field in fields]
    return Schema(json.dumps({"type": "record", "name": name, "fields": columns}))


def union(*branches: tuple[str, int]) -> Schema:
    references = [SchemaReference(name=name, subject=name, version=version) for name, version in branches]
    return Schema(json.dumps([name for name, _ in branches]), references=references)


def call(url: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Return the status and the JSON body of one request; bytes are sent as they are."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    with closing(HTTPConnection(url.removeprefix("http://"))) as connection:
        connection.request(method, path, data)
        response = connection.getresponse()
        assert response.headers["Content-Type"] == MEDIA_TYPE
        return response.status, json.load(response)


def refused(url: str, method: str, path: str, body: object = None) -> tuple[int, int]:
    """Return the status and the error code of a request that is refused with a sentence."""
    status, answer = call(url, method, path, body)
    assert set(answer) == {"error_code", "message"}
    assert answer["message"]
    return status, answer["error_code"]


def registered(client: SchemaRegistryClient, subject: str, *schemas: Schema) -> list[int]:
    """Register schemas and return their ids; what the client knows already is asked for again."""
    return [uncached(client).register_schema(subject, schema) for schema in schemas]


def uncached(client: SchemaRegistryClient) -> SchemaRegistryClient:
    client.clear_caches()  # type: ignore[no-untyped-call]
    return client


# --- registering and reading back


def test_register_and_read_back(client: SchemaRegistryClient) -> None:
    schema = record("a")
    schema_id = client.register_schema(SUBJECT, schema)
    for version in (
        client.get_latest_version(SUBJECT),
        client.get_version(SUBJECT, 1),
        uncached(client).lookup_schema(SUBJECT, schema),
        uncached(client).register_schema_full_response(SUBJECT, schema),
    ):
        assert (version.subject, version.version, version.schema_id) == (SUBJECT, 1, schema_id)
        assert (version.schema.schema_str, version.schema.schema_type) == (schema.schema_str, "AVRO")
    assert uncached(client).get_schema(schema_id).schema_str == schema.schema_str
    assert uncached(client).get_schema(schema_id, subject_name=SUBJECT).schema_str == schema.schema_str
    assert client.get_subjects() == [SUBJECT]
    assert client.get_versions(SUBJECT) == [1]


def test_equal_json_is_the_same_version(client: SchemaRegistryClient) -> None:
    spaced = Schema(json.dumps(json.loads(str(record("a").schema_str)), indent=4, sort_keys=True))
    assert registered(client, SUBJECT, record("a"), spaced) == [1, 1]
    assert uncached(client).lookup_schema(SUBJECT, spaced).version == 1
    assert uncached(client).get_versions(SUBJECT) == [1]


def test_one_schema_has_one_id_under_all_subjects(client: SchemaRegistryClient) -> None:
    assert registered(client, "other", record("b")) == [1]
    assert registered(client, "one", record("a")) == registered(client, "two", record("a")) == [2]
    assert client.get_subjects_by_schema_id(2) == ["one", "two"]
    assert [(v.subject, v.version) for v in client.get_schema_versions(2)] == [("one", 1), ("two", 1)]


def test_a_subject_is_any_text(client: SchemaRegistryClient) -> None:
    for subject in ("with/slash", "mit Umlaut ä", "50%", "a+b", "versions", "a//b"):
        client.register_schema(subject, record("a"))
        assert client.get_latest_version(subject).subject == subject


def test_two_threads_register_the_same_schema(url: str) -> None:
    body = record("a").to_dict()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: call(url, "POST", f"/subjects/{SUBJECT}/versions", body), range(16)))
    assert {(status, answer["id"], answer["version"]) for status, answer in answers} == {(200, 1, 1)}


def test_serializers_work_with_it(client: SchemaRegistryClient) -> None:
    client.register_schema("events-value", record("a"))
    context = SerializationContext("events", MessageField.VALUE)
    serializer = AvroSerializer(client, str(record("a").schema_str), conf={"auto.register.schemas": False})
    data = serializer({"a": 7}, context)
    assert data is not None
    assert data[:5] == b"\0\0\0\0\1"
    assert AvroDeserializer(client, str(record("a", "b").schema_str))(data, context) == {"a": 7, "b": 0}


# --- compatibility


def test_incompatible_schema_is_refused_with_the_reason(client: SchemaRegistryClient) -> None:
    client.register_schema(SUBJECT, record("a"))
    with pytest.raises(SchemaRegistryError) as raised:
        client.register_schema(SUBJECT, record("a", "b", default=None))
    error = raised.value
    assert (error.http_status_code, error.error_code) == (409, 409)
    assert SUBJECT in error.error_message
    assert "cannot read version 1: A.b: the reader needs this field" in error.error_message
    assert "BACKWARD" in error.error_message
    assert client.get_versions(SUBJECT) == [1]


def test_compatibility_can_be_asked_before(client: SchemaRegistryClient, url: str) -> None:
    registered(client, SUBJECT, record("a"), record("a", "b"))
    assert client.test_compatibility(SUBJECT, record("c"))
    assert client.test_compatibility(SUBJECT, record("c", default=None), version=1) is False
    assert client.test_compatibility_all_versions(SUBJECT, record("c", default=None)) is False
    assert client.test_compatibility("no such subject", record("c", default=None))
    path = f"/compatibility/subjects/{SUBJECT}/versions/latest?verbose=True"
    status, answer = call(url, "POST", path, record("c", default=None).to_dict())
    assert (status, answer["is_compatible"]) == (200, False)
    assert answer["messages"][0].startswith("the new schema cannot read version 2: A.c: ")


def test_level_decides(client: SchemaRegistryClient) -> None:
    client.register_schema(SUBJECT, record("a"))
    needs_b = record("a", "b", default=None)
    for level, allowed in {"BACKWARD": False, "FULL": False, "FORWARD": True, "NONE": True}.items():
        client.set_compatibility(SUBJECT, level)
        assert client.test_compatibility(SUBJECT, needs_b) == allowed
    client.register_schema(SUBJECT, needs_b)


def test_transitive_level_asks_all_versions(client: SchemaRegistryClient) -> None:
    registered(client, SUBJECT, record("a"), record())
    text = Schema(str(record("a").schema_str).replace('"int", "default": 0', '"string", "default": ""'))
    assert client.test_compatibility_all_versions(SUBJECT, text)
    client.set_compatibility(SUBJECT, "BACKWARD_TRANSITIVE")
    assert client.test_compatibility_all_versions(SUBJECT, text) is False


def test_levels_of_subjects_and_the_global_one(client: SchemaRegistryClient, url: str) -> None:
    assert client.get_compatibility() == "BACKWARD"
    client.set_compatibility(level="full")
    assert client.get_config().compatibility_level == "FULL"
    client.set_config(SUBJECT, ServerConfig(ConfigCompatibilityLevel.NONE))
    assert client.get_compatibility(SUBJECT) == "NONE"
    assert client.delete_config(SUBJECT).compatibility_level == "NONE"
    assert call(url, "GET", f"/config/{SUBJECT}?defaultToGlobal=true") == (200, {"compatibilityLevel": "FULL"})
    assert call(url, "DELETE", "/config") == (200, {"compatibilityLevel": "FULL"})
    assert client.get_compatibility() == "BACKWARD"


# --- references


def test_union_grows_and_moves_to_newer_versions(client: SchemaRegistryClient) -> None:
    registered(client, "x.A", record("a"), record("a", "b"))
    registered(client, "x.B", record("a", name="x.B"))
    client.set_compatibility(UNION, UNION_COMPATIBILITY)
    steps = [union(("x.A", 1)), union(("x.A", 1), ("x.B", 1)), union(("x.A", 2), ("x.B", 1))]
    assert registered(client, UNION, *steps) == [4, 5, 6]
    assert client.get_versions(UNION) == [1, 2, 3]
    assert client.get_latest_version(UNION).schema.references == steps[2].references
    assert uncached(client).get_schema(5).references == steps[1].references
    assert uncached(client).lookup_schema(UNION, steps[1]).version == 2
    assert client.get_referenced_by("x.A", 1) == [4, 5]


def test_union_that_loses_or_breaks_a_branch_is_refused(client: SchemaRegistryClient) -> None:
    client.set_compatibility("x.A", "NONE")
    registered(client, "x.A", record("a"), record("b", default=None))
    registered(client, "x.B", record("a", name="x.B"))
    registered(client, UNION, union(("x.A", 1), ("x.B", 1)))
    for step, reason in ((union(("x.A", 1)), "no branch"), (union(("x.A", 2), ("x.B", 1)), "A.b")):
        with pytest.raises(SchemaRegistryError, match=reason) as raised:
            client.register_schema(UNION, step)
        assert raised.value.http_status_code == 409


def test_references_of_references_are_resolved_once(client: SchemaRegistryClient) -> None:
    registered(client, "x.A", record("a"))
    for name in ("x.B", "x.C"):
        text = {"type": "record", "name": name, "fields": [{"name": "a", "type": "x.A"}]}
        client.register_schema(name, Schema(json.dumps(text), references=[SchemaReference("x.A", "x.A", 1)]))
    assert registered(client, UNION, union(("x.B", 1), ("x.C", 1), ("x.A", 1))) == [4]


def test_referenced_version_cannot_be_deleted(client: SchemaRegistryClient, url: str) -> None:
    registered(client, "x.A", record("a"))
    registered(client, UNION, union(("x.A", 1)))
    assert refused(url, "DELETE", "/subjects/x.A") == (422, 42206)
    assert refused(url, "DELETE", "/subjects/x.A/versions/1") == (422, 42206)
    client.delete_subject(UNION)
    assert client.get_referenced_by("x.A", 1) == []
    assert client.delete_subject("x.A") == [1]
    assert refused(url, "DELETE", "/subjects/x.A?permanent=true") == (422, 42206)


def test_all_event_types_register_in_order(client: SchemaRegistryClient) -> None:
    branches = []
    for event_type in load().values():
        client.set_compatibility(event_type.subject, EVENT_COMPATIBILITY)
        for version in event_type.versions:
            client.register_schema(event_type.subject, Schema(version.text))
        branches.append((event_type.subject, len(event_type.versions)))
    client.set_compatibility(UNION, UNION_COMPATIBILITY)
    first = [(subject, 1) for subject, _ in branches]
    for step in (union(*first[:-1]), union(*first), union(*branches)):
        client.register_schema(UNION, step)
    assert client.get_latest_version(UNION).version == 3
    assert len(client.get_subjects()) == len(branches) + 1


# --- deleting


def test_deleted_softly_and_registered_again(client: SchemaRegistryClient) -> None:
    registered(client, SUBJECT, record("a"), record("a", "b"))
    assert client.delete_version(SUBJECT, 2) == 2
    assert client.get_versions(SUBJECT) == [1]
    assert client.get_versions(SUBJECT, deleted=True) == [1, 2]
    assert uncached(client).get_schema(2).schema_str == record("a", "b").schema_str
    assert uncached(client).get_version(SUBJECT, 2, deleted=True).schema_id == 2
    assert client.get_subjects_by_schema_id(2) == []
    assert registered(client, SUBJECT, record("a", "b")) == [2]
    assert client.get_versions(SUBJECT, deleted=True) == [1, 3]


def test_deleted_for_good_only_after_softly(client: SchemaRegistryClient, url: str) -> None:
    registered(client, SUBJECT, record("a"), record("a", "b"))
    client.set_compatibility(SUBJECT, "NONE")
    assert refused(url, "DELETE", f"/subjects/{SUBJECT}?permanent=true") == (404, 40405)
    assert refused(url, "DELETE", f"/subjects/{SUBJECT}/versions/1?permanent=true") == (404, 40407)
    assert client.delete_version(SUBJECT, 1) == 1
    assert refused(url, "DELETE", f"/subjects/{SUBJECT}/versions/1") == (404, 40406)
    assert client.delete_subject(SUBJECT) == [2]
    assert client.get_subjects() == []
    assert client.get_subjects(deleted=True) == [SUBJECT]
    assert refused(url, "DELETE", f"/subjects/{SUBJECT}") == (404, 40404)
    assert call(url, "DELETE", f"/subjects/{SUBJECT}?permanent=true") == (200, [1, 2])
    assert client.get_subjects(deleted=True) == []
    assert refused(url, "GET", "/schemas/ids/1") == (404, 40403)
    assert refused(url, "GET", f"/config/{SUBJECT}") == (404, 40408)


# --- plain HTTP


GET_ANSWERS = {
    "/": {},
    "/subjects": [SUBJECT, "x.B"],
    "/subjects?offset=1": ["x.B"],
    "/subjects?limit=1": [SUBJECT],
    "/subjects?subjectPrefix=x.B": ["x.B"],
    f"/subjects/{SUBJECT}/versions/1/schema": {"type": "record", "name": SUBJECT, "fields": []},
    "/schemas/ids/1/schema": {"type": "record", "name": SUBJECT, "fields": []},
    "/schemas/types": ["AVRO"],
    "/mode": {"mode": "READWRITE"},
    f"/mode/{SUBJECT}": {"mode": "READWRITE"},
}


@pytest.fixture(scope="module")
def filled_url() -> Iterator[str]:
    with RegistryServer() as server, SchemaRegistryClient({"url": server.url}) as client:
        registered(client, SUBJECT, record())
        registered(client, "x.B", record(name="x.B"))
        yield server.url


@pytest.mark.parametrize(("path", "answer"), GET_ANSWERS.items())
def test_answer(filled_url: str, path: str, answer: object) -> None:
    assert call(filled_url, "GET", path) == (200, answer)


REFERENCE = {"name": "x.B", "subject": "x.B", "version": 2}
REFUSED: dict[str, tuple[str, str, object, int]] = {
    "unknown subject": ("GET", "/subjects/none/versions", None, 40401),
    "version of an unknown subject": ("GET", "/subjects/none/versions/1", None, 40401),
    "unknown subject to delete": ("DELETE", "/subjects/none", None, 40401),
    "unknown subject to look up": ("POST", "/subjects/none", {"schema": '"int"'}, 40401),
    "unknown version": ("GET", f"/subjects/{SUBJECT}/versions/7", None, 40402),
    "unknown version to test": ("POST", f"/compatibility/subjects/{SUBJECT}/versions/7", {"schema": '"int"'}, 40402),
    "version 0": ("GET", f"/subjects/{SUBJECT}/versions/0", None, 42202),
    "version of text": ("GET", f"/subjects/{SUBJECT}/versions/newest", None, 42202),
    "unknown id": ("GET", "/schemas/ids/7", None, 40403),
    "subjects of an unknown id": ("GET", "/schemas/ids/7/subjects", None, 40403),
    "schema not registered": ("POST", f"/subjects/{SUBJECT}", {"schema": '"int"'}, 40403),
    "no JSON in the schema": ("POST", f"/subjects/{SUBJECT}/versions", {"schema": "{"}, 42201),
    "no schema": ("POST", f"/subjects/{SUBJECT}/versions", {}, 42201),
    "no JSON": ("POST", f"/subjects/{SUBJECT}/versions", b"{", 400),
    "no object": ("POST", f"/subjects/{SUBJECT}/versions", [], 42201),
    "no Avro": ("POST", f"/subjects/{SUBJECT}/versions", {"schema": '"int"', "schemaType": "JSON"}, 42201),
    "invalid schema to look up": ("POST", f"/subjects/{SUBJECT}", {"schema": "{"}, 42201),
    "rule set": ("POST", f"/subjects/{SUBJECT}/versions", {"schema": '"int"', "ruleSet": {"a": 1}}, 42201),
    "reference to nothing": ("POST", "/subjects/y/versions", {"schema": '["x.B"]', "references": [REFERENCE]}, 42201),
    "no list of references": ("POST", "/subjects/y/versions", {"schema": '["x.B"]', "references": REFERENCE}, 42201),
    "no reference": ("POST", "/subjects/y/versions", {"schema": '["x.B"]', "references": ["x.B"]}, 42201),
    "incompatible": ("POST", f"/subjects/{SUBJECT}/versions", {"schema": '"int"'}, 409),
    "unknown level": ("PUT", "/config", {"compatibility": "SOMEHOW"}, 42203),
    "no level": ("PUT", f"/config/{SUBJECT}", {}, 42203),
    "level of null": ("PUT", "/config", {"compatibility": None}, 42203),
    "no level of its own": ("GET", f"/config/{SUBJECT}", None, 40408),
    "no level to delete": ("DELETE", f"/config/{SUBJECT}", None, 40401),
    "no such path": ("GET", "/associations/resources/a/b", None, 404),
    "id of text": ("GET", "/schemas/ids/one", None, 404),
    "no such method": ("PUT", "/subjects", {}, 405),
}


@pytest.mark.parametrize(("method", "path", "body", "code"), REFUSED.values(), ids=REFUSED)
def test_refused(filled_url: str, method: str, path: str, body: object, code: int) -> None:
    assert refused(filled_url, method, path, body) == (int(str(code)[:3]), code)


def test_nothing_is_written_and_the_port_is_free_again(capfd: pytest.CaptureFixture[str]) -> None:
    with RegistryServer() as server:
        call(server.url, "GET", "/subjects")
        call(server.url, "GET", "/none")
        port = int(server.url.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with RegistryServer(port=port) as server:
        assert call(server.url, "GET", "/subjects") == (200, [])
    assert capfd.readouterr() == ("", "")


def test_port_in_use_is_one_sentence() -> None:
    with RegistryServer() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(StopError, match=rf"cannot listen on 127\.0\.0\.1:{port}"), RegistryServer(port=port):
            pass
