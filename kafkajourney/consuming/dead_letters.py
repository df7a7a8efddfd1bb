"""Dead letters: records that cannot be stored.

The record itself, byte for byte, is in the topic ``<topic>.<group>.dlq`` with the reason in its headers; it may be
there more than once. That it was set aside is in the table ``dead_letters``, written in the same transaction as the
progress, so that a replay stores it once.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from sqlalchemy import Connection, select

from kafkajourney.consuming.batch import Place
from kafkajourney.database.tables import dead_letters as table
from kafkajourney.errors import BrokerAwayError, RecordError, StopError
from kafkajourney.kafka import clients, reading
from kafkajourney.kafka.errors import is_denied
from kafkajourney.kafka.topics import dead_letter_topic
from kafkajourney.settings import Settings

R = TypeVar("R")

PREFIX = "kafkajourney."
CONFIRM_TIMEOUT = 30.0

SEND_TIMEOUT = 5.0
"""Seconds to wait for room in the queue of the producer."""


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
    return [*reading.headers_of(message), *((PREFIX + name, value.encode()) for name, value in added.items())]


class DeadLetterTopic:
    """The dead-letter topic of one group."""

    def __init__(self, make_producer: Callable[[], Producer], topic: str, group: str) -> None:
        self._make_producer = make_producer
        self._producer: Producer | None = None  # most consumers never need one
        self._topic = dead_letter_topic(topic, group)
        self._group = group
        self._failure: KafkaError | None = None

    def send(self, message: Any, reason: RecordError) -> None:
        """Hand a dead letter over; only ``confirm`` tells that the broker has it."""
        self._producer = producer = self._producer or self._make_producer()
        letter = {"value": message.value(), "key": message.key(), "on_delivery": self._delivered}
        letter["headers"] = headers(message, reason, self._group, time.time())
        deadline = time.monotonic() + SEND_TIMEOUT
        while not self._produced(producer, letter):
            if time.monotonic() > deadline:
                raise BrokerAwayError(f"too many dead letters are under way to {self._topic}")
            self._guarded(lambda: producer.poll(0.1))  # deliveries make room

    def _produced(self, producer: Producer, letter: dict[str, Any]) -> bool:
        """Hand a letter to the producer; return whether it had room for it."""
        try:
            self._guarded(lambda: producer.produce(self._topic, **letter))
        except BufferError:
            return False
        return True

    def confirm(self) -> None:
        """Wait until the broker has all dead letters; raise BrokerAwayError where it has not taken one."""
        producer = self._producer
        left = self._guarded(lambda: producer.flush(CONFIRM_TIMEOUT)) if producer is not None else 0
        failure, self._failure = self._failure, None
        if failure is not None:
            raise self._sorted(failure)
        if left:
            raise BrokerAwayError(f"{left} dead letters are not confirmed by {self._topic} yet")

    def _guarded(self, call: Callable[[], R]) -> R:
        """Call the producer; after a fatal error it is of no use any more, and the next letter makes a new one."""
        try:
            return clients.called(call)
        except KafkaException as error:
            cause = error.args[0]
            if cause.fatal():
                self._producer = None
            raise self._sorted(cause) from error

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self._failure = error

    def _sorted(self, error: KafkaError) -> StopError | BrokerAwayError:
        """Return whether a dead letter that was not taken is an outage, or never will be taken."""
        reason = f"Topic {self._topic} does not take a dead letter: {error.str()}"
        match error.code():
            case KafkaError.MSG_SIZE_TOO_LARGE:
                return StopError(f"{reason}. Raise its max.message.bytes, and message.max.bytes in [kafka].")
            case KafkaError._UNKNOWN_TOPIC | KafkaError.UNKNOWN_TOPIC_OR_PART:
                return StopError(f"{reason}. Create it: kafkajourney topic create")
        if is_denied(error):
            return StopError(f"{reason}. Allow the user to write to it (ACL: Write on the topic).")
        if error.fatal():
            return StopError(f"{reason}. Correct the [kafka] settings; then start the consumer again.")
        return BrokerAwayError(reason)


# --- looking at them --------------------------------------------------------------------------------------------


class Noted(NamedTuple):
    """A dead letter as the table has it; times are naive UTC."""

    group: str
    partition: int
    offset: int
    reason: str
    set_aside_at: datetime
    replayed_at: datetime | None


class Selection(NamedTuple):
    """Which dead letters of a topic are meant."""

    group: str | None = None
    reason: str | None = None
    """A part of the reason, in any case."""
    since: datetime | None = None
    """Set aside at this time or later, naive UTC."""
    place: Place | None = None
    replayed: bool = False
    """Whether those that were replayed are meant too."""


def noted(connection: Connection, settings: Settings, selection: Selection) -> list[Noted]:
    """Return the selected dead letters, oldest first."""
    column = table.c
    statement = select(
        column.consumer_group, column.partition, column.offset, column.reason, column.set_aside_at, column.replayed_at
    ).where(column.topic == settings.topic)
    if selection.group is not None:
        statement = statement.where(column.consumer_group == selection.group)
    if selection.reason is not None:
        statement = statement.where(column.reason.icontains(selection.reason, autoescape=True))
    if selection.since is not None:
        statement = statement.where(column.set_aside_at >= selection.since)
    if selection.place is not None:
        statement = statement.where(column.partition == selection.place[0], column.offset == selection.place[1])
    if not selection.replayed:
        statement = statement.where(column.replayed_at.is_(None))
    ordered = statement.order_by(column.set_aside_at, column.consumer_group, column.partition, column.offset)
    return [Noted(*row) for row in connection.execute(ordered)]


def kept(reader: Consumer, settings: Settings, group: str) -> Iterator[tuple[Place, Any]]:
    """Yield the messages of a group's dead-letter topic with the places that they come from."""
    # The group had its plain name before it had a prefix: what it set aside then is its own as well.
    names = dict.fromkeys(dead_letter_topic(settings.topic, name) for name in (settings.group_id(group), group))
    existing = reading.topics(reader, settings)
    for name in names:
        for partition in existing[name].partitions if name in existing else ():
            low, high = reading.watermarks(reader, name, partition)
            for message in reading.records(reader, name, partition, low, high):
                if (place := _place(message, settings.topic)) is not None:
                    yield place, message


def timestamp_of(message: Any) -> int | None:
    """Return the timestamp of the record that a dead letter was; None where its headers do not tell."""
    try:
        told = int(dict(reading.headers_of(message))[f"{PREFIX}timestamp"] or b"")
    except (KeyError, ValueError):
        return None
    return told if told > 0 else None


def _place(message: Any, topic: str) -> Place | None:
    """Return where a dead letter comes from, None where it is none of this topic."""
    header = dict(reading.headers_of(message))
    try:
        place = int(header[f"{PREFIX}partition"] or b""), int(header[f"{PREFIX}offset"] or b"")
    except (KeyError, TypeError, ValueError):
        return None
    return place if header.get(f"{PREFIX}topic") == topic.encode() else None
