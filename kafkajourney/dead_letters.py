"""Dead letters: records that cannot be stored, kept byte for byte in ``<topic>.<group>.dlq`` with the reason."""

import time
from typing import Any

from confluent_kafka import KafkaException, Producer

from kafkajourney.errors import RecordError, TransientError

PREFIX = "kafkajourney."
CONFIRM_TIMEOUT = 30.0


def dead_letter_topic(topic: str, group: str) -> str:
    """Return the name of a group's dead-letter topic."""
    return f"{topic}.{group}.dlq"


def headers(message: Any, reason: RecordError, group: str, now: float) -> list[tuple[str, str | bytes | None]]:
    """Return the headers of a dead letter: the record's own, then its coordinates and the reason.

    ``message`` is a ``confluent_kafka.Message``; ``now`` is in seconds since the epoch.
    """
    added = {
        "reason": str(reason),
        "error": type(reason).__name__,
        "group": group,
        "topic": message.topic(),
        "partition": str(message.partition()),
        "offset": str(message.offset()),
        "timestamp": str(message.timestamp()[1]),
        "failed_at": str(int(now * 1000)),
    }
    return [*(message.headers() or []), *((PREFIX + name, value.encode()) for name, value in added.items())]


class DeadLetterTopic:
    """The dead-letter topic of one group."""

    def __init__(self, producer: Producer, topic: str, group: str) -> None:
        self._producer = producer
        self._topic = dead_letter_topic(topic, group)
        self._group = group
        self._failure: str | None = None

    def send(self, message: Any, reason: RecordError) -> None:
        """Hand a dead letter over; only ``confirm`` tells that the broker has it."""
        try:
            self._producer.produce(
                self._topic,
                value=message.value(),
                key=message.key(),
                headers=headers(message, reason, self._group, time.time()),
                on_delivery=self._delivered,
            )
        except (KafkaException, BufferError) as error:
            raise TransientError(f"the dead letter cannot be sent to {self._topic}: {error}") from error

    def confirm(self) -> None:
        """Wait until the broker has all dead letters; raise TransientError where it has not taken one."""
        left = self._producer.flush(CONFIRM_TIMEOUT)
        failure, self._failure = self._failure, None
        if left or failure:
            raise TransientError(
                f"dead letters are not confirmed by {self._topic}: {failure or f'{left} are under way'}"
            )

    def _delivered(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._failure = error.str()
