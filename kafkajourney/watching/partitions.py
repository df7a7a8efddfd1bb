"""The partitions that a consumer owns, as metrics: progress, lag, and whether they are paused."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kafkajourney.errors import BrokerAwayError

Ends = Callable[[Collection[int]], Mapping[int, int]]
"""Asks the broker for the end offset of these partitions, and not long; raises BrokerAwayError."""


# --- consumers --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """Where a partition stands that this consumer owns."""

    position: int | None = None
    """The next offset by the database, None until it has told it."""
    paused_since: float | None = None
    """Since when nothing is taken of it, in seconds since the epoch; None while it goes on."""
    has_stopped: bool = False
    """Whether it is paused until somebody mends it."""


class Partitions(Collector):
    """The partitions that a consumer owns: told on the loop's thread, read on others, so that no dict is changed."""

    def __init__(self, group: str, topic: str, ends: Ends) -> None:
        self._group = group
        self._topic = topic
        self._ask = ends
        self._ends: Mapping[int, int] = {}
        """The last that was heard, for where the broker does not answer."""
        self._places: Mapping[int, Standing] = {}

    def own(self, partitions: Iterable[int], now: float) -> None:
        """Take these partitions; each is paused until it goes on."""
        self._places = {**self._places, **dict.fromkeys(partitions, Standing(paused_since=now))}

    def disown(self, partitions: Collection[int]) -> None:
        """Forget these partitions."""
        self._places = {p: place for p, place in self._places.items() if p not in partitions}

    def pause(self, partitions: Iterable[int], now: float) -> None:
        """Note since when nothing is taken of these partitions."""
        held = {p: place for p in partitions if (place := self._places.get(p)) and place.paused_since is None}
        self._places = {**self._places, **{p: replace(place, paused_since=now) for p, place in held.items()}}

    def pause_all(self, now: float) -> None:
        """Note that nothing is taken of any partition."""
        self.pause(list(self._places), now)

    def stop(self, partition: int, now: float) -> None:
        """Note that a partition has stopped."""
        self.pause([partition], now)
        if place := self._places.get(partition):
            self._places = {**self._places, partition: replace(place, has_stopped=True)}

    def advance(self, positions: Mapping[int, int]) -> None:
        """Note the next offsets after a commit."""
        owned = {p: (at, self._places[p]) for p, at in positions.items() if p in self._places}
        self._places = {**self._places, **{p: replace(place, position=at) for p, (at, place) in owned.items()}}

    def go_on(self, positions: Mapping[int, int]) -> None:
        """Note that these partitions go on, at these offsets."""
        self._places = {**self._places, **{p: Standing(at) for p, at in positions.items() if p in self._places}}

    def take(self, statistics: Mapping[str, Any]) -> None:
        """Keep the ends that librdkafka's statistics tell."""
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
        """Yield the metrics."""
        gauge = partial(GaugeMetricFamily, labels=["group", "topic", "partition"])
        progress = gauge("kafkajourney_progress_offset", "The next offset to be stored, as the database has it.")
        lag = gauge("kafkajourney_lag_records", "Records between the progress and the end of the partition.")
        paused = gauge("kafkajourney_paused", "1 while nothing is taken of the partition, else 0.")
        stopped = gauge("kafkajourney_stopped", "1 while the partition stands until somebody mends it, else 0.")
        since = gauge("kafkajourney_paused_since_timestamp_seconds", "Since when; only while it is paused.")
        places = self._places
        known = {p: place.position for p, place in places.items() if place.position is not None}
        ends = self.ends(known)
        for partition, place in places.items():
            labels = (self._group, self._topic, str(partition))
            paused.add_metric(labels, place.paused_since is not None)
            stopped.add_metric(labels, place.has_stopped)
            if place.paused_since is not None:
                since.add_metric(labels, place.paused_since)
            if place.position is not None:
                progress.add_metric(labels, place.position)
            if place.position is not None and partition in ends:
                lag.add_metric(labels, max(0, ends[partition] - place.position))
        yield from (progress, lag, paused, since, stopped)
