"""The rows of a group that inserts, against the records: side by side in the order of their offsets."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Engine, func, select

from kafkajourney.control.verify.report import Report, RowsReport
from kafkajourney.control.verify.spill import Spill, chunks
from kafkajourney.database.types import is_json
from kafkajourney.database.views import READ_ONLY
from kafkajourney.events import Record, as_text
from kafkajourney.group import Group, Row

EVENT_ID = "event_id"
"""The column that tells whether a row is of this record or of another one, where a table has it."""


TOLD = ("received_at", "schema_id")
"""Columns that say more of the record than its place."""


class Stored(NamedTuple):
    """A row as the table has it."""

    offset: int
    values: tuple[Any, ...]
    """Of the group's own columns; times, ids and texts as ``Group.rows`` makes them."""
    told: tuple[Any, ...]
    """Of the columns in ``TOLD`` that the table has; None in rows of before they had them."""


class RowsCheck:
    """Compares one partition after another; the rows are read as the records come, so that few are in memory."""

    def __init__(self, topic: str, engine: Engine, connection: Connection, group: Group, report: Report) -> None:
        self.report = report.rows.setdefault(group.name, RowsReport())
        self._topic = topic
        self._engine = engine
        self._connection = connection
        self._group = group
        self._tell = report.tell
        self._of = group.table.c
        self._told = [column for column in group.filled if column.name in TOLD]
        self._misplaced = Spill(lambda before, added: (before[0] + added[0],))
        names = [column.name for column in group.own_columns]
        self._id = names.index(EVENT_ID) if EVENT_ID in names else None
        self._partition = self._progress = 0
        self._dead: set[int] = set()
        self._rows: Iterator[Stored] = iter(())
        self._row: Stored | None = None

    def begin(self, partition: int, low: int, progress: int, dead: set[int]) -> None:
        """Begin with a partition from its first offset on; ``dead`` are the offsets of the group's dead letters."""
        self._partition, self._progress, self._dead = partition, progress, dead
        self._count_rows_ahead()
        self._rows = self._read(low)
        self._row = next(self._rows, None)

    def see(self, record: Record) -> None:
        """Compare the record that comes next; it has no event where it cannot be decoded."""
        offset = record.offset
        while self._row is not None and self._row.offset < offset:
            self._count_unexpected(self._row)
            self._row = next(self._rows, None)
        if self._row is not None and self._row.offset == offset:
            self._compare(self._row, record)
            self._row = next(self._rows, None)
        elif offset >= self._progress:
            self.report.lag += 1
        elif offset in self._dead:
            self.report.dead_letters += 1
        elif record.decoded is None or self._expected(record) is not None:
            self.report.missing += 1
            self._tell(f"missing: nothing is stored for [{self._partition}] {offset}")

    def drop(self, first: int) -> None:
        """Leave out the rows before this offset, which the topic has dropped meanwhile."""
        while self._row is not None and self._row.offset < first:
            self._row = next(self._rows, None)

    def end(self) -> None:
        """Count the rows that are left when the partition's records have come to their end."""
        for left in (self._row, *self._rows):
            if left is not None:
                self._count_unexpected(left)

    def finish(self, partitions: list[int], dropped: int) -> None:  # noqa: ARG002 # of no matter here
        """Count the rows of partitions that the topic does not have, and the duplicates among what was misplaced."""
        self._count_duplicates()
        elsewhere = select(func.count()).where(self._of.topic == self._topic, self._of.partition.not_in(partitions))
        if count := self._connection.scalar(elsewhere):
            self.report.unexpected += count
            self._tell(f"unexpected: {count} rows are of partitions that the topic does not have")

    def _expected(self, record: Record) -> Row | None:
        return expected_row(self._group, record)

    def _compare(self, row: Stored, record: Record) -> None:
        at = f"[{self._partition}] {row.offset}"
        expected = self._expected(record)
        if expected is None or (self._id is not None and row.values[self._id] != expected[self._id]):
            self.report.out_of_order += 1
            event_id = "" if self._id is None else f" {row.values[self._id]}"
            self._tell(f"out of order: {at} holds event{event_id}, the topic has another")
            self._note_misplaced(row)
        elif wrong := list(self._differences(row, expected, record)):
            self.report.altered += 1
            self._tell(f"altered: {at} has another {', '.join(wrong)} than the topic")
        else:
            self.report.stored += 1

    def _differences(self, row: Stored, expected: tuple[Any, ...], record: Record) -> Iterator[str]:
        """Yield the names of the columns in which a row differs from what the record gives."""
        event_class = type(record.decoded.event) if record.decoded else object
        for column, found, wanted in zip(self._group.own_columns, row.values, expected, strict=True):
            if not (_same_json(found, wanted, event_class) if is_json(column) else found == wanted):
                yield column.name
        for column, found in zip(self._told, row.told, strict=True):
            if found is not None and found != getattr(record, column.name):
                yield column.name

    def _count_unexpected(self, row: Stored) -> None:
        self.report.unexpected += 1
        self._tell(f"unexpected: [{self._partition}] {row.offset} is stored, and the topic has no such record")
        self._note_misplaced(row)

    def _note_misplaced(self, row: Stored) -> None:
        if self._id is not None:
            self._misplaced.add((row.values[self._id],), (1,))

    def _count_duplicates(self) -> None:
        """Count the misplaced rows whose event is stored at another offset too, by one query for all of them."""
        if not len(self._misplaced):
            return
        event_id = self._of[EVENT_ID]
        several = select(event_id).where(self._of.topic == self._topic).group_by(event_id).having(func.count() > 1)
        found = self._connection.execute(several.execution_options(yield_per=1000))
        for ids in chunks(found.scalars(), 1000):
            taken = self._misplaced.take((as_written(event_id, value),) for value in ids)
            self.report.duplicates += sum(number for (number,) in taken.values())

    def _count_rows_ahead(self) -> None:
        """Count rows that the progress does not cover: the next consumer would store them again."""
        of = self._of
        ahead = select(func.count()).where(
            of.topic == self._topic, of.partition == self._partition, of.offset >= self._progress
        )
        if count := self._connection.scalar(ahead):
            self.report.ahead += count
            self._tell(f"ahead: {count} rows of [{self._partition}] are at or after the progress, {self._progress}")

    def _read(self, low: int) -> Iterator[Stored]:
        """Yield the rows from ``low`` to before the progress that was read: what is stored meanwhile is not meant."""
        of, own = self._of, [*self._group.own_columns, *self._told]
        width = len(self._group.own_columns)
        statement = (
            select(of.offset, *own)
            .where(of.topic == self._topic, of.partition == self._partition)
            .where(of.offset >= low, of.offset < self._progress)
            .order_by(of.offset)
            .execution_options(yield_per=1000)
        )
        # A connection of its own: SQL Server's takes no other statement while rows are being fetched.
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            for offset, *values in connection.execute(statement):
                written = tuple(as_written(column, value) for column, value in zip(own, values, strict=True))
                yield Stored(offset, written[:width], written[width:])


