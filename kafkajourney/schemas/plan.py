"""What ``register`` would do, and what the registry says to it. Changes nothing."""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from confluent_kafka.schema_registry import Schema

from kafkajourney.avro.catalogue import EVENT_COMPATIBILITY, UNION_COMPATIBILITY, Catalogue, EventType, SchemaVersion
from kafkajourney.avro.changes import changes
from kafkajourney.avro.compatibility import Level, check, parse
from kafkajourney.registry.client import NotRegisteredError, Registry
from kafkajourney.registry.subjects import union_subject
from kafkajourney.schemas.checks.finding import Finding, versions_text
from kafkajourney.schemas.register import union_schema


class Step(NamedTuple):
    """One thing that ``register`` would do, would leave as it is, or cannot do."""

    subject: str
    what: str
    finding: Finding | None = None
    """Why it cannot be done."""


def plan(registry: Registry, catalogue: Catalogue, topic: str) -> Iterator[Step]:
    """Yield the steps of ``register`` in its order.

    The registry judges by the level that a subject has now. Raises TransientError while it is away.
    """
    registered: dict[str, int] = {}
    for event_type in catalogue.values():
        yield from _level(registry, event_type.subject, EVENT_COMPATIBILITY)
        numbers = registry.versions(event_type.subject)
        known = {n: registry.version(event_type.subject, n).schema_str or "" for n in numbers}
        yield from _versions(registry, event_type, known)
        if event_type.newest.version in known:
            registered[event_type.subject] = event_type.newest.version
    subject = union_subject(topic)
    yield from _level(registry, subject, UNION_COMPATIBILITY)
    yield _union(registry, subject, catalogue, registered)


def _level(registry: Registry, subject: str, wanted: str) -> Iterator[Step]:
    if (level := registry.level(subject)) != wanted:
        yield Step(subject, f"the level would be set to {wanted} (now: {level or 'none of its own'})")


def _versions(registry: Registry, event_type: EventType, known: Mapping[int, str]) -> Iterator[Step]:
    for version in event_type.versions:
        what = f"version {version.version}"
        if version.version not in known:
            refusal = _refusal(registry, version, known)
            yield Step(event_type.subject, f"{what} would be {'refused' if refusal else 'registered'}", refusal)
        else:
            difference = _difference(version, known[version.version])
            yield Step(event_type.subject, f"{what} is {'another one' if difference else 'registered'}", difference)
    for number in (number for number in known if number > event_type.newest.version):
        yield Step(event_type.subject, f"version {number} is registered, and not in these files")


def _difference(version: SchemaVersion, registered: str) -> Finding | None:
    """Return how a file differs from what is registered as its version."""
    differences = changes(json.loads(registered), version.definition)
    if not differences:
        return None
    first, *others = differences
    old, new = first.old or "nothing", first.new or "nothing"
    more = f", and {len(others)} more" if others else ""
    problem = f"is not what the registry has as version {version.version} ({first.what}: {old}, here {new}{more})"
    whom = f"readers have another version {version.version} than its writers"
    advice = f"Restore the file; for a change run: python -m schemas evolve {version.name}"
    return Finding(version.path, first.place, problem, whom, advice)


def _refusal(registry: Registry, version: SchemaVersion, known: Mapping[int, str]) -> Finding | None:
    """Return why the registry would not take a version."""
    if not known or registry.accepts(version.subject, Schema(version.text, "AVRO")):
        return None
    earlier = {f"version {number}": parse(text) for number, text in known.items()}
    reasons = check(parse(version.text), earlier, Level(EVENT_COMPATIBILITY)) or ["it gives no reason"]
    whom = f"readers or writers of {versions_text(sorted(known))} would break"
    advice = "Change the file as `python -m schemas check` says."
    return Finding(version.path, version.name, f"is refused by the registry ({'; '.join(reasons)})", whom, advice)


def _union(registry: Registry, subject: str, catalogue: Catalogue, registered: dict[str, int]) -> Step:
    if len(registered) < len(catalogue):
        return Step(subject, "the union would be registered, with the newest versions")
    schema = union_schema(catalogue, registered)
    try:
        return Step(subject, f"version {registry.lookup(subject, schema)} is registered")
    except NotRegisteredError:
        pass
    if not registry.versions(subject) or registry.accepts(subject, schema):
        return Step(subject, "the union would be registered, with the newest versions")
    path = catalogue[next(iter(catalogue))].newest.path.parent.parent
    whom = "readers of the topic's newest union cannot read what writers of all earlier versions wrote"
    advice = "Keep every event type that was ever registered."
    finding = Finding(path, subject, "is refused by the registry as a union", whom, advice)
    return Step(subject, "the union would be refused", finding)
