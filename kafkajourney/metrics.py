"""What a process measures of itself, for Prometheus: a consumer by observing its loop, a producer by its deliveries.

Each process has a registry of its own, and none where nobody asked for metrics. Nothing is observed for each event but
in a producer its delivery: a histogram takes what a batch took, and the delay of its oldest event in each partition.
See docs/decisions/0009-metrics.md; docs/operations.md lists all metrics.
"""

import contextlib
import json
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from kafkajourney.errors import BrokerAwayError, RecordError, TransientError
from kafkajourney.events import Event, Record
from kafkajourney.observer import Batch, Observer

SIZES = (1, 10, 50, 100, 500, 1000, 2000, 5000, 10_000)
WORK = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
DELAYS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)
LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

Ends = Callable[[Collection[int]], Mapping[int, int]]
"""Asks the broker for the end offset of these partitions, and not long; raises BrokerAwayError."""


# --- consumers --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a partition stands that this consumer owns."""

    position: int | None = None
    """The next offset by the database, None until it has told it."""
    paused_since: float | None = None
    """Since when nothing is taken of it, in seconds since the epoch; None while it goes on."""


class ConsumerMetrics(Observer):
    """The metrics of one consumer."""

    def __init__(self, group: str, topic: str, ends: Ends, clock: Callable[[], float] = time.time) -> None:
        self.registry = CollectorRegistry()
        self._group = group
        self._clock = clock
        self._partitions = _Partitions(group, topic, ends)
        self._brokers = _Brokers()
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
            "Offsets by which the progress advanced: events stored, set aside and passed over.",
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

    def on_statistics(self, text: str) -> None:
        """Take librdkafka's statistics."""
        statistics = json.loads(text)
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

    def paused(self, partitions: Iterable[int]) -> None:  # noqa: D102
        self._partitions.pause(partitions, self._clock())

    def decoded(self, messages: int, seconds: float) -> None:  # noqa: ARG002, D102
        self._decode.observe(seconds)

    def set_aside(self, message: Any, reason: RecordError) -> None:  # noqa: ARG002, D102
        self._dead_letters.labels(self._group, type(reason).__name__).inc()

    def failed(self, error: TransientError, retry_in: float) -> None:  # noqa: ARG002, D102
        self._retries.labels(self._group, error.cause).inc()

    def stored(self, batch: Batch) -> None:  # noqa: D102
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
    """Return for each event type how many records there are, and their bytes; without those that are set aside."""
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


