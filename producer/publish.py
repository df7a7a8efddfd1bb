"""Publishing: events to the topic, paced, with every delivery counted."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from kafkajourney import events
from kafkajourney.errors import RecordError, StopError

Delivered = Callable[[events.Event, Any], None]

_NEVER = Event()


class Publisher:
    """Hands events to a Kafka producer, keyed by user, and counts what the broker has confirmed."""

    def __init__(
        self,
        producer: Producer,
        encode: Callable[[events.Event], bytes],
        topic: str,
        on_delivered: Delivered = lambda _event, _message: None,
    ) -> None:
        self.producer = producer
        self._encode = encode
        self._topic = topic
        self._on_delivered = on_delivered
        self._first_failure = ""
        self.delivered: Counter[str] = Counter()
        """Events that the broker has, by type."""
        self.failed = 0
        """Events that the broker did not confirm within the delivery timeout."""

    def publish(self, event: events.Event, stop: Event = _NEVER) -> None:
        """Hand an event over, waiting while the queue is full; leave it out where ``stop`` is set meanwhile.

        Raises RecordError where the event cannot be a record, StopError after a delivery has failed.
        """
        value = self._encode(event)

        def report(error: KafkaError | None, message: Any) -> None:
            self._report(event, error, message)

        while True:
            self._require_no_failure()
            try:
                self.producer.produce(self._topic, key=event.user_id.encode(), value=value, on_delivery=report)
            except BufferError:
                self.producer.poll(0.1)  # full: deliveries make room
                if stop.is_set():
                    return
            except KafkaException as error:
                reason = f"{type(event).__name__} cannot be produced: {error.args[0].str()}"
                too_large = error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
                raise (RecordError if too_large else StopError)(reason) from error
            else:
                self.producer.poll(0)
                return

    def wait(self, seconds: float) -> None:
        """Take delivery reports for so long."""
        self.producer.poll(seconds)
        self._require_no_failure()

    def finish(self, give_up: Event = _NEVER) -> None:
        """Wait until the fate of every event is known; raise StopError with the count where some were not delivered.

        Where ``give_up`` is set meanwhile, those whose fate is not known count as not delivered.
        """
        while (left := len(self.producer)) and not give_up.is_set():
            self.producer.flush(1)
        if left:
            raise StopError(f"{left} events are not confirmed by the broker, {self.delivered.total()} are.")
        self._require_no_failure()

    def _report(self, event: events.Event, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self.delivered[type(event).__name__] += 1
            self._on_delivered(event, message)
        else:
            self.failed += 1
            self._first_failure = self._first_failure or error.str()

    def _require_no_failure(self) -> None:
        if not self.failed:
            return
        while len(self.producer):
            self.producer.flush(1)
        raise StopError(
            f"{self.failed} events were not delivered to {self._topic} ({self._first_failure}); "
            f"{self.delivered.total()} were. See whether the broker is well, then produce the rest again."
        )


def paced(
    journey: Iterable[events.Event],
    rate: float,
    stop: Event,
    wait: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[events.Event]:
    """Yield the events at ``rate`` a second (0: as fast as possible) until they end or ``stop`` is set.

    The time of each follows from the first one's, so that delays do not add up. ``wait`` is called with seconds.
    """
    start = clock()
    for number, event in enumerate(journey):
        while rate and not stop.is_set() and (left := start + number / rate - clock()) > 0:
            wait(min(left, 0.2))  # short, for a signal to be seen
        if stop.is_set():
            return
        yield event


def until_stopped(lines: Iterable[bytes], stop: Event) -> Iterator[bytes]:
    """Yield the lines until they end or ``stop`` is set, also while the next one is awaited (a terminal, a pipe)."""
    waiting: queue.Queue[bytes | None] = queue.Queue(maxsize=10_000)

    def read() -> None:
        for line in lines:
            waiting.put(line)
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    while not stop.is_set():
        try:
            line = waiting.get(timeout=0.2)
        except queue.Empty:
            continue
        if line is None:
            return
        yield line
