"""What watches a process, as its parts see it: whom they tell, and where it is served."""

from collections.abc import Callable
from typing import Any, NamedTuple

from kafkajourney.events import Event
from kafkajourney.kafka.clients import OnStatistics
from kafkajourney.watching.observer import Observer
from kafkajourney.watching.traces import OFF, Traces


class Address(NamedTuple):
    """Where a process serves its metrics."""

    host: str
    port: int


class ConsumerMonitor(NamedTuple):
    """What a consumer's parts have to tell, and to whom."""

    observer: Observer
    on_statistics: OnStatistics | None = None


def _nothing(*_: object) -> None:
    pass


class ProducerMonitor(NamedTuple):
    """What a producer's parts have to tell, and to whom."""

    on_statistics: OnStatistics | None = None
    listeners: tuple[Callable[[Event, Any], None], ...] = ()
    polled: Callable[[], None] = _nothing
    watch: Callable[[Any], None] = _nothing
    traces: Traces = OFF
