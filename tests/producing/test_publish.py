"""Publishing: what becomes of events that the broker does not take, when events are asked for, and of a bad input."""

from collections.abc import Iterator
from functools import partial
from threading import Event as Flag
from typing import Any

import pytest

from kafkajourney.errors import StopError
from kafkajourney.events import Event
from kafkajourney.kafka import clients
from kafkajourney.producing.publish import Delivered, Publisher, paced, until_stopped
from kafkajourney.settings import Settings
from producer.simulator import simulate

NOWHERE = Settings(
    "127.0.0.1:1", "http://127.0.0.1:1", "sqlite://", "t", kafka={"message.timeout.ms": "300", "linger.ms": "0"}
)


def ignore(_event: Event, _message: Any) -> None:
    """Follow deliveries without a word."""


@pytest.mark.stack  # librdkafka looks for events that are out of time once a second
@pytest.mark.parametrize("listeners", [(), (ignore,)], ids=["only failures are reported", "all are reported"])
def test_events_that_are_not_delivered_are_counted(listeners: tuple[Delivered, ...]) -> None:
    publisher = Publisher(partial(clients.producer, NOWHERE), lambda _event: b"x", "t", listeners)
    events = simulate(5, seed=1)
    for _ in range(3):
        publisher.publish(next(events))
    assert (publisher.delivered, sum(publisher.handed_over.values())) == (0, 3)
    with pytest.raises(StopError, match=r"^3 events were not delivered to t \(.*timed out\); 0 were\."):
        publisher.finish()
    with pytest.raises(StopError, match=r"^3 events were not delivered"):
        publisher.publish(next(events))


def test_each_event_is_asked_for_when_its_time_has_come() -> None:
    now, asked = 0.0, []

    def journey() -> Iterator[Event]:
        for event in simulate(5, seed=1):
            asked.append(now)
            yield event

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    assert len(list(paced(journey(), 2.0, 4, Flag(), wait, clock=lambda: now))) == 4
    assert asked == pytest.approx([0.0, 0.5, 1.0, 1.5])
    assert now == pytest.approx(1.5), "nothing is waited for after the last event"


def test_an_input_that_cannot_be_read_on_ends_with_its_reason() -> None:
    def lines() -> Iterator[bytes]:
        yield b"first"
        raise OSError(5, "Input/output error")

    found = until_stopped(lines(), Flag(), lambda: None)
    assert next(found) == b"first"
    with pytest.raises(StopError, match=r"^The input cannot be read on: .*Input/output error"):
        next(found)
