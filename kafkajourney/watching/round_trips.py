"""How long brokers take to answer, by librdkafka's statistics."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

# --- both -------------------------------------------------------------------------------------------------------


class RoundTrip(NamedTuple):
    """How long requests took lately, in seconds."""

    average: float
    slow: float


class RoundTrips(Collector):
    """How long brokers take to answer, by librdkafka's statistics."""

    def __init__(self) -> None:
        self._round_trips: Mapping[str, RoundTrip] = {}

    def take(self, statistics: Mapping[str, Any]) -> None:
        """Keep the times of the brokers that answered since the last statistics."""
        windows = {broker["name"]: broker["rtt"] for broker in statistics.get("brokers", {}).values()}
        self._round_trips = {
            name: RoundTrip(rtt["avg"] / 1e6, rtt["p99"] / 1e6) for name, rtt in windows.items() if rtt["cnt"]
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
