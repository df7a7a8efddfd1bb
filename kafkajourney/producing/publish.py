"""Publishing: events to the topic, paced; how many of them the broker has is known at the end."""

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
from kafkajourney.kafka import clients
from kafkajourney.kafka.errors import is_denied
from kafkajourney.watching.traces import OFF, Sending, Traces

Delivered = Callable[[events.Event, Any], None]

_NEVER = Event()

POLL_EVERY = 100
"""Events between two looks for deliveries that failed, while they are handed over at full speed."""


class Publisher:
    """Hands events to a Kafka producer, keyed by user, and knows how many of them the broker has.

    Each delivery is told to the ``listeners`` and to ``traces``. Without them ``make_producer`` is called with
    ``on_failure``, and its producer reports only what fails: delivered is then what is neither under way nor failed.
    """

    give_up: Event = Event()
    """Set to wait for no delivery any more."""

    def __init__(
        self,
        make_producer: Callable[..., Producer],
        encode: Callable[[events.Event], bytes],
        topic: str,
        listeners: Sequence[Delivered] = (),
        traces: Traces = OFF,
        polled: Callable[[], None] = lambda: None,
    ) -> None:
        self._is_followed = bool(listeners) or traces is not OFF
        self.producer = make_producer() if self._is_followed else make_producer(on_failure=self._settled)
        self._encode = encode
        self._topic = topic
        self._listeners = listeners
        self._traces = traces
        self._polled = polled
        self._first_failure = ""
        self._number = 0
        self._settled_number = 0
        """How many events there were when the fate of all was known last."""
        self.handed_over: Counter[str] = Counter()
        """Events that the producer took, by type."""
        self.failed = 0
        """Events that the broker did not confirm within the delivery timeout."""

    @property
    def delivered(self) -> int:
        """Events that the broker has; while some are under way perhaps a few less.

        The length of librdkafka's queue counts what it has to say as well.
        """
        under_way = 0 if self._settled_number == self._number else len(self.producer)
        return max(0, self._number - under_way - self.failed)

    def publish(self, event: events.Event, stop: Event = _NEVER) -> None:
        """Hand an event over, waiting while the queue is full; leave it out where ``stop`` is set meanwhile.

        Raises RecordError where the event cannot be a record, StopError after a delivery has failed.
        """
        value, key = self._encode(event), event.user_id.encode()
        trace = self._traces.sending(self._topic, event.event_id) if self._is_followed else None
        more: dict[str, Any] = {}
        if trace is not None:
            more = {"headers": trace.headers, "on_delivery": self._report(event, trace)}
        while True:
            self._require_no_failure()
            try:
                self.producer.produce(self._topic, key=key, value=value, **more)
            except BufferError:
                self._poll(0.1)  # full: deliveries make room
                if stop.is_set():
                    self._drop(trace, KafkaError(KafkaError._QUEUE_FULL))
                    return
            except KafkaException as error:
                self._drop(trace, error.args[0])
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

    def finish(self) -> None:
        """Wait until the fate of every event is known; raise StopError with the count where some were not delivered."""
        if left := self._wait_for_all():
            raise StopError(f"Up to {left} events are not confirmed by the broker, {self.delivered} are.")
        self._require_no_failure()

    def _wait_for_all(self) -> int:
        """Wait until the fate of every event is known, or ``give_up`` is set; return how many may be under way."""
        while (left := len(self.producer)) and not self.give_up.is_set():
            self._polled()
            self._guarded(lambda: self.producer.flush(1))
        if not left:
            self._settled_number = self._number
        return left

    def _poll(self, seconds: float) -> None:
        self._polled()
        self._guarded(lambda: self.producer.poll(seconds))

    def _guarded(self, call: Callable[[], object]) -> None:
        """Call the producer; raise StopError where it has failed for good."""
        try:
            clients.called(call)
        except KafkaException as error:
            cause = error.args[0]
            advice = f"Allow the user to write to {self._topic}" if is_denied(cause) else "Correct the [kafka] settings"
            raise StopError(
                f"The producer cannot go on: {cause.str()}. Up to {self.delivered} events were delivered to "
                f"{self._topic}. {advice}, then produce the rest again."
            ) from error

    def _report(self, event: events.Event, trace: Sending) -> Callable[[KafkaError | None, Any], None]:
        """Return what is to be called when the fate of an event is known."""

        def report(error: KafkaError | None, message: Any) -> None:
            trace.done(error, message)
            self._settled(error, message)
            if error is None:
                for listener in self._listeners:
                    listener(event, message)

        return report

    @staticmethod
    def _drop(trace: Sending | None, error: KafkaError) -> None:
        """End the trace of an event that is not handed over."""
        if trace is not None:
            trace.done(error, None)

    def _settled(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self.failed += 1
            self._first_failure = self._first_failure or error.str()

    def _require_no_failure(self) -> None:
        if not self.failed:
            return
        self._wait_for_all()
        raise StopError(
            f"{self.failed} events were not delivered to {self._topic} ({self._first_failure}); "
            f"{self.delivered} were. See whether the broker is well, then produce the rest again."
        )


def paced(
    journey: Iterable[events.Event],
    rate: float,
    count: int | None,
    stop: Event,
    wait: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[events.Event]:
    """Yield ``count`` events (None: all) at ``rate`` a second (0: as fast as possible) unless ``stop`` is set before.

    The time of each follows from the first one's, so that delays do not add up; an event is asked for when its time has
    come. ``wait`` is called with seconds.
    """
    start, coming = clock(), iter(journey)
    for number in itertools.count() if count is None else range(count):
        while rate and not stop.is_set() and (left := start + number / rate - clock()) > 0:
            wait(min(left, 0.2))  # short, for a signal to be seen
        if stop.is_set() or (event := next(coming, None)) is None:
            return
        yield event


def until_stopped(lines: Iterable[bytes], stop: Event, meanwhile: Callable[[], object]) -> Iterator[bytes]:
    """Yield the lines until they end or ``stop`` is set, also while the next one is awaited (a terminal, a pipe).

    ``meanwhile`` is called now and then while it is awaited. Raises StopError where they cannot be read.
    """
    waiting: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=10_000)

    def read() -> None:
        try:
            for line in lines:
                waiting.put(line)
            waiting.put(None)
        except Exception as error:  # noqa: BLE001 # raised by whoever takes the lines
            waiting.put(error)

    threading.Thread(target=read, daemon=True).start()
    while not stop.is_set():
        try:
            line = waiting.get(timeout=0.2)
        except queue.Empty:
            meanwhile()
            continue
        if line is None:
            return
        if isinstance(line, Exception):
            raise StopError(f"The input cannot be read on: {line}. What was read before it is produced.") from line
        yield line