def expected_row(group: Group, record: Record) -> Row | None:
    """Return the row that a group makes of a record, None where it makes none: not wanted, or not possible."""
    if not group.takes(record):
        return None
    try:
        return group.rows(record)
    except Exception:  # noqa: BLE001 # whatever a foreign value can raise: to the consumer it is a dead letter
        return None


def as_written(column: Column[Any], value: Any) -> Any:
    """Return a value of a table as ``Group.rows`` makes it: times and UUIDs as text, UUIDs in lower case."""
    if isinstance(value, datetime):
        return as_text(value)
    return value.lower() if column.name == EVENT_ID and isinstance(value, str) else value


def _same_json(stored: Any, expected: str, event_class: type) -> bool:
    """Whether two payloads say the same; an older consumer may have known less of the fields that have a default."""
    before, after = json.loads(stored) if isinstance(stored, str) else stored, json.loads(expected)
    defaulted = {f.name for f in dataclasses.fields(event_class) if f.default is not dataclasses.MISSING}
    needed = {name: after[name] for name in after if name in before or name not in defaulted}
    return bool(before == needed) or _is_equal(before, needed)


def _is_equal(found: Any, wanted: Any) -> bool:
    """Whether two JSON values are the same number for number: JSONB prints a large double as an integer."""
    match wanted:
        case float():
            return isinstance(found, int | float) and not isinstance(found, bool) and float(found) == wanted
        case dict():
            same_names = isinstance(found, dict) and found.keys() == wanted.keys()
            return same_names and all(_is_equal(found[name], item) for name, item in wanted.items())
        case list():
            same_length = isinstance(found, list) and len(found) == len(wanted)
            return same_length and all(map(_is_equal, found, wanted))
        case _:
            return bool(found == wanted)
