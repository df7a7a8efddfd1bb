"""What is asked of the broker while the loop goes on, and partitions of which nothing comes."""

from collections.abc import Callable, Collection
from threading import Event

import pytest

from kafkajourney.consuming.positions import SILENT
from kafkajourney.consuming.settling import BesideTheLoop, Told
from kafkajourney.errors import BrokerAwayError
from kafkajourney.kafka.reading import Bounds
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
    beside.ask({0, 1})
    beside.ask({0, 1})
    beside.ask({1, 2})
    assert beside.answers(0.0) == {}
    broker.answer(2)
    assert [type(answer) for answer in told(beside).values()] == [BrokerAwayError]
    broker.answer(0, 1)
    assert told(beside) == {0: WELL, 1: WELL}
    beside.ask({0})
    assert told(beside) == {0: WELL}
    assert broker.asked == [{0, 1}, {2}, {0}]


def test_nothing_is_waited_for_where_nothing_is_asked() -> None:
    beside = BesideTheLoop(Broker().ask)
    beside.ask(())
    assert beside.answers(1e9) == {}


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.assign(0, 1)
    bench.turn()
    assert bench.loop.positions.going == {0: 0, 1: 0}
    return bench


def late(bounds: BesideTheLoop) -> Event:
    """Let the broker answer only when the event is set."""
    may_answer, ask = Event(), bounds._ask_bounds

    def ask_late(partitions: Collection[int]) -> Told:
        may_answer.wait()
        return ask(partitions)

    bounds._ask_bounds = ask_late
    return may_answer


def heard(bench: Bench, is_told: Callable[[], bool]) -> None:
    def look() -> bool:
        bench.silence.look()
        return is_told()

    wait_for(look)


def test_a_partition_without_a_leader_backs_off_and_the_other_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.bounds[0] = BrokerAwayError("t [0] has no leader")
    bench.now += SILENT
    heard(bench, lambda: bench.loop.positions.going == {1: 0})
    assert "t [0] has no leader (t [0])" in caplog.text
    assert bench.consumer.paused == {0}
    bench.bounds[0] = (0, 100)
    bench.now = bench.retry_at()
    bench.turn(Message(1, 0))
    bench.turn(Message(0, 0))
    assert bench.store.next_offsets == {0: 1, 1: 1}


def test_a_partition_that_the_broker_has_goes_on_in_silence(bench: Bench) -> None:
    bench.now += SILENT
    heard(bench, lambda: not bench.loop.positions.silent(bench.now))
    assert bench.loop.positions.going == {0: 0, 1: 0}
    assert bench.consumer.paused == set()


def test_an_answer_that_comes_after_the_records_is_none(bench: Bench) -> None:
    bench.bounds[0] = BrokerAwayError("t [0] has no leader")
    may_answer = late(bench.silence._bounds)
    bench.now += SILENT
    bench.silence.look()
    bench.turn(Message(0, 0), Message(1, 0))
    may_answer.set()
    heard(bench, lambda: not bench.silence._bounds._asked)
    assert bench.loop.positions.going == {0: 1, 1: 1}


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
