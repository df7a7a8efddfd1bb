"""Looks beside the loop: consumers of another database in the group, and a topic that was made anew."""

from collections.abc import Mapping
from typing import Any

from kafkajourney.consuming.outside import STRANGERS_EVERY, Remade, Strangers
from kafkajourney.errors import BrokerAwayError
from kafkajourney.watching.observer import Observer
from tests.support.processes import wait_for


class Told(Observer):
    def __init__(self) -> None:
        self.of: list[Mapping[int, tuple[int, int]]] = []

    def strangers(self, partitions: Mapping[int, tuple[int, int]]) -> None:
        self.of.append(partitions)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Asked:
    """Answers in turn, the last for ever; notes how often it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.number = 0

    def __call__(self) -> Any:
        self.number += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def looked(watcher: Strangers | Remade, clock: Clock, asked: Asked) -> None:
    """Let it ask once more, and take the answer."""
    before = asked.number
    clock.now += STRANGERS_EVERY

    def has_taken_the_answer() -> bool:
        watcher.look()
        return asked.number == before + 1 and watcher._question._open is None

    wait_for(has_taken_the_answer, 10)


def test_offsets_that_the_database_has_not_reached_are_told_once() -> None:
    told, clock, committed = Told(), Clock(), Asked({0: 5, 1: 9})
    strangers = Strangers(committed, lambda: {0: 5, 1: 2}, told, clock)
    strangers.look()
    assert committed.number == 0  # not at the start: what this database's consumers left may still be stored
    looked(strangers, clock, committed)
    looked(strangers, clock, committed)
    assert told.of == [{1: (9, 2)}]


def test_the_database_is_asked_after_the_broker() -> None:
    """What its own consumers store in between is no stranger's: the offset is committed after the transaction."""
    told, clock, progress = Told(), Clock(), {0: 1}

    def committed() -> Mapping[int, int]:
        progress[0] = 7
        return {0: 7}

    asked = Asked(None)

    def then() -> Mapping[int, int]:
        asked()
        return dict(progress)

    strangers = Strangers(committed, then, told, clock)
    looked(strangers, clock, asked)
    assert told.of == []


def test_an_outage_is_not_told_here_and_does_not_end_the_looks() -> None:
    told, clock, committed = Told(), Clock(), Asked(BrokerAwayError("away"), {0: 9})
    strangers = Strangers(committed, dict, told, clock)
    looked(strangers, clock, committed)
    looked(strangers, clock, committed)
    assert told.of == [{0: (9, 0)}]


def test_another_topic_of_the_same_name_has_what_goes_on_settled_anew() -> None:
    settled: list[str] = []
    adopted: list[str] = []
    clock, ask = Clock(), Asked("first", "second")
    remade = Remade(ask, lambda: {"first"}, adopted.append, lambda error: settled.append(str(error)), clock)
    looked(remade, clock, ask)
    assert (settled, adopted) == ([], ["first"])
    for _ in range(2):  # as long as the database has another: the loop leaves alone what has stopped
        looked(remade, clock, ask)
    assert settled == ["the topic was deleted and made anew"] * 2
    assert adopted == ["first"]


def test_an_id_that_was_not_told_before_is_adopted_where_the_database_knows_none() -> None:
    adopted: list[str] = []
    clock, ask = Clock(), Asked(None, "first")
    remade = Remade(ask, set, adopted.append, lambda _error: None, clock)
    looked(remade, clock, ask)
    looked(remade, clock, ask)
    assert adopted == ["first"]
