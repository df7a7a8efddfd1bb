"""The id of a topic: one that is deleted and made anew has the same name, and another id."""

import threading
import time
from collections.abc import Callable
from concurrent import futures

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

FRESH = 1.0
"""Seconds for which an answer holds: partitions that are settled one by one ask once."""

PATIENCE = 1.0
"""Seconds to wait for an answer. The cluster's controller gives it, and where that is frozen nobody may wait for it."""

_NONE = "AAAAAAAAAAAAAAAAAAAAAA"
"""How 16 bytes of zero are printed: the id of a topic of Kafka before 2.8."""


class TopicIds:
    """Asks for the id of one topic, from any thread."""

    def __init__(self, client: AdminClient, topic: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._topic = topic
        self._clock = clock
        self._lock = threading.Lock()
        self._told: str | None = None
        self._told_at = float("-inf")

    def __call__(self) -> str | None:
        """Return the topic's id as Kafka prints it, None where it is not told (in time)."""
        with self._lock:
            if self._clock() - self._told_at > FRESH:
                self._told = self._ask()
                self._told_at = self._clock()
            return self._told

    def _ask(self) -> str | None:
        try:
            cluster = self._client.list_topics(timeout=PATIENCE)
            if cluster.controller_id not in cluster.brokers:
                return None  # an election, or the embedded broker, which does not know the question
            question = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=PATIENCE)
            told = str(question[self._topic].result(2 * PATIENCE).topic_id)
        except (KafkaException, futures.TimeoutError):
            return None
        return None if told == _NONE else told
