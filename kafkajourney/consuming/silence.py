"""Partitions of which nothing comes because nobody answers for them.

librdkafka says nothing of a broker that is frozen, or of a partition without a leader: it waits, and goes on by itself.
What it does shows only in its statistics (their fields: STATISTICS.md of librdkafka).
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kafkajourney.watching.observer import Observer

SILENT = 5.0
"""Seconds without an answer after which a partition counts as silent; a fetch is answered at least twice a second."""


class _Silent(NamedTuple):
    since: float
    """When its leader was last known to answer."""
    reason: str


class Silence:
    """Looks from outside whether the partitions that go on are led by a broker that answers."""

    def __init__(self, topic: str, observer: Observer, clock: Callable[[], float] = time.monotonic) -> None:
        self._topic = topic
        self._observer = observer
        self._clock = clock
        self._taken_at = clock()
        self._responses: Mapping[int, int] = {}
        """How many responses each broker had given, by the last statistics."""
        self._silent: dict[int, _Silent] = {}
        self._told: set[int] = set()
        self._has_news = False

    def take(self, statistics: Mapping[str, Any]) -> None:
        """Note who answers, by librdkafka's statistics."""
        self._has_news = True
        brokers = {broker["nodeid"]: broker for broker in statistics.get("brokers", {}).values()}
        answering = {node for node, broker in brokers.items() if _answers(broker, self._responses.get(node))}
        self._responses = {node: broker["rx"] for node, broker in brokers.items()}
        partitions = statistics.get("topics", {}).get(self._topic, {}).get("partitions", {})
        for partition, leader in ((int(number), of["leader"]) for number, of in partitions.items()):
            if leader in answering:
                self._silent.pop(partition, None)
            else:
                since = self._silent[partition].since if partition in self._silent else self._taken_at
                self._silent[partition] = _Silent(since, _reason(leader, brokers))
        self._taken_at = self._clock()

    def look(self, going: Mapping[int, int]) -> None:
        """Tell what is silent of the partitions that go on at these offsets, and what is so no longer."""
        if not self._has_news:
            return
        self._has_news, now = False, self._clock()
        silent = {p: of.reason for p, of in self._silent.items() if p in going and now - of.since >= SILENT}
        if silent:
            self._observer.silent(silent)
        if heard := {p: going[p] for p in self._told - silent.keys() if p in going}:
            self._observer.settled(heard)
        self._told = set(silent)


def _answers(broker: Mapping[str, Any], responses: int | None) -> bool:
    """Whether a broker is connected, and owes no response, or has given one since the last statistics."""
    return broker["state"] == "UP" and (not broker["waitresp_cnt"] or broker["rx"] != responses)


def _reason(leader: int, brokers: Mapping[int, Mapping[str, Any]]) -> str:
    if leader < 0:
        return "there is no leader; see which broker is down"
    return f"broker {brokers.get(leader, {}).get('nodename', leader)} does not answer; see whether it is up"
