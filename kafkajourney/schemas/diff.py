"""What a reviewer sees of a change: a row for each field that differs, and whom it breaks. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from kafkajourney.avro.catalogue import Catalogue, SchemaVersion
from kafkajourney.avro.changes import ADDED, REMOVED, Change, changes, places, summary
from kafkajourney.schemas.checks.evolution import incompatible


class Row(NamedTuple):
    """One difference between two versions."""

    versions: str
    """``VideoPlayed 1 → 2``."""
    field: str
    """Its name, with its record's before it where that is a nested one; empty for the event itself."""
    what: str
    old: str
    new: str
    breaks: str
    """Readers of which version cannot read what writers of which version write; empty where all can."""


def versions_diff(old: SchemaVersion, new: SchemaVersion) -> list[Row]:
    """Return what differs between two versions, of one type as a rule."""
    broken = {finding.subject: finding.whom for finding in incompatible([old, new])}
    title = f"{new.name} {old.version} → {new.version}"
    return [
        _row(title, new, change, broken.get(change.place, "")) for change in changes(old.definition, new.definition)
    ]


def catalogues_diff(old: Catalogue, new: Catalogue) -> Iterator[Row]:
    """Yield what differs between two states of the folder: types that came and went, and the newest versions."""
    for name in dict.fromkeys([*new, *old]):
        if name not in old:
            yield from _whole(new[name].newest, ADDED)
        elif name not in new:
            yield from _whole(old[name].newest, REMOVED)
        else:
            yield from versions_diff(old[name].newest, new[name].newest)


def _whole(version: SchemaVersion, what: str) -> Iterator[Row]:
    """Yield all fields of a type that is new or gone."""
    gone = "readers of the topic's union cannot read what writers of it wrote" if what == REMOVED else ""
    for place, attributes in places(version.definition).items():
        told = summary(attributes)
        change = Change(place, what, told, "") if what == REMOVED else Change(place, what, "", told)
        yield _row(f"{version.name} {version.version}", version, change, gone)


def _row(title: str, version: SchemaVersion, change: Change, breaks: str) -> Row:
    field = change.place.removeprefix(f"{version.name}.")
    return Row(title, field if field != version.name else "", change.what, change.old, change.new, breaks)
