"""What a producer measures of itself for Prometheus, by its deliveries.

See docs/decisions/0009-metrics.md; docs/operations.md lists all metrics.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from kafkajourney.events import Event
from kafkajourney.watching.round_trips import RoundTrips

LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


# --- producers --------------------------------------------------------------------------------------------------


class Publishing(Protocol):
    """What a publisher counts by itself."""

    producer: Any
    failed: int


class ProducerMetrics(Collector):
    """The metrics of one producer; without ``watch`` there are none yet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._brokers = RoundTrips()
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

    def on_statistics(self, statistics: Mapping[str, Any]) -> None:
        """Take librdkafka's statistics."""
        self._brokers.take(statistics)

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
