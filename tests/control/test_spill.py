"""Totals in bounded memory: whatever is in the file, the answers are those of a dictionary."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkajourney.control.verify.spill import Spill, Value, chunks

KEYS = st.tuples(st.sampled_from(["a", "b", "ä", "a'b", ""]), st.integers(0, 5))


def added(before: Value, more: Value) -> Value:
    return (before[0] + more[0],)


@pytest.mark.parametrize("held", [0, 2, 1000])
@given(st.lists(st.tuples(KEYS, st.integers(-5, 5))), st.lists(KEYS))
def test_the_answers_are_those_of_a_dictionary(
    held: int, values: list[tuple[tuple[str, int], int]], taken: list[tuple[str, int]]
) -> None:
    spill, expected = Spill(added, held), Counter[tuple[str, int]]()
    for key, number in values:
        spill.add(key, (number,))
        expected[key] += number
    assert len(spill) == len(expected)
    assert spill.take(taken) == {key: (expected[key],) for key in taken if key in expected}
    left = {key: (number,) for key, number in expected.items() if key not in taken}
    assert dict(spill.items()) == left
    assert len(spill) == len(left)


def test_no_more_keys_are_in_memory_than_are_allowed() -> None:
    spill = Spill(added, held=10)
    for number in range(1000):
        spill.add((number,), (1,))
        assert len(spill._held) <= 10


def test_items_come_in_chunks_the_last_of_what_is_left() -> None:
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []
