"""Schema ids that the registry does not have: how long they are waited for, and how often asked."""

import pytest

from kafkajourney.errors import DecodeError, RegistryAwayError
from kafkajourney.registry.absent import MOST_AWAITED, REMEMBERED, AbsentIds


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_absent_id_is_an_outage_for_a_short_while_then_refused() -> None:
    clock = Clock()
    absent = AbsentIds(2.0, clock)
    assert isinstance(absent.missed(7, "schema id 7 is not there"), RegistryAwayError)
    clock.now += 1.9
    absent.require_asking(7)  # it is to be asked for again
    assert isinstance(absent.missed(7, "schema id 7 is not there"), RegistryAwayError)
    clock.now += 0.2
    refusal = absent.missed(7, "schema id 7 is not there")
    assert isinstance(refusal, DecodeError)
    assert str(refusal) == "schema id 7 is not there"


def test_what_is_refused_is_not_asked_for_again_for_a_while() -> None:
    clock = Clock()
    absent = AbsentIds(0.0, clock)
    absent.missed(7, "not there")
    with pytest.raises(DecodeError, match="not there"):
        absent.require_asking(7)
    absent.require_asking(8)
    clock.now += REMEMBERED
    absent.require_asking(7)


def test_of_many_absent_ids_only_the_first_are_waited_for() -> None:
    absent = AbsentIds(2.0, Clock())
    kinds = [type(absent.missed(number, "x")) for number in range(MOST_AWAITED + 3)]
    assert kinds == [RegistryAwayError] * MOST_AWAITED + [DecodeError] * 3


def test_an_id_that_came_after_all_makes_room_for_another() -> None:
    absent = AbsentIds(2.0, Clock())
    for number in range(MOST_AWAITED):
        absent.missed(number, "x")
    absent.found(0)
    assert isinstance(absent.missed(100, "x"), RegistryAwayError)
