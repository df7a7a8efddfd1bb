"""Between events and bytes: the Confluent wire format, Avro by the writer's schema resolved to the reader's.

Wire format: magic byte 0, the schema's id as a 4-byte big-endian integer, the Avro body
(https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format).
"""

import dataclasses
import io
import json
import struct
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from confluent_kafka.schema_registry import Schema, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import SchemaParseException, UnknownType

from kafkajourney.errors import DecodeError, StopError
from kafkajourney.events import Decoded, Event, UnknownEvent
from kafkajourney.registry import NotRegisteredError, Registry
from schemas.catalogue import COMMON_FIELDS, Catalogue

HEADER = struct.Struct(">bI")
_SHOWN = 200


class Encoder:
    """From an event of a generated class to bytes, by confluent-kafka's AvroSerializer.

    Schemas are only looked up, never registered: what producers write was registered in deployment. That the values
    fit the classes is up to whoever makes the events: Avro's writer takes some that do not.
    """

    def __init__(self, registry: Registry, catalogue: Catalogue, topic: str) -> None:
        self._context = SerializationContext(topic, MessageField.VALUE)
        self._serializers: dict[str, AvroSerializer] = {}
        for event_type in catalogue.values():
            newest = event_type.newest
            schema = Schema(newest.text, "AVRO")
            self._require(registry, newest.subject, newest.version, schema)
            self._serializers[event_type.name] = AvroSerializer(
                registry.client,
                schema,
                to_dict=_nested_fields if '"record"' in json.dumps(newest.definition["fields"]) else _fields,
                conf={
                    "auto.register.schemas": False,
                    # Named, since the default asks the registry for associations first.
                    "subject.name.strategy": record_subject_name_strategy,
                },
            )

    @staticmethod
    def _require(registry: Registry, subject: str, version: int, schema: Schema) -> None:
        try:
            registry.lookup(subject, schema)
        except NotRegisteredError as error:
            raise StopError(
                f"Version {version} of {subject} is not registered: {error}. Run: python -m schemas register"
            ) from error

    def __call__(self, event: Event) -> bytes:
        """Return the event in the Confluent wire format; raise ValueError or TypeError where a field does not fit."""
        value = self._serializers[type(event).__name__](event, self._context)
        assert value is not None  # noqa: S101 # None stands for a null event only
        return value


class _Reading(NamedTuple):
    """How records of one writer's schema are read; prepared once for each schema id."""

    event_type: str
    writer: Any
    reader: Any
    """The schema to resolve to; None where writer and reader are the same."""
    make: Callable[..., Event]
    """The class, or what also checks the fields where the writer's schema is not the class's own."""
    extras: frozenset[str]
    """Fields of the writer that the class does not have."""


def _fields(event: Any, _context: SerializationContext) -> dict[str, Any]:
    fields: dict[str, Any] = vars(event)
    return fields


def _nested_fields(event: Any, _context: SerializationContext) -> dict[str, Any]:
    """Return the fields of an event that has records within; that takes its time."""
    nested: dict[str, Any] = dataclasses.asdict(event)
    return nested


_PASSED_OVER: list[_Reading | DecodeError | None] = [None]


