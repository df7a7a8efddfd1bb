"""Publishing: events to the topic, paced, with every delivery counted."""

import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from kafkajourney import events
from kafkajourney.errors import RecordError, StopError
from kafkajourney.tracing import OFF, Traces

Delivered = Callable[[events.Event, Any], None]

_NEVER = Event()

POLL_EVERY = 100
"""Events between two looks for deliveries that failed, while they are handed over at full speed."""


class Publisher:
    """Hands events to a Kafka producer, keyed by user, and counts what the broker has confirmed.

    Each delivery is told to the ``listeners`` and to ``traces``; without them the producer need only report failures.
    """

    def __init__(
        self,
        producer: Producer,
        encode: Callable[[events.Event], bytes],
        topic: str,
        listeners: Sequence[Delivered] = (),
        traces: Traces = OFF,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self.producer = producer
        self._encode = encode
        self._topic = topic
        self._listeners = listeners
        self._traces = traces
        self._turned = turned
        self._is_followed = bool(listeners) or traces is not OFF
        self._first_failure = ""
        self._number = 0
        self.handed_over: Counter[str] = Counter()
        """Events that the producer took, by type."""
        self.failed = 0
        """Events that the broker did not confirm within the delivery timeout."""

    @property
    def delivered(self) -> int:
        """Events that the broker has."""
        return self._number - len(self.producer) - self.failed

    def publish(self, event: events.Event, stop: Event = _NEVER) -> None:
        """Hand an event over, waiting while the queue is full; leave it out where ``stop`` is set meanwhile.

        Raises RecordError where the event cannot be a record, StopError after a delivery has failed.
        """
        value, key = self._encode(event), event.user_id.encode()
        headers, report = self._followed(event) if self._is_followed else (None, self._settled)
        while True:
            self._require_no_failure()
            try:
                self.producer.produce(self._topic, key=key, value=value, headers=headers, on_delivery=report)
            except BufferError:
                self._poll(0.1)  # full: deliveries make room
                if stop.is_set():
                    return
            except KafkaException as error:
                reason = f"{type(event).__name__} cannot be produced: {error.args[0].str()}"
                too_large = error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
                raise (RecordError if too_large else StopError)(reason) from error
            else:
                self._number += 1
                self.handed_over[type(event).__name__] += 1
                if self._is_followed or self._number % POLL_EVERY == 0:
                    self._poll(0)
                return

    def wait(self, seconds: float) -> None:
        """Take delivery reports for so long."""
        self._poll(seconds)
        self._require_no_failure()

    def finish(self, give_up: Event = _NEVER) -> None:
        """Wait until the fate of every event is known; raise StopError with the count where some were not delivered.

        Where ``give_up`` is set meanwhile, those whose fate is not known count as not delivered.
        """
        while (left := len(self.producer)) and not give_up.is_set():
            self._turned()
            self.producer.flush(1)
        if left:
            raise StopError(f"{left} events are not confirmed by the broker, {self.delivered} are.")
        self._require_no_failure()

    def _poll(self, seconds: float) -> None:
        self._turned()
        self.producer.poll(seconds)

    def _followed(self, event: events.Event) -> tuple[Any, Callable[[KafkaError | None, Any], None]]:
        """Return the headers of an event, and what is to be told of its delivery."""
        trace = self._traces.sending(self._topic, event.event_id)

        def report(error: KafkaError | None, message: Any) -> None:
            trace.done(error, message)
            self._settled(error, message)
            if error is None:
                for listener in self._listeners:
                    listener(event, message)

        return trace.headers, report

    def _settled(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self.failed += 1
            self._first_failure = self._first_failure or error.str()

    def _require_no_failure(self) -> None:
        if not self.failed:
            return
        while len(self.producer):
            self.producer.flush(1)
        raise StopError(
            f"{self.failed} events were not delivered to {self._topic} ({self._first_failure}); "
            f"{self.delivered} were. See whether the broker is well, then produce the rest again."
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
    start, coming = clock(), iter(journey)
    for number in itertools.count():
        while rate and not stop.is_set() and (left := start + number / rate - clock()) > 0:
            wait(min(left, 0.2))  # short, for a signal to be seen
        if stop.is_set():
            return
        try:
            event = next(coming)  # only now: it has the time at which it is made
        except StopIteration:
            return
        yield event


def until_stopped(lines: Iterable[bytes], stop: Event, meanwhile: Callable[[], object]) -> Iterator[bytes]:
    """Yield the lines until they end or ``stop`` is set, also while the next one is awaited (a terminal, a pipe).

    ``meanwhile`` is called now and then while it is awaited.
    """
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
            meanwhile()
            continue
        if line is None:
            return
        yield line
