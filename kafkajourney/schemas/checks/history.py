"""That a version that was once merged never changes."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from kafkajourney.avro.catalogue import SchemaVersion
from kafkajourney.avro.changes import ADDED, REMOVED, Change, changes
from kafkajourney.errors import StopError
from kafkajourney.schemas.checks.finding import Finding, shown
from kafkajourney.schemas.git import Merged


def changed(merged: Iterable[Merged]) -> Iterator[Finding]:
    """Find versions that are not what they were when they were merged, or not there any more."""
    for file in merged:
        if not file.path.exists():
            yield _finding(file, "the file", f"was merged in {file.commit} and is gone", _GONE)
        elif (old := _parsed(file.text)) is not None and (new := _definition(file)) is not None:
            for change in changes(old, new):
                yield _finding(file, *_told(change, file.commit), _CHANGED)


_CHANGED = (
    "readers of {0} would read what writers of {0} wrote before the change as something that it is not",
    ". For a change run: python -m schemas evolve {1}",
)
_GONE = (
    "no reader of the newest version can read what writers of {0} wrote, nor the topic's union",
    "; a type that nobody writes any more stays.",
)


def _finding(file: Merged, subject: str, problem: str, texts: tuple[str, str]) -> Finding:
    name = (_parsed(file.text) or {}).get("name", "EVENT")
    whom, hint = (text.format(f"version {file.path.stem.removeprefix('v')}", name) for text in texts)
    advice = f"Restore it (git checkout {file.commit} -- {shown(file.path)}){hint}"
    return Finding(file.path, subject, problem, whom, advice)


def _told(change: Change, commit: str) -> tuple[str, str]:
    since = f"since it was merged in {commit}"
    if change.what in (ADDED, REMOVED):
        return change.place, f"was {change.what} {since}"
    return change.place, f"was changed {since} ({change.what}: {change.old or 'none'}, now {change.new or 'none'})"


def _parsed(text: str) -> Any:
    """Return what was merged as JSON; None where it was no schema, which may be corrected."""
    try:
        definition = json.loads(text)
    except ValueError:
        return None
    return definition if isinstance(definition, dict) and "fields" in definition else None


def _definition(file: Merged) -> Any:
    """Return what the file has now; None where it cannot be read, which another check tells."""
    try:
        return SchemaVersion(0, file.path).definition
    except StopError:
        return None
