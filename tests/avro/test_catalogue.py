"""The schema files: what the catalogue reads and refuses, what is generated from it, what is registered of it."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafkajourney.application import NAMESPACE
from kafkajourney.avro.catalogue import SchemaVersion, load
from kafkajourney.embedded.registry import RegistryServer
from kafkajourney.errors import StopError, TransientError
from kafkajourney.events import COMMON_FIELDS
from kafkajourney.registry.client import IncompatibleError, Registry
from kafkajourney.schemas.generate import render
from kafkajourney.schemas.register import register
from kafkajourney.settings import Settings
from tests.support.processes import FOLDER

TOPIC = "user-journey"
TYPES = ["ButtonClicked", "FormSubmitted", "PageViewed", "SearchPerformed", "UrlClicked", "VideoPlayed"]
VERSIONS = [version for event_type in load().values() for version in event_type.versions]

COMMON: dict[str, Any] = {
    "event_id": {"type": "string", "logicalType": "uuid"},
    "user_id": "string",
    "session_id": "string",
    "page_url": "string",
    "occurred_at": {"type": "long", "logicalType": "timestamp-millis"},
}

OWN: dict[str, dict[str, Any]] = {
    "PageViewed v1": {"title": ["null", "string"], "referrer": ["null", "string"]},
    "ButtonClicked v1": {"button_id": "string", "label": ["null", "string"]},
    "UrlClicked v1": {"target_url": "string"},
    "VideoPlayed v1": {"video_id": "string", "position_seconds": "double"},
    "VideoPlayed v2": {"video_id": "string", "position_seconds": "double", "playback_rate": "double"},
    "FormSubmitted v1": {"form_id": "string", "fields": {"type": "array", "items": "string"}},
    "SearchPerformed v1": {"query": "string", "results": "int"},
}


def label(version: SchemaVersion) -> str:
    return f"{version.name} v{version.version}"


def write_version(folder: Path, number: int, text: str | None = None, name: str = "Zoomed") -> None:
    folder.mkdir(exist_ok=True)
    schema = {"type": "record", "name": name, "namespace": NAMESPACE, "fields": []}
    (folder / f"v{number}.avsc").write_text(json.dumps(schema) if text is None else text, encoding="utf-8")


@pytest.fixture
def registry() -> Iterator[Registry]:
    with RegistryServer() as server:
        yield Registry(Settings("localhost:1", server.url, "sqlite://", TOPIC), max_retries=0)


def test_the_catalogue_has_the_six_types_in_alphabetical_order() -> None:
    catalogue = load()
    assert list(catalogue) == TYPES
    assert [event_type.subject for event_type in catalogue.values()] == [f"kafkajourney.events.{t}" for t in TYPES]
    assert [v.version for v in catalogue["VideoPlayed"].versions] == [1, 2]


@pytest.mark.parametrize("version", VERSIONS, ids=label)
def test_every_version_begins_with_the_common_fields_and_adds_its_own(version: SchemaVersion) -> None:
    fields = version.definition["fields"]
    assert {field["name"]: field["type"] for field in fields} == COMMON | OWN[label(version)]
    assert tuple(field["name"] for field in fields[:5]) == COMMON_FIELDS == tuple(COMMON)
    assert version.own_fields == tuple(OWN[label(version)])


@pytest.mark.parametrize("version", VERSIONS, ids=label)
def test_fields_added_later_and_fields_that_may_be_null_have_a_default(version: SchemaVersion) -> None:
    first = load()[version.name].versions[0].definition["fields"]
    for field in version.definition["fields"]:
        added = field["name"] not in {f["name"] for f in first}
        if added or "null" in field["type"]:
            assert field["default"] == (1.0 if added else None), field["name"]
        else:
            assert "default" not in field


def test_every_file_beside_a_schema_belongs_to_a_version() -> None:
    known = {path for v in VERSIONS for path in (v.path, v.path.with_suffix(".examples.ndjson"))}
    found = {path for folder in {v.path.parent for v in VERSIONS} for path in folder.iterdir()}
    assert found == known
    assert {path.parent for path in FOLDER.rglob("*.avsc")} == {v.path.parent for v in VERSIONS}


def test_a_type_is_found_by_its_short_name_and_by_its_subject() -> None:
    catalogue = load()
    assert catalogue.find("UrlClicked") is catalogue.find("kafkajourney.events.UrlClicked") is catalogue["UrlClicked"]
    with pytest.raises(StopError, match=r"no event type 'Urlclicked'\. Known are: ButtonClicked, .*VideoPlayed"):
        catalogue.find("Urlclicked")


def test_the_registered_text_is_the_files_json_without_its_layout() -> None:
    for version in VERSIONS:
        assert "\n" not in version.text
        assert json.loads(version.text) == json.loads(version.path.read_text(encoding="utf-8"))


def test_versions_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(1, 12):
        write_version(tmp_path / "zoomed", number)
    assert [v.version for v in load(tmp_path)["Zoomed"].versions] == list(range(1, 12))


def test_a_folder_without_schemas_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "catalogue.py").touch()
    assert not load(tmp_path)


@pytest.mark.parametrize("numbers", [(2,), (1, 3), (1, 2, 4)])
def test_a_gap_in_the_versions_is_refused(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        write_version(tmp_path / "zoomed", number)
    with pytest.raises(StopError, match=r"zoomed: the versions have to be v1\.avsc, v2\.avsc, \.\.\. without a gap"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["1.avsc", "v0.avsc", "v01.avsc", "V1.avsc", "v1.2.avsc", "latest.avsc", "v-1.avsc"])
def test_a_schema_file_that_is_not_named_by_its_version_is_refused(tmp_path: Path, name: str) -> None:
    write_version(tmp_path / "zoomed", 1)
    (tmp_path / "zoomed" / name).write_text("{}")
    with pytest.raises(StopError, match=rf"{name}: a schema file is named by its version"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"type": "record",}'])
def test_a_schema_file_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    write_version(tmp_path / "zoomed", 1, text)
    with pytest.raises(StopError, match=r"v1\.avsc: not valid JSON: .*line 1.*Correct the file"):
        load(tmp_path)


@pytest.mark.parametrize("text", ['"string"', "[]", '{"type": "enum", "name": "E"}', '{"type": "record"}', "null"])
def test_a_schema_file_that_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    write_version(tmp_path / "zoomed", 1, text)
    with pytest.raises(StopError, match=r"v1\.avsc: not an Avro record with a name"):
        load(tmp_path)


def test_an_earlier_version_that_is_no_json_is_refused_when_loading(tmp_path: Path) -> None:
    write_version(tmp_path / "zoomed", 1, "{")
    write_version(tmp_path / "zoomed", 2)
    with pytest.raises(StopError, match=r"v1\.avsc: not valid JSON"):
        load(tmp_path)


def test_a_record_without_fields_is_refused(tmp_path: Path) -> None:
    write_version(tmp_path / "zoomed", 1, '{"type": "record", "name": "Zoomed"}')
    with pytest.raises(StopError, match="fields"):
        assert load(tmp_path)["Zoomed"].newest.own_fields is None


def test_two_folders_with_the_same_record_are_refused(tmp_path: Path) -> None:
    write_version(tmp_path / "zoomed", 1)
    write_version(tmp_path / "zoomed_too", 1)
    with pytest.raises(StopError, match="Zoomed"):
        load(tmp_path)


def test_a_version_that_renames_the_record_is_refused(tmp_path: Path) -> None:
    write_version(tmp_path / "zoomed", 1, name="Zoomed")
    write_version(tmp_path / "zoomed", 2, name="Enlarged")
    with pytest.raises(StopError, match="Zoomed"):
        load(tmp_path)


def test_the_generated_classes_are_those_of_the_schemas() -> None:
    generated, kept = (ast.parse(text) for text in (render(load()), (FOLDER / "events.py").read_text(encoding="utf-8")))
    assert ast.dump(generated) == ast.dump(kept)


def test_the_generated_classes_follow_the_schemas(tmp_path: Path) -> None:
    schema = dict(load()["UrlClicked"].newest.definition)
    schema["fields"] = [*schema["fields"], {"name": "depth", "type": "int", "default": 7}]
    write_version(tmp_path / "url_clicked", 1, json.dumps(schema))
    text = render(load(tmp_path))
    assert "depth: types.Int32" in text
    assert '"kafkajourney.events.UrlClicked": UrlClicked,' in text
    assert text != (FOLDER / "events.py").read_text(encoding="utf-8")


@pytest.mark.registry
def test_registering_registers_every_version_then_the_union(registry: Registry) -> None:
    done = list(register(registry, load(), TOPIC))
    events = [(version.subject, version.version) for version in VERSIONS]
    assert [(subject, version) for subject, version, _ in done] == [*events, ("user-journey-value", 1)]
    assert registry.subjects() == sorted({subject for subject, _ in [*events, ("user-journey-value", 1)]})
    assert len({schema_id for _, _, schema_id in done}) == len(done)


@pytest.mark.registry
def test_registering_again_changes_nothing(registry: Registry) -> None:
    first = list(register(registry, load(), TOPIC))
    assert list(register(registry, load(), TOPIC)) == first
    assert registry.client.get_versions("kafkajourney.events.VideoPlayed") == [1, 2]
    assert registry.client.get_versions("user-journey-value") == [1]


@pytest.mark.registry
def test_the_registered_schemas_are_those_of_the_files(registry: Registry) -> None:
    done = list(register(registry, load(), TOPIC))
    for version, (_, _, schema_id) in zip(VERSIONS, done, strict=False):
        assert json.loads(registry.schema(schema_id).schema_str or "") == version.definition


@pytest.mark.registry
def test_the_levels_are_full_for_events_and_backward_for_the_union(registry: Registry) -> None:
    list(register(registry, load(), TOPIC))
    levels = {subject: registry.client.get_compatibility(subject) for subject in registry.subjects()}
    assert levels.pop("user-journey-value") == "BACKWARD_TRANSITIVE"
    assert levels == {f"kafkajourney.events.{name}": "FULL_TRANSITIVE" for name in TYPES}


@pytest.mark.registry
def test_the_union_refers_to_the_newest_version_of_every_type(registry: Registry) -> None:
    *_, (_, _, union_id) = register(registry, load(), "clicks")
    schema = registry.client.get_latest_version("clicks-value").schema
    subjects = [f"kafkajourney.events.{name}" for name in TYPES]
    assert json.loads(schema.schema_str or "") == subjects
    references = {r.name: (r.subject, r.version) for r in schema.references or ()}
    assert references == {s: (s, 2 if s.endswith("VideoPlayed") else 1) for s in subjects}
    assert registry.schema(union_id).schema_str == schema.schema_str


@pytest.mark.registry
def test_a_version_that_breaks_a_reader_is_not_registered(registry: Registry, tmp_path: Path) -> None:
    list(register(registry, load(), TOPIC))
    definition = dict(load()["UrlClicked"].newest.definition)
    write_version(tmp_path / "url_clicked", 1, json.dumps(definition))
    definition["fields"] = [*definition["fields"], {"name": "depth", "type": "int"}]
    write_version(tmp_path / "url_clicked", 2, json.dumps(definition))
    with pytest.raises(IncompatibleError, match=r"refuses the schema: .*depth.*FULL_TRANSITIVE"):
        list(register(registry, load(tmp_path), TOPIC))
    assert registry.client.get_versions("kafkajourney.events.UrlClicked") == [1]


def test_registering_with_a_registry_that_is_away_is_an_outage() -> None:
    away = Registry(Settings("localhost:1", "http://127.0.0.1:1", "sqlite://", TOPIC), max_retries=0)
    with pytest.raises(TransientError, match=r"No schema registry answers at http://127\.0\.0\.1:1 .*kafkajourney up"):
        next(register(away, load(), TOPIC))
