"""What is traced of an event, as producer and consumer see it; what costs nothing where nothing is."""

from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError

from kafkajourney.watching.observer import Observer


class Sending:
    """An event on its way to the broker; this one is part of no trace."""

    headers: dict[str, str | bytes | None] | None = None
    """The headers that carry the trace to the consumers."""

    def done(self, error: KafkaError | None, message: Any) -> None:
        """Tell that the broker has the event, or has it not."""


class Traces:
    """What is traced: nothing here."""

    def sending(self, topic: str, event_id: object) -> Sending:  # noqa: ARG002 # nothing is traced
        """Begin the trace of an event."""
        return _UNTRACED

    def observers(self, topic: str, group: str) -> Sequence[Observer]:  # noqa: ARG002
        """Return what traces the transactions of a consumer of this group."""
        return ()


_UNTRACED = Sending()
OFF = Traces()
