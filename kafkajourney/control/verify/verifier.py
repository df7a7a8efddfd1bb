"""The verification itself: the topic is read once, and each record shown to the check of every group."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from confluent_kafka import Consumer
from sqlalchemy import Connection, Engine, select

from kafkajourney.consuming import dead_letters
from kafkajourney.control.verify.report import Report, RowsReport, TotalsReport
from kafkajourney.control.verify.rows import RowsCheck
from kafkajourney.control.verify.spill import Spill, Value
from kafkajourney.control.verify.totals import TotalsCheck
from kafkajourney.database import engines
from kafkajourney.database.dialect import dialect_of
from kafkajourney.database.tables import consumer_progress
from kafkajourney.errors import DecodeError
from kafkajourney.events import Record
from kafkajourney.group import Group
from kafkajourney.kafka import clients, reading
from kafkajourney.registry.decoder import Decoder
from kafkajourney.settings import Settings

MOVED = (-1,)
"""In place of the partition of a user who has several."""


class Check(Protocol):
    """Compares one group's table with the topic: ``begin``, ``see``, ``end`` for each partition, then ``finish``."""

    @property
    def report(self) -> RowsReport | TotalsReport: ...  # noqa: D102
    def begin(self, partition: int, low: int, progress: int, dead: set[int]) -> None: ...  # noqa: D102
    def see(self, record: Record) -> None: ...  # noqa: D102
    def drop(self, first: int) -> None: ...  # noqa: D102
    def end(self) -> None: ...  # noqa: D102
    def finish(self, partitions: list[int], dropped: int) -> None: ...  # noqa: D102


class Verifier:
    """Compares one topic with the groups' tables. Raises StopError or TransientError where either cannot be read.

    Of a group that inserts, rows and records are read side by side; of one that adds, the total of each key is kept,
    and of all the partition of each user: beyond so many of them in a temporary file (``spill``), so that memory does
    not grow with them. The dead letters of each group that were not replayed are in memory.
    """

    def __init__(self, settings: Settings, engine: Engine, decode: Decoder, groups: Collection[Group]) -> None:
        self._settings = settings
        self._engine = engine
        self._decode = decode
        self._groups = groups
        self._report = Report()
        self._partitions_of = Spill(_either_or_moved)

    def run(self) -> Report:
        """Read everything once and return the report."""
        reader = clients.reader(self._settings)
        try:
            partitions = reading.partitions_of(reader, self._settings)
            with engines.reached(self._settings), self._engine.connect() as plain:
                # One view of progress and totals: consumers may be at work meanwhile.
                view = dialect_of(self._engine).one_view(self._engine)
                self._compare_all(reader, plain.execution_options(**view), partitions)
        finally:
            reader.close()
        self._report.users_in_several_partitions = sum(where == MOVED for _user, where in self._partitions_of.items())
        return self._report

    def _compare_all(self, reader: Consumer, connection: Connection, partitions: list[int]) -> None:
        checks = {group.name: self.check(group, connection) for group in self._groups}
        dead = {name: self._dead_letters(reader, connection, name, check) for name, check in checks.items()}
        for partition in partitions:
            low, high = reading.watermarks(reader, self._settings.topic, partition)
            self._report.dropped += low
            for name, check in checks.items():
                progress = self.progress(connection, name, partition)
                if progress > high:
                    check.report.beyond += 1
                    self._report.tell(f"beyond: {name} believes in [{partition}] {progress}, the topic ends at {high}")
                check.begin(partition, low, progress, dead[name][partition])
            self._compare(reader, partition, low, high, checks.values())
        for check in checks.values():
            check.finish(partitions, self._report.dropped)

    def check(self, group: Group, connection: Connection) -> Check:
        """Return what compares this group's table."""
        if group.merge is not None:
            return TotalsCheck(self._settings.topic, connection, group, self._report)
        return RowsCheck(self._settings.topic, self._engine, connection, group, self._report)

    def _compare(self, reader: Consumer, partition: int, low: int, high: int, checks: Iterable[Check]) -> None:
        checks = list(checks)

        def dropped(first: int, number: int) -> None:
            self._report.dropped += number
            for check in checks:
                check.drop(first)

        for message in reading.records(reader, self._settings.topic, partition, low, high, dropped):
            if message.value() is None:
                self._report.tombstones += 1
                continue
            record = self._record(message)
            self._report.produced += 1
            self._note_user(record)
            for check in checks:
                check.see(record)
        for check in checks:
            check.end()

    def _record(self, message: Any) -> Record:
        try:
            decoded = self._decode(message.value())
        except DecodeError:
            decoded = None
        topic, timestamp = self._settings.topic, reading.timestamp_of(message)
        return Record(topic, message.partition(), message.offset(), decoded, message, timestamp)

    def progress(self, connection: Connection, group: str, partition: int) -> int:
        """Return a group's next offset, 0 where it has not begun."""
        column = consumer_progress.c
        statement = select(column.next_offset).where(
            column.consumer_group == group,
            column.topic == self._settings.topic,
            column.partition == partition,
        )
        return connection.scalar(statement) or 0

    def _note_user(self, record: Record) -> None:
        if record.decoded is None:
            return
        self._partitions_of.add((record.decoded.event.user_id,), (record.partition,))

    def _dead_letters(
        self, reader: Consumer, connection: Connection, group: str, check: Check
    ) -> defaultdict[int, set[int]]:
        """Return the offsets of a group's dead letters that were not replayed; tell of those whose bytes are lost."""
        noted = set(dead_letters.noted(connection, self._settings, dead_letters.Selection(group)))
        places = {(letter.partition, letter.offset) for letter in noted}
        kept = {place for place, _message in dead_letters.kept(reader, self._settings, group)} if places else set()
        for partition, offset in sorted(places - kept):
            check.report.lost_letters += 1
            self._report.tell(
                f"lost: [{partition}] {offset} is a dead letter of {group}, but is not in its dead-letter topic"
            )
        by_partition: defaultdict[int, set[int]] = defaultdict(set)
        for partition, offset in places:
            by_partition[partition].add(offset)
        return by_partition


def _either_or_moved(before: Value, added: Value) -> Value:
    return before if before == added else MOVED
