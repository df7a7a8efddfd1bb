"""The event types of this application, whichever they are."""

from datetime import datetime
from typing import Any
from uuid import UUID

import fastavro
import pytest

from kafkajourney import application
from kafkajourney.avro.catalogue import SchemaVersion, load
from kafkajourney.events import COMMON_FIELDS, COMMON_TYPES
from kafkajourney.schemas.generate import render

HERE = application.current()
VERSIONS = [version for event_type in load().values() for version in event_type.versions]


def label(version: SchemaVersion) -> str:
    return f"{version.name} v{version.version}"


def native(example: dict[str, Any]) -> dict[str, Any]:
    """Return an example record with the values that Avro's logical types stand for."""
    occurred_at = datetime.fromisoformat(example["occurred_at"])
    return example | {"event_id": UUID(example["event_id"]), "occurred_at": occurred_at}


@pytest.mark.parametrize("version", VERSIONS, ids=label)
def test_every_version_begins_with_the_common_fields(version: SchemaVersion) -> None:
    fields = {field["name"]: field["type"] for field in version.definition["fields"][: len(COMMON_FIELDS)]}
    assert fields == COMMON_TYPES
    assert version.subject == f"{HERE.namespace}.{version.name}"


@pytest.mark.parametrize("version", VERSIONS, ids=label)
def test_every_version_has_examples_that_are_valid_by_it(version: SchemaVersion) -> None:
    parsed = fastavro.parse_schema(version.definition)
    examples = version.examples()
    assert examples
    for example in examples:
        assert fastavro.validate(native(example), parsed, strict=True, raise_errors=True)


def test_no_event_id_is_in_two_examples() -> None:
    ids = [example["event_id"] for version in VERSIONS for example in version.examples()]
    assert len(ids) == len(set(ids))


def test_the_generated_classes_are_current() -> None:
    assert render(load()) == (HERE.schemas / "events.py").read_text(encoding="utf-8")
    assert HERE.event_classes.keys() == {version.subject for version in VERSIONS}
