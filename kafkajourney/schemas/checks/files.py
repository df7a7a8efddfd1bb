"""Which files there are: every folder an event type, every file a version or its examples, nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from fastavro import parse_schema
from fastavro.schema import SchemaParseException, UnknownType

from kafkajourney.avro.catalogue import SchemaVersion, type_folders
from kafkajourney.avro.parsing import SchemaInvalidError, parse
from kafkajourney.errors import StopError
from kafkajourney.schemas.checks.finding import Finding

_VERSION = re.compile(r"v([1-9]\d*)")


def readable(folder: Path) -> tuple[dict[Path, list[SchemaVersion]], list[Finding]]:
    """Return the versions that can be read, oldest first by the type's folder, and what is wrong with the others."""
    types: dict[Path, list[SchemaVersion]] = {}
    found: list[Finding] = []
    for type_folder in type_folders(folder):
        named = [path for path in type_folder.glob("*.avsc") if _VERSION.fullmatch(path.stem)]
        versions = sorted((SchemaVersion(int(path.stem[1:]), path) for path in named), key=lambda v: v.version)
        refused = {version.version: finding for version in versions if (finding := _unreadable(version))}
        found += [*refused.values(), *_gaps(type_folder, [v.version for v in versions])]
        types[type_folder] = [v for v in versions if v.version not in refused]
    return types, found


def unreferenced(folder: Path) -> Iterator[Finding]:
    """Find files that belong to no version, and folders that hold no event type."""
    types = type_folders(folder)
    for path in sorted(folder.iterdir()):
        if path in types:
            yield from map(_stray, sorted(p for p in path.iterdir() if not _belongs(p) and not _ignored(p)))
        elif not _ignored(path) and path.suffix != ".py" and not (path / "__init__.py").exists():
            yield _stray(path)


def _unreadable(version: SchemaVersion) -> Finding | None:
    whom = f"nobody can write or read version {version.version}"
    try:
        definition = version.definition
        parse(json.dumps(definition))
        parse_schema(definition)
    except StopError as error:
        problem, _, advice = str(error).removeprefix(f"{version.path}: ").partition(". ")
        return Finding(version.path, "the file:", problem, whom, advice)
    except (SchemaInvalidError, SchemaParseException, UnknownType) as error:
        problem = str(error).removeprefix("Not a valid Avro schema: ").rstrip(".")
        return Finding(version.path, "not a valid Avro schema:", problem, whom, "Correct it.")
    return None


def _gaps(folder: Path, numbers: list[int]) -> Iterator[Finding]:
    for number in range(1, max(numbers, default=0)):
        if number not in numbers:
            path = folder / f"v{number}.avsc"
            whom = f"what writers of version {number} wrote has no schema here"
            yield Finding(
                path, "the file", "is missing", whom, "Number the versions v1.avsc, v2.avsc, ... without a gap."
            )


def _belongs(path: Path) -> bool:
    name, _, suffix = path.name.partition(".")
    schema = path.with_name(f"{name}.avsc")
    return bool(_VERSION.fullmatch(name)) and suffix in ("avsc", "examples.ndjson") and schema.exists()


def _ignored(path: Path) -> bool:
    return path.name.startswith(".") or path.name in ("__pycache__", "py.typed")


def _stray(path: Path) -> Finding:
    whom = "no reader or writer will ever use it"
    advice = "A type is a folder with v1.avsc, v1.examples.ndjson, ...; rename it so, or remove it."
    return Finding(path, "the folder" if path.is_dir() else "the file", "belongs to no version", whom, advice)
