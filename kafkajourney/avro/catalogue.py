"""The schema files as data: which event types there are, in which versions, under which subjects.

Pure: reads files, talks to nobody. A folder such as ``video_played`` holds ``v1.avsc``, ``v2.avsc``, ... and
beside each its example records, ``v1.examples.ndjson``. Files are append-only: a version that was registered
never changes.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kafkajourney import application
from kafkajourney.errors import StopError
from kafkajourney.events import COMMON_FIELDS

EVENT_COMPATIBILITY = "FULL_TRANSITIVE"
"""Level of an event type's subject: any version reads what any other version wrote."""

UNION_COMPATIBILITY = "BACKWARD_TRANSITIVE"
"""Level of the topic's subject: its newest union reads what any earlier one wrote."""


@dataclass(frozen=True)
class SchemaVersion:
    """One version of one event type, as its file has it."""

    version: int
    path: Path

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Return the parsed schema; raise StopError where the file is no Avro record."""
        try:
            definition = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise StopError(f"{self.path}: not valid JSON: {error}. Correct the file.") from None
        if not isinstance(definition, dict) or definition.get("type") != "record" or "name" not in definition:
            raise StopError(f'{self.path}: not an Avro record with a name. Start with {{"type": "record", "name": ...')
        if not isinstance(definition.get("fields"), list):
            raise StopError(f'{self.path}: the record has no list of "fields". Add it.')
        return definition

    @property
    def text(self) -> str:
        """Return the schema as it is registered: the file's JSON without the layout."""
        return json.dumps(self.definition, ensure_ascii=False, separators=(",", ":"))

    @property
    def name(self) -> str:
        """Return the record's short name, such as ``VideoPlayed``."""
        return str(self.definition["name"])

    @property
    def subject(self) -> str:
        """Return the record's full name, which is also its subject."""
        return f"{self.definition.get('namespace', application.current().namespace)}.{self.name}"

    @property
    def own_fields(self) -> tuple[str, ...]:
        """Return the names of the fields that only this type has."""
        return tuple(f["name"] for f in self.definition["fields"] if f["name"] not in COMMON_FIELDS)

    @property
    def examples_path(self) -> Path:
        """Return the file of the example records."""
        return self.path.with_suffix(".examples.ndjson")

    def examples(self) -> list[dict[str, Any]]:
        """Return the example records: JSON objects with ``occurred_at`` in ISO 8601."""
        return [json.loads(line) for line in self.examples_path.read_text(encoding="utf-8").splitlines()]


@dataclass(frozen=True)
class EventType:
    """An event type with all its versions, oldest first."""

    versions: tuple[SchemaVersion, ...]

    @property
    def newest(self) -> SchemaVersion:
        """Return the version that producers write and that the classes are generated from."""
        return self.versions[-1]

    @property
    def name(self) -> str:
        """Return the record's short name."""
        return self.newest.name

    @property
    def subject(self) -> str:
        """Return the record's full name, which is also its subject."""
        return self.newest.subject


class Catalogue(Mapping[str, EventType]):
    """All event types by short name, in alphabetical order."""

    def __init__(self, types: dict[str, EventType]) -> None:
        self._types = types

    def __getitem__(self, name: str) -> EventType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def find(self, name: str) -> EventType:
        """Return the type of this short name or subject; raise StopError with the known names."""
        for event_type in self.values():
            if name in (event_type.name, event_type.subject):
                return event_type
        raise StopError(f"There is no event type {name!r}. Known are: {', '.join(self)}.")


def load(folder: Path | None = None) -> Catalogue:
    """Read all event types below ``folder``, by default those of this process's application.

    Raises StopError where a file or the numbering is wrong.
    """
    types: dict[str, EventType] = {}
    for path in type_folders(folder or application.current().schemas):
        event_type = _load_type(path)
        if event_type.name in types:
            other = types[event_type.name].newest.path.parent
            raise StopError(f"{path}: {event_type.name} is in {other} too. Keep one folder for it.")
        types[event_type.name] = event_type
    return Catalogue(types)


def type_folders(folder: Path) -> list[Path]:
    """Return the folders below ``folder`` that hold an event type, in alphabetical order."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and any(path.glob("*.avsc")))


def _load_type(folder: Path) -> EventType:
    versions = sorted((_load_version(path) for path in folder.glob("*.avsc")), key=lambda v: v.version)
    if [v.version for v in versions] != list(range(1, len(versions) + 1)):
        raise StopError(f"{folder}: the versions have to be v1.avsc, v2.avsc, ... without a gap.")
    for version in versions:
        if version.subject != versions[0].subject:
            raise StopError(f"{version.path}: version 1 is called {versions[0].subject}, this one {version.subject}.")
    return EventType(tuple(versions))


def _load_version(path: Path) -> SchemaVersion:
    match = re.fullmatch(r"v([1-9]\d*)", path.stem)
    if not match:
        raise StopError(f"{path}: a schema file is named by its version: v1.avsc, v2.avsc, ...")
    return SchemaVersion(int(match[1]), path)
