"""What is asked of the broker while the loop goes on."""

from collections.abc import Collection, Mapping
from threading import Event

import pytest

from kafkajourney.consuming.settling import EACH_AFTER, BesideTheLoop, Told, where_to_go_on
from kafkajourney.errors import BrokerAwayError, PartitionError
from kafkajourney.kafka.bounds import Bounds
from tests.support.loop import Bench, Message
from tests.support.processes import wait_for

WELL = Bounds(0, 100)


class Broker:
    """Answers for each partition once it is let."""

    def __init__(self) -> None:
        self.asked: list[set[int]] = []
        self.may_answer = {partition: Event() for partition in range(3)}

    def ask(self, partitions: Collection[int]) -> Told:
        self.asked.append(set(partitions))
        for partition in partitions:
            self.may_answer[partition].wait()
        if 2 in partitions:
            raise BrokerAwayError("no broker answers")
        return dict.fromkeys(partitions, WELL)

    def answer(self, *partitions: int) -> None:
        for partition in partitions:
            self.may_answer[partition].set()


def told(beside: BesideTheLoop) -> Told:
    return beside.answers(10.0)


def test_a_question_is_asked_once_while_it_is_open_and_each_is_answered_by_itself() -> None:
    broker = Broker()
    beside = BesideTheLoop(broker.ask)
    beside.ask({0, 1}, 1)
    beside.ask({0, 1}, 1)
    beside.ask({1, 2}, 1)
    assert beside.answers(0.0) == {}
    broker.answer(2)
    assert [type(answer) for answer in told(beside).values()] == [BrokerAwayError]
    broker.answer(0, 1)
    assert told(beside) == {0: WELL, 1: WELL}
    beside.ask({0}, 1)
    beside.ask({1}, 1)
    beside.ask({2}, 1)
    wait_for(lambda: all(question.done() for question in beside._open))
    assert {p: type(answer) for p, answer in beside.answers(0.0).items()} == {0: Bounds, 1: Bounds, 2: BrokerAwayError}
    assert broker.asked[:2] == [{0, 1}, {2}]


def test_partitions_that_are_answered_late_are_asked_for_one_by_one() -> None:
    broker, now = Broker(), 0.0
    beside = BesideTheLoop(broker.ask, clock=lambda: now)
    beside.ask({0, 1}, 1)
    now = EACH_AFTER
    assert beside.answers(0.0) == {}
    broker.answer(0)
    assert told(beside) == {0: WELL}
    beside.ask({1}, 1)
    now += EACH_AFTER
    assert beside.answers(0.0) == {}
    broker.answer(1)
    assert told(beside) == {1: WELL}
    assert sorted(broker.asked, key=sorted) == [{0}, {0, 1}, {1}]


def test_what_was_asked_before_a_partition_went_and_came_back_is_forgotten(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    may_answer, ended = late(bench.loop._bounds), bench.bounds[0]
    bench.loop._bounds.answers = bench.at_once  # type: ignore[method-assign]
    bench.bounds[0] = (0, 0)
    bench.loop._fail([0], BrokerAwayError("away"))
    bench.now = bench.retry_at()
    bench.turn()
    bench.revoke(0)  # another consumer stores ten events of it, and it comes back
    bench.store.next_offsets[0] = 10
    bench.assign(0)
    may_answer.set()
    bench.bounds[0] = ended

    def goes_on() -> bool:
        bench.turn()
        return bench.loop.positions.offset(0) == 10

    wait_for(goes_on)
    assert "stopped: " not in caplog.text


def test_the_database_is_asked_only_for_what_the_broker_has() -> None:
    asked: list[Mapping[int, int]] = []

    def begin(starts: Mapping[int, int], _topic_id: str | None) -> Mapping[int, int | PartitionError]:
        asked.append(starts)
        return dict.fromkeys(starts, 7)

    away = BrokerAwayError("t [1] has no leader")
    assert where_to_go_on("t", {1: away}, begin) == {1: away}
    assert where_to_go_on("t", {0: Bounds(7, 9), 1: away}, begin) == {0: 7, 1: away}
    assert asked == [{0: 7}]


def test_nothing_is_waited_for_where_nothing_is_asked() -> None:
    beside = BesideTheLoop(Broker().ask)
    beside.ask((), 1)
    assert beside.answers(1e9) == {}


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.assign(0, 1)
    bench.turn()
    assert bench.loop.positions.going == {0: 0, 1: 0}
    return bench


def late(bounds: BesideTheLoop) -> Event:
    """Let the broker answer only when the event is set, with what it had as it was asked."""
    may_answer, ask = Event(), bounds._ask_bounds

    def ask_late(partitions: Collection[int]) -> Told:
        told = ask(partitions)
        may_answer.wait()
        return told

    bounds._ask_bounds = ask_late
    return may_answer


def test_a_broker_that_is_frozen_holds_up_its_own_partitions_alone(bench: Bench) -> None:
    may_answer = late(bench.loop._bounds)
    bench.loop._bounds.answers = bench.at_once  # type: ignore[method-assign]
    bench.loop._fail([0], BrokerAwayError("t [0] has no leader"))
    bench.now = bench.retry_at()
    for offset in range(3):
        bench.turn(Message(1, offset))
    assert bench.store.next_offsets == {0: 0, 1: 3}
    may_answer.set()

    def all_go_on() -> bool:
        bench.turn()
        return bench.loop.positions.going == {0: 0, 1: 3}

    wait_for(all_go_on)