class Decoder:
    """From bytes to an event.

    ``wanted`` names the event types to decode, None all of them; records of others are passed over undecoded.
    """

    def __init__(
        self,
        registry: Registry,
        catalogue: Catalogue,
        classes: Mapping[str, type],
        wanted: Collection[str] | None = None,
    ) -> None:
        self._registry = registry
        self._classes = classes
        self._definitions = {t.subject: t.newest.definition for t in catalogue.values()}
        self._wanted = wanted
        self._readings: dict[int, list[_Reading | DecodeError | None]] = {}

    def __call__(self, value: bytes | None) -> Decoded | None:
        """Return the event in these bytes, None where its type is not wanted.

        Raises DecodeError where they are no event, TransientError while the registry is away.
        """
        if value is None:
            raise DecodeError("the value is null")
        if len(value) < HEADER.size:
            raise DecodeError(f"{len(value)} bytes are too few for the Confluent header of {HEADER.size}")
        magic, schema_id = HEADER.unpack_from(value)
        if magic != 0:
            raise DecodeError(f"the first byte is {value[0]}, not the magic byte 0 of the Confluent wire format")
        readings = self._readings.get(schema_id) or self._prepare(schema_id)
        if readings == _PASSED_OVER:
            return None
        body = io.BytesIO(value)
        body.seek(HEADER.size)
        reading = readings[0] if len(readings) == 1 else _branch(body, readings)
        if isinstance(reading, DecodeError):
            raise DecodeError(str(reading))  # a new one: a traceback keeps the record, and grows
        return None if reading is None else _read(reading, body, len(value))

    def _prepare(self, schema_id: int) -> list[_Reading | DecodeError | None]:
        """Return the ways to read records of this id: one, or one for each branch where it is a union."""
        named: dict[str, Any] = {}
        try:
            schema = self._registry.schema(schema_id)
            self._collect(schema, named)
        except NotRegisteredError as error:
            raise DecodeError(f"schema id {schema_id} is not in the registry: {error}") from error
        if schema.schema_type not in (None, "AVRO"):
            raise DecodeError(f"schema id {schema_id} is of type {schema.schema_type}, not AVRO")
        try:
            definition = json.loads(schema.schema_str or "null")
            branches = definition if isinstance(definition, list) else [definition]
            readings = [self._reading(branch, named, schema_id) for branch in branches]
        except (ValueError, SchemaParseException, UnknownType) as error:
            raise DecodeError(f"schema id {schema_id} cannot be used: {error}") from error
        self._readings[schema_id] = readings
        return readings

    def _collect(self, schema: Schema, named: dict[str, Any]) -> None:
        """Parse all schemas that this one refers to, by name."""
        for reference in schema.references or ():
            referenced = self._registry.referenced(reference)
            self._collect(referenced, named)
            if reference.name not in named:
                parse_schema(json.loads(referenced.schema_str or "null"), named_schemas=named)

    def _reading(self, branch: Any, named: dict[str, Any], schema_id: int) -> _Reading | DecodeError | None:
        """Return how to read records of one type, None where it is not wanted, the reason where it is no event."""
        writer = named[branch] if isinstance(branch, str) and branch in named else branch
        if not isinstance(writer, dict) or writer.get("type") != "record":
            return DecodeError(f"schema id {schema_id} is no record but {_shown(branch)}")
        parsed: Any = parse_schema(writer, named_schemas=dict(named)) if writer is branch else writer
        full_name, fields = parsed["name"], {field["name"] for field in parsed["fields"]}
        event_type = full_name.rpartition(".")[2]
        event_class = self._classes.get(full_name)
        if self._wanted is not None and (event_type not in self._wanted or event_class is None):
            return None
        if event_class is None:
            if missing := [name for name in COMMON_FIELDS if name not in fields]:
                return DecodeError(f"{full_name} is no event: it has no {', '.join(missing)}")
            return _Reading(event_type, parsed, None, _checked(UnknownEvent), frozenset(fields - set(COMMON_FIELDS)))
        known = self._definitions[full_name]
        if _canonical(parsed) == _canonical(known):
            return _Reading(event_type, parsed, None, event_class, frozenset())
        extras = fields - {field.name for field in dataclasses.fields(event_class)}
        return _Reading(event_type, parsed, parse_schema(known), _checked(event_class), frozenset(extras))


def _read(reading: _Reading, body: io.BytesIO, end: int) -> Decoded:
    start = body.tell()
    try:
        fields: Any = schemaless_reader(body, reading.writer, reading.reader)
        if body.tell() != end:
            raise DecodeError(f"{end - body.tell()} bytes are left over after the {reading.event_type}")
        extras = _extras(reading, fields, body, start) if reading.extras else {}
        event = reading.make(**fields)
    except DecodeError:
        raise
    except (EOFError, IndexError) as error:
        raise DecodeError(f"truncated: the body ends before the {reading.event_type} does") from error
    except Exception as error:  # fastavro raises whatever its parts raise: EOFError, IndexError, OverflowError, ...
        raise DecodeError(
            f"the body is no valid {reading.event_type}: {type(error).__name__} {_shown(str(error))}"
        ) from error
    return Decoded(reading.event_type, event, extras)


def _checked(event_class: Callable[..., Event]) -> Callable[..., Event]:
    """Return what makes events of this class whose common fields another schema may have in other types."""
    return lambda **fields: _typed(event_class(**fields))


def _typed(event: Event) -> Event:
    """Return the event with its id as a UUID, also where the writer's schema says nothing of logical types."""
    if not isinstance(event.event_id, UUID):
        event.event_id = UUID(event.event_id)
    if not isinstance(event.occurred_at, datetime):
        raise DecodeError(f"occurred_at {_shown(event.occurred_at)} is no timestamp-millis")
    if not (isinstance(event.user_id, str) and isinstance(event.session_id, str) and isinstance(event.page_url, str)):
        raise DecodeError("user_id, session_id and page_url have to be strings")
    return event


def _extras(reading: _Reading, fields: dict[str, Any], body: io.BytesIO, start: int) -> dict[str, Any]:
    """Return the fields that the class does not have, taken out of ``fields`` where no reader's schema dropped them."""
    if reading.reader is None:
        return {name: fields.pop(name) for name in reading.extras}
    body.seek(start)
    written: Any = schemaless_reader(body, reading.writer, None)
    return {name: written[name] for name in reading.extras}


def _branch(body: io.BytesIO, readings: list[_Reading | DecodeError | None]) -> _Reading | DecodeError | None:
    """Return how to read the branch of a union that the body begins with."""
    try:
        index: Any = schemaless_reader(body, "long", None)
        if index < 0:
            raise IndexError
        return readings[int(index)]
    except (EOFError, IndexError):
        raise DecodeError(f"the body begins with no branch of its union of {len(readings)} types") from None


def _canonical(definition: Any) -> str:
    """Return a schema's text without what does not change how records are read, to compare it with another's."""
    return json.dumps(_stripped(definition), sort_keys=True)


def _stripped(node: Any) -> Any:
    if isinstance(node, dict):
        name = {"name": f"{node['namespace']}.{node['name']}"} if "namespace" in node else {}
        return {k: _stripped(v) for k, v in node.items() if k not in ("doc", "namespace") and k[:2] != "__"} | name
    return [_stripped(item) for item in node] if isinstance(node, list) else node


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
