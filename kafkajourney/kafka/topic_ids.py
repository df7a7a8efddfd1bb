"""The id of a topic: one that is deleted and made anew has the same name, and another id."""

import threading
import time
from collections.abc import Callable
from concurrent import futures

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from kafkajourney.errors import BrokerAwayError
from kafkajourney.kafka.reach import REACH_TIMEOUT

FRESH = 1.0
"""Seconds for which an answer holds: partitions that are settled one by one ask once."""

HEDGE = 0.3
"""Seconds after which the question is put again: any broker can answer it, and the one that was asked may be frozen."""

_NONE = "AAAAAAAAAAAAAAAAAAAAAA"
"""How 16 bytes of zero are printed: the id of a topic of Kafka before 2.8."""

_NOT_TOLD = (KafkaError._UNSUPPORTED_FEATURE, KafkaError.UNSUPPORTED_VERSION)


class TopicIds:
    """Asks for the id of one topic, from any thread."""

    def __init__(self, client: AdminClient, topic: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._topic = topic
        self._clock = clock
        self._lock = threading.Lock()
        self._told: str | None = None
        self._told_at = float("-inf")

    def __call__(self, timeout: float = REACH_TIMEOUT) -> str | None:
        """Return the topic's id as Kafka prints it, None where the broker has none to tell.

        Raises BrokerAwayError where none answers in time, or the topic does not exist.
        """
        with self._lock:
            if self._clock() - self._told_at > FRESH:
                self._told = self._ask(timeout)
                self._told_at = self._clock()
            return self._told

    def _ask(self, timeout: float) -> str | None:
        asked: set[futures.Future[object]] = set()
        deadline = time.monotonic() + timeout
        reason = f"not in {timeout:.0f} s"
        while time.monotonic() < deadline:
            question = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=timeout)
            asked.add(question[self._topic])
            for answer in futures.wait(asked, HEDGE, futures.FIRST_COMPLETED).done:
                asked.remove(answer)
                try:
                    told = str(answer.result().topic_id)  # type: ignore[attr-defined] # confluent-kafka has no types
                except KafkaException as error:
                    if error.args[0].code() in _NOT_TOLD:
                        return None
                    if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                        raise BrokerAwayError(f"the broker does not know the topic {self._topic}") from error
                    reason = error.args[0].str()
                else:
                    return None if told == _NONE else told
        raise BrokerAwayError(f"the broker does not tell the id of {self._topic}: {reason}")
