"""A copy of the schema files to change in tests, as a person would in a pull request."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kafkajourney.avro.catalogue import load
from kafkajourney.schemas.check import check
from kafkajourney.schemas.generate import render
from tests.support.processes import FOLDER

Json = dict[str, Any]
VIDEO = Path("schemas/video_played")
V1, V2, V3, V4 = (VIDEO / f"v{number}.avsc" for number in (1, 2, 3, 4))
EXAMPLES = V3.with_suffix(".examples.ndjson")
TITLE = {"name": "title", "type": ["null", "string"], "default": None, "doc": "The video's title."}


def copy_schemas() -> Path:
    """Copy the event types and their classes into the working folder; return the copy."""
    for path in FOLDER.iterdir():
        if any(path.glob("*.avsc")):
            shutil.copytree(path, Path("schemas", path.name))
    shutil.copy(FOLDER / "events.py", "schemas")
    return Path("schemas").absolute()


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit() -> str:
    git("add", ".")
    git("commit", "--quiet", "--message=schemas")
    return git("rev-parse", "--short=10", "HEAD")


def lines(folder: Path) -> list[str]:
    return [str(finding) for finding in check(folder).findings]


def edit(path: Path, change: Callable[[Json], object]) -> None:
    definition = json.loads(path.read_text())
    change(definition)
    path.write_text(json.dumps(definition))


def evolve(*fields: Json, without: str = "", **values: object) -> None:
    """Write version 3 of VideoPlayed: version 2 with other fields, which the examples have with these values."""
    definition = json.loads(V2.read_text())
    replaced = {field["name"] for field in fields} | {without}
    definition["fields"] = [f for f in definition["fields"] if f["name"] not in replaced] + list(fields)
    V3.write_text(json.dumps(definition))
    examples = [json.loads(line) for line in V2.with_suffix(".examples.ndjson").read_text().splitlines()]
    written = ({k: v for k, v in (example | values).items() if k != without} for example in examples)
    EXAMPLES.write_text("".join(json.dumps(example) + "\n" for example in written))
    generate()


def generate() -> None:
    Path("schemas/events.py").write_text(render(load(Path("schemas").absolute())))


def copy_to_version_4() -> None:
    shutil.copy(V3, V4)
    shutil.copy(EXAMPLES, V4.with_suffix(".examples.ndjson"))


def enum(*symbols: str) -> Json:
    return {"type": "enum", "name": "Quality", "symbols": list(symbols)}


def quality(*symbols: str) -> Json:
    return {"name": "quality", "type": enum(*symbols), "default": symbols[0]}
