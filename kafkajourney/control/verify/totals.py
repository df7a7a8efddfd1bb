"""The totals of a group that adds, against what its own function makes of the records."""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from kafkajourney.control.verify.report import Report, TotalsReport
from kafkajourney.control.verify.rows import as_written, expected_row
from kafkajourney.control.verify.spill import Key, Spill, Value, chunks
from kafkajourney.events import Record
from kafkajourney.group import Group, Merge

CHUNK = 1000
"""Rows that are compared at once."""


class TotalsCheck:
    """Adds up what the records give, and compares it with the table at the end, with few of both in memory."""

    def __init__(self, topic: str, connection: Connection, group: Group, report: Report) -> None:
        summed = [column.name for column, merge in group.merged if merge is Merge.SUM]
        self.report = report.totals.setdefault(group.name, TotalsReport(column=summed[0] if summed else "rows"))
        self._topic = topic
        self._connection = connection
        self._group = group
        self._tell = report.tell
        self._merges = [merge for _column, merge in group.merged]
        self._summed = next((n for n, (_, merge) in enumerate(group.merged) if merge is Merge.SUM), None)
        self._totals = Spill(self._merged)
        self._progress = 0
        self._dead: set[int] = set()

    def begin(self, partition: int, low: int, progress: int, dead: set[int]) -> None:  # noqa: ARG002 # of no matter
        """Begin with a partition; ``dead`` are the offsets of the group's dead letters."""
        self._progress, self._dead = progress, dead

    def see(self, record: Record) -> None:
        """Add what the next record gives, unless the group has not come to it yet or could not store it."""
        if record.offset >= self._progress:
            self.report.lag += 1
        elif record.offset in self._dead:
            self.report.dead_letters += 1
        elif (row := expected_row(self._group, record)) is not None:
            width = len(self._group.own_key)
            self._totals.add(row[:width], row[width:])
            self.report.produced += self._number(row[width:])

    def drop(self, first: int) -> None:
        """Records that are dropped meanwhile are known no more than those before: ``finish`` minds it."""

    def end(self) -> None:
        """Nothing is to be done at a partition's end: totals are of all of them."""

    def finish(self, partitions: list[int], dropped: int) -> None:  # noqa: ARG002 # totals are of all partitions
        """Compare the totals; what records added that the topic has dropped cannot be known, so that more may be."""
        self.report.keys = len(self._totals)
        if self._summed is None:
            self.report.produced = self.report.keys
        for some in chunks(self._stored(), CHUNK):
            expected = self._totals.take(key for key, _counted in some)
            for key, counted in some:
                self.report.counted += 1 if self._summed is None else self._number(counted)
                self._compare(key, expected.get(key), counted, dropped)
        for key, total in self._totals.items():
            self._compare(key, total, None, dropped)

    def _stored(self) -> Iterator[tuple[Key, Value]]:
        """Yield the table's keys and totals of this topic, in the order of the keys."""
        columns, width = self._group.own_columns, len(self._group.own_key)
        statement = select(*columns).where(self._group.table.c.topic == self._topic).order_by(*self._group.own_key)
        for row in self._connection.execute(statement.execution_options(yield_per=CHUNK)):
            values = tuple(as_written(column, value) for column, value in zip(columns, row, strict=True))
            yield values[:width], values[width:]

    def _compare(self, key: Key, expected: Value | None, counted: Value | None, dropped: int) -> None:
        bounded = dropped and counted is not None and (expected is None or counted >= expected)
        if expected != counted and not bounded:
            self.report.wrong_totals += 1
            name = ", ".join(map(str, key))
            self._tell(f"wrong total: {name} has {self._shown(counted)}, the topic says {self._shown(expected)}")

    def _merged(self, before: Value, added: Value) -> Value:
        return tuple(merge.of((b, v)) for merge, b, v in zip(self._merges, before, added, strict=True))

    def _number(self, total: Value) -> int:
        return 0 if self._summed is None else int(total[self._summed])

    def _shown(self, total: Value | None) -> str:
        if total is None:
            return "nothing"
        return ", ".join(f"{column.name} {value}" for (column, _), value in zip(self._group.merged, total, strict=True))
