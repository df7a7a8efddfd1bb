"""The consume loop's log: what an operator has to know, a line each."""

import logging
from collections.abc import Iterable
from typing import Any

from kafkajourney.errors import RecordError, TransientError
from kafkajourney.observer import Observer

log = logging.getLogger("kafkajourney.consumer")


class LoopLog(Observer):
    """Writes what the loop tells to the log."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def assigned(self, partitions: Iterable[int]) -> None:  # noqa: D102 # Observer says it
        log.info("assigned: %s %s", self._topic, sorted(partitions))

    def revoked(self, partitions: Iterable[int], *, lost: bool) -> None:  # noqa: D102
        log.info("%s: %s %s", "lost" if lost else "revoked", self._topic, sorted(partitions))

    def idle(self) -> None:  # noqa: D102
        log.info("idle: all partitions of %s have an owner in the group; ready to take over", self._topic)

    def set_aside(self, message: Any, reason: RecordError) -> None:  # noqa: D102
        log.warning("dead letter: [%d] %d: %s", message.partition(), message.offset(), reason)

    def failed(self, error: TransientError, retry_in: float) -> None:  # noqa: D102
        log.warning("waiting, next try in %.1f s: %s", retry_in, error)

    def waiting(self, seconds: float) -> None:  # noqa: D102
        log.warning("the database has not answered for %.0f s; polling goes on", seconds)

    def recovered(self, seconds: float) -> None:  # noqa: D102
        log.info("going on after %.1f s", seconds)

    def abandoned(self) -> None:  # noqa: D102
        log.warning("the broker does not answer; leaving without a word. Nothing is lost, the database has it all")
