"""What a verification found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SHOWN = 5
"""How many differences are kept as examples."""


@dataclass
class RowsReport:
    """Of a group that inserts a row for each record."""

    stored: int = 0
    """Records whose row is in the table, at its place and as it has to be."""
    lag: int = 0
    """Records that the group has not come to yet."""
    dead_letters: int = 0
    """Records that are dead letters of the group, not replayed."""
    lost_letters: int = 0
    """Dead letters by the table that are not in the dead-letter topic."""
    missing: int = 0
    """Records before the group's progress that are in no table and no dead letter."""
    altered: int = 0
    """Rows whose other columns are not what the topic says."""
    ahead: int = 0
    """Rows that the group's progress does not cover."""
    beyond: int = 0
    """Partitions in which the group's progress is past the topic's end."""
    out_of_order: int = 0
    """Rows that hold another event than the topic has at their offset: the order is broken."""
    unexpected: int = 0
    """Rows at offsets that the topic does not have."""
    duplicates: int = 0
    """Out-of-order or unexpected rows whose event is stored at another offset too."""

    @property
    def is_wrong(self) -> bool:
        """Whether anything is not as it should be, whatever the group has still to come to."""
        rows = self.missing + self.altered + self.out_of_order + self.unexpected + self.duplicates + self.ahead
        return bool(rows + self.lost_letters + self.beyond)


@dataclass
class TotalsReport:
    """Of a group that adds to the row of a key."""

    column: str = ""
    """The first column that is summed up."""
    produced: int = 0
    """What that column should hold, over all keys."""
    counted: int = 0
    """What it holds."""
    keys: int = 0
    wrong_totals: int = 0
    """Keys whose row is not what the topic says."""
    lag: int = 0
    dead_letters: int = 0
    lost_letters: int = 0
    beyond: int = 0

    @property
    def is_wrong(self) -> bool:
        """Whether anything is not as it should be, whatever the group has still to come to."""
        return bool(self.wrong_totals + self.lost_letters + self.beyond)


@dataclass
class Report:
    """What was compared, and what differs."""

    produced: int = 0
    """Records on the topic."""
    tombstones: int = 0
    """Records without a value, which are passed over; not among those produced."""
    dropped: int = 0
    """Records that the topic has dropped by retention: they cannot be checked any more."""
    users_in_several_partitions: int = 0
    rows: dict[str, RowsReport] = field(default_factory=dict)
    """By the name of the group."""
    totals: dict[str, TotalsReport] = field(default_factory=dict)
    """By the name of the group."""
    examples: list[str] = field(default_factory=list)
    """The first differences, a sentence each."""

    @property
    def groups(self) -> Mapping[str, RowsReport | TotalsReport]:
        """Return the reports of all groups by name."""
        return {**self.rows, **self.totals}

    @property
    def is_wrong(self) -> bool:
        """Whether anything is not as it should be, whatever the groups have still to come to."""
        return any(of_group.is_wrong for of_group in self.groups.values())

    @property
    def differs(self) -> bool:
        """Whether anything is not as it should be, or not yet."""
        return self.is_wrong or any(of_group.lag for of_group in self.groups.values())

    @property
    def dead_letters(self) -> int:
        """Return how many records are dead letters of a group that inserts."""
        return sum(of_group.dead_letters for of_group in self.rows.values())

    def tell(self, sentence: str) -> None:
        """Keep a difference as an example, unless there are enough of them."""
        if len(self.examples) < SHOWN:
            self.examples.append(sentence)
