"""From bytes to events: Avro by the writer's schema, resolved to the reader's."""

import dataclasses
import io
import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from confluent_kafka.schema_registry import Schema
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import SchemaParseException, UnknownType

from kafkajourney.avro.catalogue import Catalogue
from kafkajourney.avro.shape import require_bounded, require_shallow, shape
from kafkajourney.errors import DecodeError, StopError, TransientError
from kafkajourney.events import COMMON_FIELDS, Decoded, Event, UnknownEvent
from kafkajourney.registry.absent import AbsentIds
from kafkajourney.registry.client import NotRegisteredError, Registry
from kafkajourney.registry.wire import HEADER

_SHOWN = 200


_NO_EXTRAS: Mapping[str, Any] = MappingProxyType({})


Read = Callable[[bytes, int], Decoded | None]
"""Reads a record's event from this place in its bytes; None where its type is passed over. Raises DecodeError."""


def _pass_over(_value: bytes, _start: int) -> None:
    return None


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
        absent: AbsentIds | None = None,
    ) -> None:
        self._registry = registry
        self._classes = classes
        self._definitions = {t.subject: t.newest.definition for t in catalogue.values()}
        self._wanted = wanted
        self._readers: dict[int, Read] = {}
        """How records of each schema id are read, prepared once."""
        self._absent = absent or AbsentIds()

    def __call__(self, value: bytes | None) -> Decoded | None:
        """Return the event in these bytes, None where its type is not wanted.

        Raises DecodeError where they are no event, TransientError while the registry is away.
        """
        if value is None or len(value) < HEADER.size or value[0] != 0:
            raise DecodeError(_no_header(value))
        _magic, schema_id = HEADER.unpack_from(value)
        read = self._readers.get(schema_id) or self._prepare(schema_id)
        return read(value, HEADER.size)

    def _prepare(self, schema_id: int) -> Read:
        """Return how to read records of this id, now and from now on.

        Whatever a foreign schema raises here is why its records are refused: nothing of it ends the process.
        """
        named: dict[str, Any] = {}
        self._absent.require_asking(schema_id)
        try:
            schema = self._registry.schema(schema_id)
            if schema.schema_type not in (None, "AVRO"):
                raise DecodeError(f"schema id {schema_id} is of type {schema.schema_type}, not AVRO")
            self._collect(schema, named)
            definition = _definition(schema)
            branches = definition if isinstance(definition, list) else [definition]
            readers = [self._reader(branch, named, schema_id) for branch in branches]
        except NotRegisteredError as error:
            raise self._absent.missed(schema_id, f"schema id {schema_id} is not in the registry: {error}") from error
        except (TransientError, StopError):
            raise
        except DecodeError as error:
            self._readers[schema_id] = _refuser(str(error))
            return self._readers[schema_id]
        except Exception as error:  # noqa: BLE001 # ValueError, KeyError, RecursionError, ...: a foreign schema is any text
            is_told = isinstance(error, ValueError | SchemaParseException | UnknownType)
            reason = _shown(str(error)) if is_told else f"{type(error).__name__} {_shown(str(error))}"
            self._readers[schema_id] = _refuser(f"schema id {schema_id} cannot be used: {reason}")
            return self._readers[schema_id]
        self._absent.found(schema_id)
        self._readers[schema_id] = _union_reader(readers) if isinstance(definition, list) else readers[0]
        return self._readers[schema_id]

    def _collect(self, schema: Schema, named: dict[str, Any]) -> None:
        """Parse all schemas that this one refers to, by name, each once."""
        for reference in schema.references or ():
            if reference.name not in named:
                referenced = self._registry.referenced(reference)
                self._collect(referenced, named)
                if reference.name not in named:
                    parse_schema(_definition(referenced), named_schemas=named)

    def _reader(self, branch: Any, named: dict[str, Any], schema_id: int) -> Read:
        """Return how to read records of one type; of what is no event, each is refused."""
        writer = named[branch] if isinstance(branch, str) and branch in named else branch
        if not isinstance(writer, dict) or writer.get("type") != "record":
            return _refuser(f"schema id {schema_id} is no record but {_shown(branch)}")
        parsed: Any = parse_schema(writer, named_schemas=dict(named)) if writer is branch else writer
        full_name, fields = parsed["name"], {field["name"] for field in parsed["fields"]}
        event_type = full_name.rpartition(".")[2]
        event_class = self._classes.get(full_name)
        if self._wanted is not None and (event_type not in self._wanted or event_class is None):
            return _pass_over
        require_bounded(parsed, named)
        if event_class is None:
            if missing := [name for name in COMMON_FIELDS if name not in fields]:
                return _refuser(f"{full_name} is no event: it has no {', '.join(missing)}")
            return _event_reader(
                event_type, schema_id, parsed, None, _checked(UnknownEvent), fields - set(COMMON_FIELDS)
            )
        known: Any = parse_schema(self._definitions[full_name])
        if shape(parsed) == shape(known):
            return _event_reader(event_type, schema_id, parsed, None, event_class, set())
        extras = fields - {field.name for field in dataclasses.fields(event_class)}
        return _event_reader(event_type, schema_id, parsed, known, _checked(event_class), extras)


