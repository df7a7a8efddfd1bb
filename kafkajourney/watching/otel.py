"""The spans of OpenTelemetry: one for each event sent, one for each transaction, linked to those of its events.

The only module that imports OpenTelemetry; see ``kafkajourney.watching.tracing``. Names and attributes are those of the
semantic conventions for messaging; what these do not have begins with ``kafkajourney.``.
"""

import itertools
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from kafkajourney import __version__
from kafkajourney.errors import TransientError, without_row
from kafkajourney.events import Move, Record
from kafkajourney.kafka.reading import headers_of
from kafkajourney.watching.observer import Observer, Stored
from kafkajourney.watching.traces import Sending, Traces

EXPORTERS = {"otlp": OTLPSpanExporter, "console": ConsoleSpanExporter}

MOST_LINKS = 128
"""Links of one transaction: OpenTelemetry's own limit."""

PARTITION = "messaging.destination.partition.id"
OFFSET = "messaging.kafka.offset"

_PROPAGATOR = TraceContextTextMapPropagator()
_NO_CONTEXT = Context()

Attributes = dict[str, AttributeValue]


def provider(service: str, exporters: Iterable[str]) -> TracerProvider:
    """Return what makes spans and sends them in the background; all else of it is as OTEL_* variables say."""
    named = OTELResourceDetector().detect().attributes
    # Shut down by kafkajourney.watching.tracing, which does not wait for ever.
    made = TracerProvider(resource=Resource.create({SERVICE_NAME: service, **named}), shutdown_on_exit=False)
    for name in exporters:
        made.add_span_processor(BatchSpanProcessor(EXPORTERS[name]()))
    return made


class OpenTelemetry(Traces):
    """Traces events and transactions."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("kafkajourney", __version__)

    def sending(self, topic: str, event_id: object) -> Sending:
        """Begin the trace of an event."""
        return SendSpan(self._tracer, topic, event_id)

    def observers(self, topic: str, group: str) -> Sequence[Observer]:
        """Return what traces the transactions of a consumer of this group."""
        return (TransactionSpans(self._tracer, topic, group),)


class SendSpan(Sending):
    """A span from the handing over of an event until the broker has confirmed it."""

    def __init__(self, tracer: Tracer, topic: str, event_id: object) -> None:
        attributes = _messaging("send", topic) | {"messaging.message.id": str(event_id)}
        self._span = tracer.start_span(f"send {topic}", _NO_CONTEXT, SpanKind.PRODUCER, attributes)
        self.headers = {}
        _PROPAGATOR.inject(self.headers, set_span_in_context(self._span, _NO_CONTEXT))

    def done(self, error: KafkaError | None, message: Any) -> None:
        """End the span."""
        if error is None:
            self._span.set_attributes({PARTITION: str(message.partition()), OFFSET: message.offset()})
        else:
            self._span.set_attribute("error.type", error.name())
            self._span.set_status(Status(StatusCode.ERROR, error.str()))
        self._span.end()


class _Begun(NamedTuple):
    """A transaction that has neither succeeded nor failed yet."""

    at: int
    """Nanoseconds since the epoch."""
    records: Sequence[Record]
    moves: Mapping[int, Move]


class TransactionSpans(Observer):
    """A span for each transaction, made when it is known how it ended."""

    def __init__(self, tracer: Tracer, topic: str, group: str) -> None:
        self._tracer = tracer
        self._topic = topic
        self._group = group
        self._begun: _Begun | None = None

    def committing(self, records: Sequence[Record], moves: Mapping[int, Move]) -> None:  # noqa: D102 # Observer says it
        self._begun = _Begun(time.time_ns(), records, moves)

    def stored(self, batch: Stored) -> None:  # noqa: D102
        self._begun = None
        end = time.time_ns() - _nanoseconds(batch.offsets_seconds)
        began = end - _nanoseconds(batch.database_seconds)
        self._make_span(_Begun(began, batch.records, batch.moves), end)

    def failed(self, error: TransientError, partitions: Collection[int], retry_in: float) -> None:  # noqa: ARG002, D102
        now = time.time_ns()
        begun, self._begun = self._begun, None
        # Without a transaction that had begun it was the registry, the broker or the reading of the progress.
        self._make_span(begun or _Begun(now, (), {}), now, error)

    def _make_span(self, transaction: _Begun, end: int, error: TransientError | None = None) -> None:
        links = list(itertools.islice(_links(transaction.records), MOST_LINKS))
        # Alone in its batch an event has the whole way in one trace; several cannot all be the parent.
        parent = set_span_in_context(NonRecordingSpan(links[0].context)) if len(links) == 1 else _NO_CONTEXT
        attributes = _messaging("process", self._topic) | self._extent(transaction)
        if error is not None:
            attributes["error.type"] = type(error).__name__
        name = f"process {self._topic}"
        span = self._tracer.start_span(name, parent, SpanKind.CONSUMER, attributes, links, transaction.at)
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, without_row(str(error))))
        span.end(end)

    def _extent(self, transaction: _Begun) -> Attributes:
        records, moves = transaction.records, sorted(transaction.moves.items())
        extent: Attributes = {
            "messaging.consumer.group.name": self._group,
            "messaging.batch.message_count": len(records),
            "kafkajourney.dead_letters": sum(record.decoded is None for record in records),
            "kafkajourney.offsets": [f"{p}: {move.expected}-{move.next_offset - 1}" for p, move in moves],
        }
        if len(moves) == 1:
            extent[PARTITION] = str(moves[0][0])
        return extent


def _messaging(operation: str, topic: str) -> Attributes:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }


def _links(records: Iterable[Record]) -> Iterator[Link]:
    """Yield a link to the span of each event's producer, each span once."""
    seen: set[tuple[int, int]] = set()
    for record in records:
        origin = origin_of(record.message)
        identity = origin.trace_id, origin.span_id
        if origin.is_valid and identity not in seen:
            seen.add(identity)
            yield Link(origin, {PARTITION: str(record.partition), OFFSET: record.offset})


def origin_of(message: Any) -> SpanContext:
    """Return the span that a message says it comes from; an invalid one where it says none, or nonsense."""
    headers = {name: value.decode(errors="replace") for name, value in headers_of(message) if value is not None}
    return get_current_span(_PROPAGATOR.extract(headers, _NO_CONTEXT)).get_span_context()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
