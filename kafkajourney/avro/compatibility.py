"""Whether a reader's Avro schema can read what a writer's schema wrote, and if not, why not.

Pure. The verdict is Apache's own: ``avro.compatibility``, a port of the Java class that Confluent's registry
asks. What differs from Java is mended in ``_Checker`` and in ``schemas.parsing``. It loses the order and the
places of what it finds, so the sentences are made by walking along where it says no.
fastavro, which decodes the records, has no such judge: it resolves as it reads.

https://avro.apache.org/docs/1.12.0/specification/#schema-resolution
"""

from collections.abc import Iterator, Mapping
from enum import Enum, StrEnum, auto
from typing import NamedTuple

from avro import compatibility as apache
from avro.schema import (
    ArraySchema,
    EnumSchema,
    Field,
    FixedSchema,
    MapSchema,
    NamedSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)

from kafkajourney.avro.parsing import SchemaInvalidError, describe, parse

__all__ = ["Kind", "Level", "Reason", "SchemaInvalidError", "check", "findings", "parse", "reasons"]


class Level(StrEnum):
    """Confluent's compatibility levels: who has to read whom when a schema gets a new version."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def backward(self) -> bool:
        """Whether the new version has to read what earlier ones wrote."""
        return self.startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        """Whether earlier versions have to read what the new one writes."""
        return self.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        """Whether every earlier version counts, not only the latest."""
        return self.endswith("TRANSITIVE")


class Kind(Enum):
    """What stands in a reader's way."""

    NEEDED = auto()
    """A field that the writer does not have, and for which the reader has no default."""
    AMBIGUOUS = auto()
    """A field whose name and aliases match several of the writer's."""
    NAME = auto()
    """A record, enum or fixed that the writer calls otherwise."""
    SYMBOLS = auto()
    """Symbols of an enum that the reader does not know."""
    TYPE = auto()
    """A type that the reader cannot read as its own."""


class Reason(NamedTuple):
    """Why a reader cannot read what a writer wrote."""

    kind: Kind
    where: str
    """The field's record and name, ``VideoPlayed.title``; with ``[]`` or ``{}`` its items or values."""
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def check(new: Schema, earlier: Mapping[str, Schema], level: Level) -> list[str]:
    """Return why ``level`` does not allow ``new`` to follow the earlier versions; empty if it does.

    Parameters
    ----------
    new
        The schema that would become the next version.
    earlier
        The versions so far, oldest first, each under the name that the findings call it by.
    level
        BACKWARD: ``new`` reads the latest; FORWARD: the latest reads ``new``; FULL: both;
        the TRANSITIVE ones: with every version in the latest's place.

    """
    labels = list(earlier) if level.transitive else list(earlier)[-1:]
    found: list[str] = []
    for label in labels:
        if level.backward:
            found += [f"the new schema cannot read {label}: {why}" for why in findings(new, earlier[label])]
        if level.forward:
            found += [f"{label} cannot read the new schema: {why}" for why in findings(earlier[label], new)]
    return found


def findings(reader: Schema, writer: Schema) -> list[str]:
    """Return why ``reader`` cannot read what ``writer`` wrote, a sentence each; empty if it can."""
    return [str(reason) for reason in reasons(reader, writer)]


def reasons(reader: Schema, writer: Schema) -> list[Reason]:
    """Return why ``reader`` cannot read what ``writer`` wrote; empty if it can."""
    return list(dict.fromkeys(_reasons(reader, writer, getattr(reader, "name", reader.type), frozenset())))


class _Checker(apache.ReaderWriterCompatibilityChecker):
    """Apache's checker, but refusing as Java does to choose where both a field's name and alias match."""

    def check_reader_writer_record_fields(
        self, reader: RecordSchema, writer: RecordSchema, location: list[str]
    ) -> apache.SchemaCompatibilityResult:
        if any(len(_sources(field, writer)) > 1 for field in reader.fields):
            return apache.type_mismatch(reader, writer, location)
        return super().check_reader_writer_record_fields(reader, writer, location)


def _can_read(reader: Schema, writer: Schema) -> bool:
    result = _Checker().get_compatibility(reader, writer)  # type: ignore[no-untyped-call]
    return result.compatibility is apache.SchemaCompatibilityType.compatible


