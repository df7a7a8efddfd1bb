"""How many dead letters in a row are too many, and which of them the broker has already. Pure."""

from collections import Counter
from typing import Literal

from kafkajourney.consuming.batch import Place

Stage = Literal["read", "row", "write"]
"""Where a record fails: as it is decoded, as its row is made, or in the transaction."""


class Budget:
    """The dead letters since the last record that could be read, and since the last row that the database took.

    Many in a row show that the deployment is at fault, not the records.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._in_a_row: Counter[Stage] = Counter()
        self._at_commit: Counter[Stage] = Counter()
        """The same at the last commit: what an outage interrupts is counted anew."""
        self._under_way: set[Place] = set()
        self._with_broker: set[Place] = set()

    def spend(self, place: Place, stage: Stage) -> bool:
        """Count a dead letter of this stage; return whether it is to be sent: the broker does not have it yet."""
        self._in_a_row[stage] += 1
        if place in self._with_broker:
            return False
        self._under_way.add(place)
        return True

    @property
    def is_overdrawn(self) -> bool:
        """Whether there were too many in a row."""
        return any(number > self.most for number in self._in_a_row.values())

    @property
    def is_under_way(self) -> bool:
        """Whether any was sent that is not confirmed."""
        return bool(self._under_way)

    def earn(self, stage: Stage) -> None:
        """Note a record that did not fail at this stage."""
        self._in_a_row[stage] = 0

    def confirm(self) -> None:
        """Note that the broker has all that was sent: in an outage of the database it is not sent again."""
        self._with_broker |= self._under_way
        self._under_way.clear()

    def commit(self) -> None:
        """Note that the offsets of all dead letters are behind us."""
        self._at_commit = self._in_a_row.copy()
        self._with_broker.clear()

    def roll_back(self) -> None:
        """Count from the last commit on again: the records will come once more."""
        self._in_a_row = self._at_commit.copy()
        self._under_way.clear()
