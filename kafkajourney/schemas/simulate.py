"""Every version as a writer against every version as a reader, through the real serialiser and decoder.

The registry is confluent-kafka's own, in memory, which takes any schema: nothing has to run, and what a break would
do is seen too.
"""

import math
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple, cast

from confluent_kafka.schema_registry import Schema, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from kafkajourney.avro.catalogue import Catalogue, EventType, SchemaVersion
from kafkajourney.avro.examples import native
from kafkajourney.errors import KafkaJourneyError
from kafkajourney.events import COMMON_FIELDS, Decoded
from kafkajourney.registry.client import Registry
from kafkajourney.registry.decoder import Decoder
from kafkajourney.schemas.generate import render
from kafkajourney.settings import DEFAULTS, Settings

IN_MEMORY = "mock://simulate"
"""The URL of confluent-kafka's registry for tests."""

STRANGER = 0
"""The version of a reader that does not know the type."""


class Meeting(NamedTuple):
    """What became of one version's examples with one reader."""

    writer: SchemaVersion
    reader: int
    """The reader's version, or ``STRANGER``."""
    defaults: tuple[str, ...]
    """Fields that the reader filled with their defaults."""
    extras: tuple[str, ...]
    """Fields that the reader does not know and kept all the same."""
    problem: str
    """Why an example did not arrive as it was written; empty where all did."""

    @property
    def outcome(self) -> str:
        """Return it in a few words."""
        if self.problem:
            return f"✗ {self.problem}"
        filled = [f"{name} by default" for name in self.defaults]
        return ", ".join(["✓", *filled, *(f"{name} kept" for name in self.extras)]).replace("✓,", "✓")


def simulate(catalogue: Catalogue) -> Iterator[Meeting]:
    """Yield what becomes of the examples of every version with every reader of its type, and with a stranger."""
    registry = Registry(Settings(DEFAULTS["bootstrap_servers"], IN_MEMORY, "sqlite://", DEFAULTS["topic"]))
    with registry.client:
        for event_type in catalogue.values():
            yield from _meetings(registry, event_type)


def _meetings(registry: Registry, event_type: EventType) -> Iterator[Meeting]:
    readers = {version.version: _decoder(registry, event_type, version.version) for version in event_type.versions}
    readers[STRANGER] = Decoder(registry, Catalogue({}), {})
    for writer in event_type.versions:
        registry.register(writer.subject, Schema(writer.text, "AVRO"))
        records = [native(writer.definition, example) for example in writer.examples()]
        values = _written(registry, writer, records)
        for number, decoder in readers.items():
            reader = event_type.versions[number - 1] if number != STRANGER else None
            yield _meeting(writer, reader, decoder, list(zip(records, values, strict=True)))


def _decoder(registry: Registry, event_type: EventType, newest: int) -> Decoder:
    """Return the decoder of a consumer whose newest version is this one, with the classes generated from it."""
    catalogue = Catalogue({event_type.name: EventType(event_type.versions[:newest])})
    module = ModuleType(f"{event_type.name}{newest}")
    exec(render(catalogue), vars(module))  # noqa: S102 # what `generate` writes, from our own files
    return Decoder(registry, catalogue, module.EVENT_TYPES)


def _written(registry: Registry, writer: SchemaVersion, records: Sequence[Any]) -> list[bytes]:
    options = {"auto.register.schemas": False, "subject.name.strategy": record_subject_name_strategy}
    serializer = AvroSerializer(registry.client, Schema(writer.text, "AVRO"), conf=options)
    context = SerializationContext(DEFAULTS["topic"], MessageField.VALUE)
    return [cast("bytes", serializer(record, context)) for record in records]


def _meeting(
    writer: SchemaVersion, reader: SchemaVersion | None, decoder: Decoder, sent: Sequence[tuple[Any, bytes]]
) -> Meeting:
    written = {field["name"] for field in writer.definition["fields"]}
    known = {field["name"] for field in reader.definition["fields"]} if reader else set(COMMON_FIELDS)
    problems = [problem for record, value in sent if (problem := _lost(decoder, record, value))]
    number = reader.version if reader else STRANGER
    return Meeting(writer, number, _sorted(known - written), _sorted(written - known), "; ".join(problems[:1]))


def _lost(decoder: Decoder, record: Any, value: bytes) -> str:
    """Return what of a record did not arrive as it was written; nothing where all did."""
    try:
        decoded = decoder(value)
    except KafkaJourneyError as error:
        return str(error)
    arrived = _fields(decoded)
    lost = [name for name in record if name not in arrived or not _same(arrived[name], record[name])]
    return ", ".join(f"{name} is {arrived.get(name, 'gone')!r}, not {record[name]!r}" for name in lost)


def _same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)  # a 32 bit float comes back as another Python float
    return one == other


def _fields(decoded: Decoded | None) -> dict[str, Any]:
    if decoded is None:
        return {}
    names = [*COMMON_FIELDS, *getattr(decoded.event, "__dataclass_fields__", ())]
    return {name: getattr(decoded.event, name) for name in names} | dict(decoded.extras)


def _sorted(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
