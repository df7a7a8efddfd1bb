"""Publishing: events to the topic, paced, with every delivery counted."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from threading import Event as Stop
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from kafkajourney.errors import RecordError, StopError
from kafkajourney.events import Event

Delivered = Callable[[Event, Any], None]


class Publisher:
    """Hands events to a Kafka producer, keyed by user, and counts what the broker has confirmed."""

    def __init__(
        self,
        producer: Producer,
        encode: Callable[[Event], bytes],
        topic: str,
        on_delivered: Delivered = lambda _event, _message: None,
    ) -> None:
        self._producer = producer
        self._encode = encode
        self._topic = topic
        self._on_delivered = on_delivered
        self._first_failure = ""
        self.delivered: Counter[str] = Counter()
        """Events that the broker has, by type."""
        self.failed = 0
        """Events that the broker did not confirm within the delivery timeout."""

    def publish(self, event: Event) -> None:
        """Hand an event over, waiting while the queue is full.

        Raises RecordError where the event cannot be a record, StopError after a delivery has failed.
        """
        value = self._encode(event)

        def report(error: KafkaError | None, message: Any) -> None:
            self._report(event, error, message)

        while True:
            self._require_no_failure()
            try:
                self._producer.produce(self._topic, key=event.user_id.encode(), value=value, on_delivery=report)
            except BufferError:
                self._producer.poll(0.1)  # full: deliveries make room
            except KafkaException as error:
                raise RecordError(f"{type(event).__name__} cannot be produced: {error.args[0].str()}") from error
            else:
                self._producer.poll(0)
                return

    def wait(self, seconds: float) -> None:
        """Take delivery reports for so long."""
        self._producer.poll(seconds)
        self._require_no_failure()

    def finish(self) -> None:
        """Wait until the fate of every event is known; raise StopError with the count where some were not delivered."""
        while len(self._producer):
            self._producer.flush(1)
        self._require_no_failure()

    def _report(self, event: Event, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self.delivered[type(event).__name__] += 1
            self._on_delivered(event, message)
        else:
            self.failed += 1
            self._first_failure = self._first_failure or error.str()

    def _require_no_failure(self) -> None:
        if not self.failed:
            return
        while len(self._producer):
            self._producer.flush(1)
        raise StopError(
            f"{self.failed} events were not delivered to {self._topic} ({self._first_failure}); "
            f"{self.delivered.total()} were. See whether the broker is well, then produce the rest again."
        )


def paced(
    events: Iterable[Event],
    rate: float,
    stop: Stop,
    wait: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """Yield the events at ``rate`` a second (0: as fast as possible) until they end or ``stop`` is set.

    The time of each follows from the first one's, so that delays do not add up. ``wait`` is called with seconds.
    """
    start = clock()
    for number, event in enumerate(events):
        while rate and not stop.is_set() and (left := start + number / rate - clock()) > 0:
            wait(min(left, 0.2))  # short, for a signal to be seen
        if stop.is_set():
            return
        yield event
