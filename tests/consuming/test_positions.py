"""What each event does to where partitions stand; how many dead letters are too many. Pure: plain asserts."""

import random

from kafkajourney.consuming.backoff import LONGEST, delay
from kafkajourney.consuming.budget import Budget
from kafkajourney.consuming.positions import LOOK_AGAIN, Positions
from kafkajourney.events import Move


def positions(*partitions: int) -> Positions:
    made = Positions(random.Random(1))
    made.assign(partitions)
    return made


def test_an_assigned_partition_is_due_at_once_and_goes_on_nowhere() -> None:
    made = positions(0, 1)
    assert made.due(now=0.0) == {0, 1}
    assert made.going == {}
    assert made.offset(0) is None


def test_a_partition_of_somebody_else_goes_on_nowhere_and_fails_not() -> None:
    made = positions(0)
    assert made.offset(7) is None
    assert 0.25 <= made.fail([7], now=0.0) <= 0.5
    assert made.due(now=0.0) == {0}


def test_waits_are_doubled_up_to_the_longest_and_the_half_of_each_is_chance() -> None:
    least, most = random.Random(), random.Random()
    least.random, most.random = (lambda: 0.0), (lambda: 1.0)  # type: ignore[method-assign]
    assert [delay(n, most) for n in (1, 2, 3, 4, 6, 7, 8, 5000)] == [0.5, 1, 2, 4, 16, LONGEST, LONGEST, LONGEST]
    assert [delay(n, least) for n in (1, 2, 5000)] == [0.25, 0.5, LONGEST / 2]


def test_a_settled_partition_goes_on_and_is_not_due() -> None:
    made = positions(0, 1)
    made.settle(0, 7)
    assert made.going == {0: 7}
    assert made.due(now=1e9) == {1}


def test_a_commit_moves_only_what_stands_where_it_began() -> None:
    made = positions(0, 1, 2)
    made.settle(0, 7)
    made.settle(1, 3)
    assert made.advance({0: Move(7, 9), 1: Move(2, 9), 2: Move(0, 9), 3: Move(0, 9)}, now=1.0) == {}
    assert made.going == {0: 9, 1: 3}


def test_partitions_that_fail_together_are_due_together_and_the_others_go_on() -> None:
    made = positions(0, 1, 2)
    for partition in (0, 1, 2):
        made.settle(partition, 5)
    wait = made.fail([0, 1, 9], now=10.0)
    assert 0.25 <= wait <= 0.5
    assert made.going == {2: 5}
    assert made.due(now=10.0 + wait - 0.001) == set()
    assert made.due(now=10.0 + wait) == {0, 1}


def test_waits_grow_with_each_failure_until_a_commit_and_not_until_it_is_settled() -> None:
    made = positions(0)
    waits = []
    for now in range(8):
        made.settle(0, 5)
        waits.append(made.fail([0], now=float(now)))
    assert waits[0] <= 0.5
    assert waits[-1] >= 15
    made.settle(0, 5)
    assert made.advance({0: Move(5, 6)}, now=100.0) == {0: 100.0}  # since the first failure, at 0
    assert made.fail([0], now=101.0) <= 0.5


def test_a_stopped_partition_is_news_once_and_is_looked_at_again() -> None:
    made = positions(0, 1)
    assert made.stop(0, "corrupt", now=5.0)
    assert made.stopped == {0: "corrupt"}
    assert made.due(now=5.0 + LOOK_AGAIN) == {0, 1}
    made.settle(0, 7)
    assert made.stopped == {}
    assert not made.stop(0, "corrupt", now=70.0)
    assert made.stop(0, "something else", now=70.0)
    made.settle(0, 7)
    made.advance({0: Move(7, 8)}, now=71.0)
    assert made.stop(0, "something else", now=72.0)


def test_all_have_stopped_only_where_there_are_any() -> None:
    assert not positions().have_all_stopped
    made = positions(0, 1)
    made.stop(0, "corrupt", now=0.0)
    assert not made.have_all_stopped
    made.stop(1, "corrupt", now=0.0)
    assert made.have_all_stopped
    made.assign([2])
    assert not made.have_all_stopped


def test_a_partition_that_is_taken_is_forgotten_and_comes_back_as_new() -> None:
    made = positions(0)
    made.settle(0, 7)
    made.fail([0], now=0.0)
    made.revoke([0, 5])
    assert not made.assigned
    made.settle(0, 7)
    assert made.going == {}
    assert not made.stop(0, "corrupt", now=0.0)
    made.assign([0])
    assert made.due(now=0.0) == {0}


def test_the_budget_is_overdrawn_by_letters_in_a_row_of_one_stage() -> None:
    budget = Budget(2)
    for offset in range(2):
        budget.spend((0, offset), "read")
        budget.spend((0, offset), "write")
    assert not budget.is_overdrawn
    budget.earn("read")
    budget.spend((0, 2), "read")
    assert not budget.is_overdrawn
    budget.spend((0, 3), "write")
    assert budget.is_overdrawn


def test_what_an_outage_interrupts_is_counted_anew_and_what_the_broker_has_is_not_sent_again() -> None:
    budget = Budget(3)
    assert budget.spend((0, 0), "read")
    budget.commit()
    for _ in range(10):
        assert budget.spend((0, 1), "read") is (_ == 0)
        budget.confirm()
        budget.roll_back()
    assert not budget.is_overdrawn
    budget.commit()
    assert budget.spend((0, 1), "read")


def test_what_was_not_confirmed_is_sent_again() -> None:
    budget = Budget(3)
    assert budget.spend((0, 1), "read")
    budget.roll_back()
    budget.confirm()
    assert budget.spend((0, 1), "read")
