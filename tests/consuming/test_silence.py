"""Who does not answer, by librdkafka's statistics, and what is told of it."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from kafkajourney.consuming.silence import SILENT, Silence
from kafkajourney.watching.loop_log import QUIET, LoopLog
from kafkajourney.watching.observer import Observer, together

EVERY = 2.0
"""Seconds between two statistics."""


class Told(Observer):
    def __init__(self) -> None:
        self.said: list[Mapping[int, object]] = []

    def silent(self, partitions: Mapping[int, str]) -> None:
        self.said.append(partitions)

    def settled(self, positions: Mapping[int, int]) -> None:
        self.said.append(positions)


class Bench:
    """Partitions 0 and 2 are led by broker 1, partition 1 by broker 2."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told = Told()
        self.log = LoopLog("t", lambda: self.now)
        self.silence = Silence("t", together(self.told, self.log), lambda: self.now)
        of_each = {"state": "UP", "waitresp_cnt": 1, "rx": 7}
        self.brokers: dict[int, dict[str, Any]] = {
            node: {"nodeid": node, "nodename": f"b{node}:9092", **of_each} for node in (1, 2)
        }
        self.leaders = {0: 1, 1: 2, 2: 1}
        self.going = {0: 10, 1: 11, 2: 12}

    def statistics(self) -> dict[str, Any]:
        partitions = {str(p): {"leader": leader} for p, leader in self.leaders.items()}
        brokers = {broker["nodename"]: dict(broker) for broker in self.brokers.values()}
        return {"brokers": brokers, "topics": {"t": {"partitions": partitions}}}

    def pass_time(self, seconds: float, answering: Iterable[int] = (1, 2)) -> list[Mapping[int, object]]:
        """Let the statistics come for so long; return what was told meanwhile."""
        self.told.said.clear()
        end = self.now + seconds
        while self.now < end:
            self.now += EVERY
            for broker in answering:
                self.brokers[broker]["rx"] += 1
            self.silence.take(self.statistics())
            self.silence.look(self.going)
            self.silence.look(self.going)  # between two statistics there is no news
            self.log.polled()
        return self.told.said


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.pass_time(EVERY)
    return bench


FROZEN = "broker b1:9092 does not answer; see whether it is up"


def test_the_partitions_of_a_broker_that_is_frozen_are_told_until_it_answers(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert bench.pass_time(SILENT - EVERY, answering=[2]) == []
    assert bench.pass_time(2 * EVERY, answering=[2]) == 2 * [{0: FROZEN, 2: FROZEN}]
    assert bench.pass_time(EVERY) == [{0: 10, 2: 12}]
    assert bench.pass_time(QUIET) == []
    silent, over = caplog.messages
    assert silent == f"waiting: nothing comes of t [0, 2]: {FROZEN}"
    assert over == "going on after 4.0 s"


@pytest.mark.parametrize("nothing", [{}, {"brokers": {}, "topics": {}}, {"topics": {"t": {}}}])
def test_statistics_with_nothing_in_them_tell_nothing(bench: Bench, nothing: dict[str, Any]) -> None:
    bench.silence.take(nothing)
    bench.now += 2 * SILENT
    bench.silence.look(bench.going)
    assert bench.told.said[1:] == []


def test_a_leader_that_is_not_known_by_address_is_told_by_its_number(bench: Bench) -> None:
    bench.leaders[1] = 0
    assert bench.pass_time(SILENT)[-1] == {1: "broker 0 does not answer; see whether it is up"}


def test_a_partition_without_a_leader_is_told(bench: Bench) -> None:
    bench.leaders[1] = -1
    said = bench.pass_time(SILENT + 2 * EVERY)
    assert said[-1] == {1: "there is no leader; see which broker is down"}


def test_a_broker_that_cannot_be_reached_is_told_however_often_it_is_tried(bench: Bench) -> None:
    bench.brokers[2] |= {"waitresp_cnt": 0}
    for state in ("DOWN", "CONNECT", "DOWN", "INIT"):
        bench.brokers[2]["state"] = state
        bench.pass_time(EVERY, answering=[1])
    assert set(bench.told.said[-1]) == {1}


def test_a_broker_that_owes_nothing_is_well(bench: Bench) -> None:
    bench.brokers[1]["waitresp_cnt"] = 0  # nothing is fetched where enough is there
    assert set(bench.pass_time(SILENT + 2 * EVERY, answering=[])[-1]) == {1}


def test_partitions_that_do_not_go_on_are_told_elsewhere(bench: Bench) -> None:
    del bench.going[0]
    assert set(bench.pass_time(SILENT + 2 * EVERY, answering=[2])[-1]) == {2}
    del bench.going[2]
    assert bench.pass_time(EVERY, answering=[2]) == []
    assert bench.pass_time(EVERY) == []


def test_a_second_broker_is_told_at_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.pass_time(SILENT + EVERY, answering=[2])
    bench.pass_time(SILENT + EVERY, answering=[])
    told = [message for message in caplog.messages if "b2:9092" in message]
    assert told == [f"waiting for 8.0 s: nothing comes of t [0, 1, 2]: {FROZEN}; {FROZEN.replace('b1', 'b2')}"]