def _definition(schema: Schema) -> Any:
    definition = json.loads(schema.schema_str or "null")
    require_shallow(definition)
    return definition


def _no_header(value: bytes | None) -> str:
    """Return why a record's value does not begin as the Confluent wire format does."""
    if value is None:
        return "the value is null"
    if len(value) < HEADER.size:
        return f"{len(value)} bytes are too few for the Confluent header of {HEADER.size}"
    return f"the first byte is {value[0]}, not the magic byte 0 of the Confluent wire format"


def _refuser(reason: str) -> Read:
    def read(_value: bytes, _start: int) -> None:
        raise DecodeError(reason)  # a new one each time: a traceback keeps the record, and grows

    return read


def _union_reader(readers: list[Read]) -> Read:
    """Return how to read a union's records: each begins with the number of its branch."""

    def read(value: bytes, start: int) -> Decoded | None:
        body = io.BytesIO(value)
        body.seek(start)
        try:
            index: Any = schemaless_reader(body, "long", None)
            if index < 0:
                raise IndexError
            branch: Read = readers[index]
        except (EOFError, IndexError):
            raise DecodeError(f"the body begins with no branch of its union of {len(readers)} types") from None
        return branch(value, body.tell())

    return read


def _event_reader(
    event_type: str, schema_id: int, writer: Any, reader: Any, make: Callable[..., Event], extras: set[str]
) -> Read:
    """Return how to read the events of one writer's schema.

    ``reader`` is the schema to resolve to, None where it is the writer's; ``make`` is the class, or what also checks
    the fields where the writer's schema is not the class's own; ``extras`` are fields that the class does not have.
    """

    def read(value: bytes, start: int) -> Decoded:
        body = io.BytesIO(value)
        body.seek(start)
        try:
            fields: Any = schemaless_reader(body, writer, reader)
            if (end := body.tell()) != len(value):
                raise DecodeError(f"{len(value) - end} bytes are left over after the {event_type}")
            more = take_extras(fields, body, start) if extras else _NO_EXTRAS
            return Decoded(event_type, make(**fields), more, schema_id)
        except DecodeError:
            raise
        except (EOFError, IndexError) as error:
            raise DecodeError(f"truncated: the body ends before the {event_type} does") from error
        except Exception as error:  # fastavro raises whatever its parts raise: EOFError, IndexError, OverflowError, ...
            raise DecodeError(
                f"the body is no valid {event_type}: {type(error).__name__} {_shown(str(error))}"
            ) from error

    def take_extras(fields: dict[str, Any], body: io.BytesIO, start: int) -> dict[str, Any]:
        """Return the extras, taken out of ``fields`` where no reader's schema dropped them."""
        if reader is None:
            return {name: fields.pop(name) for name in extras}
        body.seek(start)
        written: Any = schemaless_reader(body, writer, None)
        return {name: written[name] for name in extras}

    return read


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


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