def _sources(field: Field, writer: RecordSchema) -> list[str]:
    """Return the writer's fields that this reader's field takes its value from, by name or by alias."""
    aliases = field.get_prop("aliases")
    names = [field.name, *dict.fromkeys(aliases if isinstance(aliases, list) else [])]
    return [name for name in names if name in writer.fields_dict]


_Pairs = frozenset[tuple[int, int]]  # the ids of readers and writers on the way here: recursion ends there


def _reasons(reader: Schema, writer: Schema, where: str, above: _Pairs) -> Iterator[Reason]:
    below = above | {(id(reader), id(writer))}
    if below == above or _can_read(reader, writer):
        return
    if isinstance(writer, UnionSchema):
        for branch in writer.schemas:
            yield from _reasons(reader, branch, where, below)
    elif isinstance(reader, UnionSchema):
        yield from _branch_reasons(reader, writer, where, below)
    elif isinstance(reader, RecordSchema) and isinstance(writer, RecordSchema):
        yield from _record_reasons(reader, writer, where, below)
    elif isinstance(reader, ArraySchema) and isinstance(writer, ArraySchema):
        yield from _reasons(reader.items, writer.items, f"{where}[]", below)
    elif isinstance(reader, MapSchema) and isinstance(writer, MapSchema):
        yield from _reasons(reader.values, writer.values, f"{where}{{}}", below)
    else:
        yield from _leaf_reasons(reader, writer, where)


def _branch_reasons(reader: UnionSchema, writer: Schema, where: str, above: _Pairs) -> Iterator[Reason]:
    """Say what is wrong with the branch that is meant, or that there is none."""
    meant = [branch for branch in reader.schemas if _same_name(branch, writer)]
    for branch in meant:
        yield from _reasons(branch, writer, where, above)
    if not meant:
        what = f"the reader's {describe(reader)} has no branch for the writer's {describe(writer)}"
        yield Reason(Kind.TYPE, where, what)


def _record_reasons(reader: RecordSchema, writer: RecordSchema, where: str, above: _Pairs) -> Iterator[Reason]:
    yield from _name_reasons(reader, writer, where)
    for field in reader.fields:
        place = f"{reader.name}.{field.name}"
        sources = _sources(field, writer)
        if len(sources) > 1:
            what = f"its name and aliases match the writer's {', '.join(sources)}; only one may"
            yield Reason(Kind.AMBIGUOUS, place, what)
        elif sources:
            yield from _reasons(field.type, writer.fields_dict[sources[0]].type, place, above)
        elif not field.has_default:
            what = "the reader needs this field, the writer does not have it; give it a default"
            yield Reason(Kind.NEEDED, place, what)


def _leaf_reasons(reader: Schema, writer: Schema, where: str) -> Iterator[Reason]:
    if isinstance(reader, EnumSchema) and isinstance(writer, EnumSchema):
        yield from _name_reasons(reader, writer, where)
        missing = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
        if missing and not reader.default:
            what = f"the reader's enum lacks {', '.join(missing)} and has no default symbol"
            yield Reason(Kind.SYMBOLS, where, what)
    elif isinstance(reader, FixedSchema) and isinstance(writer, FixedSchema):
        yield from _name_reasons(reader, writer, where)
        if reader.size != writer.size:
            yield Reason(Kind.TYPE, where, f"the reader's size is {reader.size}, the writer's {writer.size} bytes")
    else:
        yield Reason(Kind.TYPE, where, f"the reader's {describe(reader)} cannot read the writer's {describe(writer)}")


def _name_reasons(reader: NamedSchema, writer: NamedSchema, where: str) -> Iterator[Reason]:
    if not apache.schema_name_equals(reader, writer):
        yield Reason(Kind.NAME, where, f"the writer calls it {writer.fullname}, and the reader has no such alias")


def _same_name(reader: Schema, writer: Schema) -> bool:
    if not isinstance(reader, NamedSchema) or not isinstance(writer, NamedSchema):
        return False
    return reader.type == writer.type and apache.schema_name_equals(reader, writer)