class _Partitions(Collector):
    """The partitions that a consumer owns: told on the loop's thread, read on others, so that no dict is changed."""

    def __init__(self, group: str, topic: str, ends: Ends) -> None:
        self._group = group
        self._topic = topic
        self._ask = ends
        self._ends: Mapping[int, int] = {}
        """The last that was heard, for where the broker does not answer."""
        self._places: Mapping[int, Place] = {}

    def own(self, partitions: Iterable[int], now: float) -> None:
        self._places = {**self._places, **dict.fromkeys(partitions, Place(paused_since=now))}

    def disown(self, partitions: Collection[int]) -> None:
        self._places = {p: place for p, place in self._places.items() if p not in partitions}

    def pause(self, partitions: Iterable[int], now: float) -> None:
        held = {p: place for p in partitions if (place := self._places.get(p)) and place.paused_since is None}
        self._places = {**self._places, **{p: Place(place.position, now) for p, place in held.items()}}

    def advance(self, positions: Mapping[int, int]) -> None:
        owned = {p: (at, self._places[p]) for p, at in positions.items() if p in self._places}
        self._places = {**self._places, **{p: Place(at, place.paused_since) for p, (at, place) in owned.items()}}

    def go_on(self, positions: Mapping[int, int]) -> None:
        self._places = {**self._places, **{p: Place(at) for p, at in positions.items() if p in self._places}}

    def take(self, statistics: Mapping[str, Any]) -> None:
        partitions = statistics.get("topics", {}).get(self._topic, {}).get("partitions", {})
        self._ends = {**self._ends, **{int(p): of["hi_offset"] for p, of in partitions.items() if of["hi_offset"] >= 0}}

    def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Return the partitions' ends by the broker; where it does not answer, by librdkafka's last statistics.

        Those alone would be too little: of a paused partition nothing is fetched, and its end in them stands still.
        """
        with contextlib.suppress(BrokerAwayError):  # a metric of its own tells of that
            self._ends = {**self._ends, **self._ask(partitions)}
        return self._ends

    def collect(self) -> Iterator[Metric]:
        gauge = partial(GaugeMetricFamily, labels=["group", "topic", "partition"])
        progress = gauge("kafkajourney_progress_offset", "The next offset to be stored, as the database has it.")
        lag = gauge("kafkajourney_lag_records", "Records between the progress and the end of the partition.")
        paused = gauge("kafkajourney_paused", "1 while nothing is taken of the partition, else 0.")
        since = gauge("kafkajourney_paused_since_timestamp_seconds", "Since when; only while it is paused.")
        places = self._places
        known = {p: place.position for p, place in places.items() if place.position is not None}
        ends = self.ends(known)
        for partition, place in places.items():
            labels = (self._group, self._topic, str(partition))
            paused.add_metric(labels, place.paused_since is not None)
            if place.paused_since is not None:
                since.add_metric(labels, place.paused_since)
            if place.position is not None:
                progress.add_metric(labels, place.position)
            if place.position is not None and partition in ends:
                lag.add_metric(labels, max(0, ends[partition] - place.position))
        yield from (progress, lag, paused, since)


# --- producers --------------------------------------------------------------------------------------------------


class Publishing(Protocol):
    """What a publisher counts by itself."""

    producer: Any
    failed: int


class ProducerMetrics(Collector):
    """The metrics of one producer; without ``watch`` there are none yet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._brokers = _Brokers()
        self._publisher: Publishing | None = None
        self._events: Tally[str] = Tally()
        self._bytes: Tally[str] = Tally()
        self._latencies = [0] * (len(LATENCIES) + 1)
        self._latency = 0.0
        self.registry.register(self._brokers)
        self.registry.register(self)

    def watch(self, publisher: Publishing) -> None:
        """Show what this publisher counts."""
        self._publisher = publisher

    def on_statistics(self, text: str) -> None:
        """Take librdkafka's statistics."""
        self._brokers.take(json.loads(text))

    def on_delivered(self, event: Event, message: Any) -> None:
        """Count what the broker has confirmed; for each event, so that it is kept short."""
        event_type = type(event).__name__
        self._events[event_type] += 1
        self._bytes[event_type] += len(message)
        if (latency := message.latency()) is not None:
            self._latencies[bisect_left(LATENCIES, latency)] += 1
            self._latency += latency

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        publisher = self._publisher
        yield _tally("kafkajourney_produced_events_total", "Events that the broker confirmed.", self._events)
        yield _tally("kafkajourney_produced_bytes_total", "Bytes of these events' records, without keys.", self._bytes)
        yield CounterMetricFamily(
            "kafkajourney_delivery_failures_total",
            "Events that the broker did not confirm in time; the producer then ends.",
            publisher.failed if publisher else 0,
        )
        yield GaugeMetricFamily(
            "kafkajourney_queue_events",
            "Events that are handed over and not confirmed yet.",
            len(publisher.producer) if publisher else 0,
        )
        latency = HistogramMetricFamily(
            "kafkajourney_delivery_latency_seconds", "Time from handing an event over until the broker confirmed it."
        )
        bounds = [*map(str, map(float, LATENCIES)), "+Inf"]
        latency.add_metric([], list(zip(bounds, accumulate(self._latencies), strict=True)), self._latency)
        yield latency


def _tally(name: str, documentation: str, counted: Tally[str]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=["type"])
    for event_type, number in dict(counted).items():  # a copy: it goes on while this is read
        family.add_metric([event_type], number)
    return family


# --- both -------------------------------------------------------------------------------------------------------


class _RoundTrip(NamedTuple):
    average: float
    slow: float


class _Brokers(Collector):
    """How long brokers take to answer, by librdkafka's statistics."""

    def __init__(self) -> None:
        self._round_trips: Mapping[str, _RoundTrip] = {}

    def take(self, statistics: Mapping[str, Any]) -> None:
        """Keep the times of the brokers that answered since the last statistics."""
        windows = {broker["name"]: broker["rtt"] for broker in statistics.get("brokers", {}).values()}
        self._round_trips = {
            name: _RoundTrip(rtt["avg"] / 1e6, rtt["p99"] / 1e6) for name, rtt in windows.items() if rtt["cnt"]
        }

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        average = GaugeMetricFamily(
            "kafkajourney_broker_round_trip_seconds",
            "Average time in which a broker answered lately; a fetch waits there for records.",
            labels=["broker"],
        )
        slow = GaugeMetricFamily(
            "kafkajourney_broker_round_trip_p99_seconds",
            "The time within which 99 of 100 requests were answered lately.",
            labels=["broker"],
        )
        for name, took in self._round_trips.items():
            average.add_metric([name], took.average)
            slow.add_metric([name], took.slow)
        yield from (average, slow)
