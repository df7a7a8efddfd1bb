"""New files: an event type, or the next version of one."""

import json
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kafkajourney import application
from kafkajourney.avro.catalogue import Catalogue, EventType
from kafkajourney.avro.changes import changes
from kafkajourney.errors import SettingsError
from kafkajourney.events import COMMON_FIELDS, COMMON_TYPES
from kafkajourney.schemas.checks.finding import TODO, shown
from kafkajourney.schemas.checks.rules import TYPE_NAME, folder_name

_DOCS = {
    "event_id": "Identifies this event; made once, where it happened.",
    "user_id": "Who it was. Also the record's key: a user's events keep their order.",
    "session_id": "One visit of the user.",
    "page_url": "The page on which it happened.",
    "occurred_at": "When it happened, UTC.",
}


def new(folder: Path, catalogue: Catalogue, name: str, now: datetime) -> list[Path]:
    """Write the first version of a new event type with an example; return the files.

    Raises SettingsError where the name is none or taken.
    """
    if not TYPE_NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is no name for an event type. Write it as CartFilled: what happened, in CamelCase."
        )
    target = folder / folder_name(name)
    if taken := [known for known in catalogue if known.lower() == name.lower()]:
        raise SettingsError(
            f"There is an event type {taken[0]}. For its next version: python -m schemas evolve {taken[0]}"
        )
    if target.exists():
        raise SettingsError(f"{shown(target)} exists. Choose another name, or remove it.")
    target.mkdir()
    return [_write(target / "v1.avsc", _schema(name)), _write(target / "v1.examples.ndjson", _example(now))]


def evolve(event_type: EventType) -> list[Path]:
    """Write the next version of an event type, with what the newest has, examples too; return the files.

    Raises SettingsError where the newest is such a copy still.
    """
    *_, before, newest = [None, *event_type.versions]
    if before is not None and not changes(before.definition, newest.definition):
        raise SettingsError(f"{shown(newest.path)} still says what version {before.version} says. Change that one.")
    schema = newest.path.with_name(f"v{newest.version + 1}.avsc")
    examples = schema.with_suffix(".examples.ndjson")
    if examples.exists():
        raise SettingsError(f"{shown(examples)} exists without its schema. Remove it.")
    lines = newest.examples_path.read_text(encoding="utf-8").splitlines()
    text = newest.path.read_text(encoding="utf-8")
    return [_write(schema, text), _write(examples, "".join(f"{_with_new_id(line)}\n" for line in lines))]


def _schema(name: str) -> str:
    fields = ",\n".join(f"    {_json(_field(field))}" for field in COMMON_FIELDS)
    head = f'  "type": "record",\n  "name": "{name}",\n  "namespace": "{application.current().namespace}"'
    doc = f'  "doc": "{TODO}: what a user did."'
    return f'{{\n{head},\n{doc},\n  "fields": [\n{fields}\n  ]\n}}\n'


def _field(name: str) -> dict[str, Any]:
    return {"name": name, "type": COMMON_TYPES[name], "doc": _DOCS[name]}


def _example(now: datetime) -> str:
    moment = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    values = (str(uuid.uuid4()), "user-0042", "user-0042-3", "https://shop.example.com/", moment)
    return _json(dict(zip(COMMON_FIELDS, values, strict=True))) + "\n"


def _with_new_id(line: str) -> str:
    """Return an example as another event, its layout kept."""
    return re.sub(r'("event_id": *")[^"]*', rf"\g<1>{uuid.uuid4()}", line)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
