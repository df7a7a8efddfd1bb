"""What a consumer measures of itself for Prometheus, by observing its loop.

Each process has a registry of its own, and none where nobody asked for metrics. Nothing is observed for each event: a
histogram takes what a batch took, and the delay of its oldest event in each partition.
See docs/decisions/0009-metrics.md; docs/operations.md lists all metrics.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC
from functools import partial
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE
from prometheus_client import CollectorRegistry, Counter, Histogram

from kafkajourney.errors import PartitionError, RecordError, TransientError
from kafkajourney.events import Record
from kafkajourney.watching.observer import Observer, Stored
from kafkajourney.watching.partitions import Ends, Partitions
from kafkajourney.watching.round_trips import RoundTrips

SIZES = (1, 10, 50, 100, 500, 1000, 2000, 5000, 10_000)


WORK = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


DELAYS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)


class ConsumerMetrics(Observer):
    """The metrics of one consumer."""

    def __init__(self, group: str, topic: str, ends: Ends, clock: Callable[[], float] = time.time) -> None:
        self.registry = CollectorRegistry()
        self._group = group
        self._clock = clock
        self._partitions = Partitions(group, topic, ends)
        self._brokers = RoundTrips()
        self.registry.register(self._partitions)
        self.registry.register(self._brokers)

        count = partial(Counter, registry=self.registry)
        measure = partial(Histogram, labelnames=["group"], registry=self.registry, buckets=WORK)
        self._events = count("kafkajourney_stored_events_total", "Events stored or counted.", ["group", "type"])
        self._bytes = count(
            "kafkajourney_stored_bytes_total",
            "Bytes of these events' records, without keys and headers.",
            ["group", "type"],
        )
        self._passed = count(
            "kafkajourney_processed_offsets_total",
            "Offsets by which the progress advanced: events stored, dead letters and records passed over.",
            ["group"],
        ).labels(group)
        self._retries = self._from_zero(
            "kafkajourney_retries_total",
            "Times that work was begun anew, by what was away: database, registry, broker; fenced; other.",
            cause=[TransientError.cause, *(kind.cause for kind in TransientError.__subclasses__())],
        )
        self._dead_letters = self._from_zero(
            "kafkajourney_dead_letters_total",
            "Records sent to the dead-letter topic; after an outage in between perhaps twice.",
            reason=[kind.__name__ for kind in RecordError.__subclasses__()],
        )
        self._rebalances = self._from_zero(
            "kafkajourney_rebalances_total",
            "Times that partitions came and went: assigned, revoked, lost (without waiting for this consumer).",
            change=["assigned", "revoked", "lost"],
        )
        self._batch = measure("kafkajourney_batch_events", "Records in a transaction.", buckets=SIZES).labels(group)
        self._decode = measure("kafkajourney_decode_seconds", "Time to decode what one poll returned.").labels(group)
        self._database = measure(
            "kafkajourney_database_seconds", "Time of a transaction, from its begin to its commit."
        ).labels(group)
        self._offsets = measure(
            "kafkajourney_commit_to_store_seconds", "Time from the commit until Kafka's client has the offsets."
        ).labels(group)
        self._since_occurred = measure(
            "kafkajourney_occurred_to_stored_seconds",
            "Delay from when the event occurred until it was stored; the oldest of each batch and partition.",
            buckets=DELAYS,
        ).labels(group)
        self._since_produced = measure(
            "kafkajourney_produced_to_stored_seconds",
            "Delay from the record's timestamp until it was stored; the oldest of each batch and partition.",
            buckets=DELAYS,
        ).labels(group)

    def _from_zero(self, name: str, documentation: str, **values: Iterable[str]) -> Counter:
        """Return a counter with one label beside the group, each value at 0, for its first count to be an increase."""
        ((label, known),) = values.items()
        counter = Counter(name, documentation, ["group", label], registry=self.registry)
        for value in known:
            counter.labels(self._group, value)
        return counter

    def on_statistics(self, statistics: Mapping[str, Any]) -> None:
        """Take librdkafka's statistics."""
        self._brokers.take(statistics)
        self._partitions.take(statistics)

    def assigned(self, partitions: Iterable[int]) -> None:  # noqa: D102 # Observer says it
        self._rebalances.labels(self._group, "assigned").inc()
        self._partitions.own(partitions, self._clock())

    def revoked(self, partitions: Iterable[int], *, lost: bool) -> None:  # noqa: D102
        if taken := list(partitions):
            self._rebalances.labels(self._group, "lost" if lost else "revoked").inc()
            self._partitions.disown(taken)

    def settled(self, positions: Mapping[int, int]) -> None:  # noqa: D102
        self._partitions.go_on(positions)

    def waiting(self, seconds: float) -> None:  # noqa: ARG002, D102
        self._partitions.pause_all(self._clock())

    def answered(self, positions: Mapping[int, int]) -> None:  # noqa: D102
        self._partitions.go_on(positions)

    def silent(self, partitions: Mapping[int, str]) -> None:  # noqa: D102
        self._partitions.pause(partitions, self._clock())

    def stopped(self, partition: int, fault: PartitionError) -> None:  # noqa: ARG002, D102
        self._partitions.stop(partition, self._clock())

    def decoded(self, messages: int, seconds: float) -> None:  # noqa: ARG002, D102
        self._decode.observe(seconds)

    def dead_lettered(self, message: Any, reason: RecordError) -> None:  # noqa: ARG002, D102
        self._dead_letters.labels(self._group, type(reason).__name__).inc()

    def failed(self, error: TransientError, partitions: Collection[int], retry_in: float) -> None:  # noqa: ARG002, D102
        self._partitions.pause(partitions, self._clock())
        self._retries.labels(self._group, error.cause).inc()

    def stored(self, batch: Stored) -> None:  # noqa: D102
        self._partitions.advance({partition: move.next_offset for partition, move in batch.moves.items()})
        self._passed.inc(sum(move.next_offset - move.expected for move in batch.moves.values()))
        self._batch.observe(len(batch.records))
        self._database.observe(batch.database_seconds)
        self._offsets.observe(batch.offsets_seconds)
        for event_type, (events, size) in by_type(batch.records).items():
            self._events.labels(self._group, event_type).inc(events)
            self._bytes.labels(self._group, event_type).inc(size)
        now = self._clock()
        for record in oldest(batch.records):
            if (occurred := _occurred(record)) is not None:
                self._since_occurred.observe(max(0.0, now - occurred))
            if (produced := _produced(record)) is not None:
                self._since_produced.observe(max(0.0, now - produced))


def by_type(records: Iterable[Record]) -> dict[str, tuple[int, int]]:
    """Return for each event type how many records there are, and their bytes; without dead letters."""
    messages: defaultdict[str, list[Any]] = defaultdict(list)
    for record in records:
        if record.decoded is not None:
            messages[record.decoded.event_type].append(record.message)
    return {event_type: (len(of_type), sum(map(len, of_type))) for event_type, of_type in messages.items()}


def oldest(records: Iterable[Record]) -> Collection[Record]:
    """Return the first record of each partition."""
    first: dict[int, Record] = {}
    for record in records:
        first.setdefault(record.partition, record)
    return first.values()


def _occurred(record: Record) -> float | None:
    if record.decoded is None:
        return None
    moment = record.decoded.event.occurred_at  # in UTC, also where its writer's schema leaves that open
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _produced(record: Record) -> float | None:
    kind, milliseconds = record.message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds / 1000
