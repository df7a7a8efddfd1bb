"""The totals of a group that adds, against what its own function makes of the records."""

from typing import Any

from sqlalchemy import Connection, select

from kafkajourney.control.verify.report import Report, TotalsReport
from kafkajourney.control.verify.rows import as_written, expected_row
from kafkajourney.events import Record
from kafkajourney.group import Group, Merge, Row

Key = tuple[Any, ...]
Total = tuple[Any, ...]


class TotalsCheck:
    """Adds up what the records give, and compares it with the table at the end."""

    def __init__(self, connection: Connection, group: Group, report: Report) -> None:
        summed = [column.name for column, merge in group.merged if merge is Merge.SUM]
        self.report = report.totals.setdefault(group.name, TotalsReport(column=summed[0] if summed else "rows"))
        self._connection = connection
        self._group = group
        self._tell = report.tell
        self._merges = [merge for _column, merge in group.merged]
        self._summed = next((n for n, (_, merge) in enumerate(group.merged) if merge is Merge.SUM), None)
        self._totals: dict[Key, Total] = {}
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
            self._add(row)

    def drop(self, first: int) -> None:
        """Records that are dropped meanwhile are known no more than those before: ``finish`` minds it."""

    def end(self) -> None:
        """Nothing is to be done at a partition's end: totals are of all of them."""

    def finish(self, partitions: list[int], dropped: int) -> None:  # noqa: ARG002 # totals are of all partitions
        """Compare the totals; what records added that the topic has dropped cannot be known, so that more may be."""
        columns = self._group.own_columns
        width = len(self._group.key)
        found: dict[Key, Total] = {}
        for row in self._connection.execute(select(*columns)):
            values = tuple(as_written(column, value) for column, value in zip(columns, row, strict=True))
            found[values[:width]] = values[width:]
        self.report.produced, self.report.counted = self._sum(self._totals), self._sum(found)
        self.report.keys = len(self._totals)
        for key in sorted(self._totals.keys() | found.keys()):
            expected, counted = self._totals.get(key), found.get(key)
            bounded = dropped and counted is not None and (expected is None or counted >= expected)
            if expected != counted and not bounded:
                self.report.wrong_totals += 1
                name = ", ".join(map(str, key))
                self._tell(f"wrong total: {name} has {self._shown(counted)}, the topic says {self._shown(expected)}")

    def _add(self, row: Row) -> None:
        width = len(self._group.key)
        key, values = row[:width], row[width:]
        before = self._totals.get(key)
        if before is not None:
            values = tuple(merge.of((b, v)) for merge, b, v in zip(self._merges, before, values, strict=True))
        self._totals[key] = values

    def _sum(self, totals: dict[Key, Total]) -> int:
        return len(totals) if self._summed is None else sum(total[self._summed] for total in totals.values())

    def _shown(self, total: Total | None) -> str:
        if total is None:
            return "nothing"
        return ", ".join(f"{column.name} {value}" for (column, _), value in zip(self._group.merged, total, strict=True))
