"""The refused rows of a batch are found, and at what cost."""

import math
from collections.abc import Sequence

import pytest

from kafkajourney.database.refused import refused_among
from kafkajourney.errors import RefusedError


class Database:
    def __init__(self, refused: set[int]) -> None:
        self.refused = refused
        self.tests = 0

    def test(self, rows: Sequence[int]) -> None:
        self.tests += 1
        if found := self.refused & set(rows):
            raise RefusedError(f"{min(found)} is refused")


@pytest.mark.parametrize("refused", [{0}, {7}, {3, 4}, {0, 7}, set(range(8)), set()])
def test_each_refused_row_is_found_with_its_own_reason(refused: set[int]) -> None:
    found = list(refused_among(range(8), Database(refused).test))
    assert [row for row, _reason in found] == sorted(refused)
    assert [str(reason) for _row, reason in found] == [f"{row} is refused" for row in sorted(refused)]


@pytest.mark.parametrize("refused", [1, 4, 100, 1000, 2000])
def test_the_cost_is_in_proportion_to_the_refused_rows(refused: int) -> None:
    rows = 2000
    database = Database(set(range(0, rows, rows // refused)))
    assert len(list(refused_among(range(rows), database.test))) == refused
    assert database.tests <= 2 * refused * (math.log2(rows / refused) + 1)
