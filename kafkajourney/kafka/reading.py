"""What the broker has: topics, partitions, their first and end offsets, and their records."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent import futures
from typing import Any

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import TopicMetadata

from kafkajourney.errors import BrokerAwayError, StopError
from kafkajourney.kafka.clients import reader
from kafkajourney.kafka.reach import REACH_TIMEOUT, reach
from kafkajourney.settings import Settings

_OUT_OF_RANGE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)

READ_TIMEOUT = 30.0
"""Seconds without a record that should be there before reading a topic is given up."""


def partitions_of(client: Consumer | AdminClient | Producer, settings: Settings) -> list[int]:
    """Return the topic's partition numbers.

    Raises BrokerAwayError where no broker answers, StopError where the topic does not exist.
    """
    topic = topics(client, settings).get(settings.topic)
    if topic is None or topic.error is not None:
        raise StopError(
            f"There is no topic {settings.topic!r} at {settings.bootstrap_servers}. "
            "Create it (kafkajourney topic create), or name another with --topic."
        )
    return sorted(topic.partitions)


def require_topic(client: Consumer, settings: Settings) -> None:
    """Raise StopError where the topic does not exist (any more), BrokerAwayError where no broker answers."""
    try:
        existing = client.list_topics(timeout=REACH_TIMEOUT).topics
    except KafkaException as error:
        raise BrokerAwayError(f"the broker does not tell its topics: {error.args[0].str()}") from error
    if settings.topic not in existing:
        raise StopError(f"Topic {settings.topic!r} does not exist any more. Create it: kafkajourney topic create")


def topics(client: Consumer | AdminClient | Producer, settings: Settings) -> dict[str, TopicMetadata]:
    """Return all topics of the cluster; raise BrokerAwayError where no broker answers."""
    # Never with a topic's name: to ask for one by name can create it.
    found: dict[str, TopicMetadata] = reach(lambda: client.list_topics(timeout=REACH_TIMEOUT), settings).topics
    return found


def end_offsets(settings: Settings) -> dict[int, int]:
    """Return the end offset of each of the topic's partitions; raise StopError or BrokerAwayError."""
    client = reader(settings)
    try:
        return {p: watermarks(client, settings.topic, p)[1] for p in partitions_of(client, settings)}
    finally:
        client.close()


def owned_partitions(client: AdminClient, group: str, timeout: float = REACH_TIMEOUT) -> int | None:
    """Return how many partitions the members of a group have, None where the broker does not tell."""
    try:
        asked = client.describe_consumer_groups([group], request_timeout=timeout)[group]
        members = asked.result(2 * timeout).members
    except (KafkaException, futures.TimeoutError):
        return None
    return sum(len(member.assignment.topic_partitions) for member in members)


def committed(client: Consumer, topic: str, partitions: Collection[int]) -> dict[int, int]:
    """Return the offsets that the client's group has committed of these partitions; raise BrokerAwayError.

    Not by AdminClient.list_consumer_group_offsets: while a group's coordinator loads, that can end the process with a
    segmentation fault (https://github.com/confluentinc/librdkafka/issues/5040).
    """
    places = [TopicPartition(topic, partition) for partition in partitions]
    try:
        told = client.committed(places, timeout=REACH_TIMEOUT)
    except KafkaException as error:
        raise BrokerAwayError(
            f"the broker does not tell what is committed of {topic}: {error.args[0].str()}"
        ) from error
    return {place.partition: place.offset for place in told if place.error is None and place.offset >= 0}


def watermarks(client: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the partition's first offset and its end offset (one after the last); raise BrokerAwayError."""
    try:
        low, high = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=REACH_TIMEOUT)
    except KafkaException as error:
        raise BrokerAwayError(f"the broker does not tell the offsets of {topic} [{partition}]: {error}") from error
    return low, high


def records(
    reader: Consumer,
    topic: str,
    partition: int,
    low: int,
    high: int,
    on_dropped: Callable[[int, int], None] = lambda _first, _number: None,
) -> Iterator[Any]:
    """Yield the records of a partition from ``low`` to before ``high``; raise StopError where they do not come.

    ``on_dropped`` is told the new first offset, and how many were dropped, where retention is quicker than the reader.
    """
    if low >= high:
        return
    reader.assign([TopicPartition(topic, partition, low)])
    next_offset = low
    deadline = time.monotonic() + READ_TIMEOUT
    while True:
        messages = reader.consume(1000, 0.1)
        if messages:
            deadline = time.monotonic() + READ_TIMEOUT
        elif time.monotonic() > deadline:
            raise StopError(f"The broker sends nothing of {topic} [{partition}] for {READ_TIMEOUT:.0f} s. Is it well?")
        for message in messages:
            offset, error = message.offset(), message.error()
            if error is not None and error.code() in _OUT_OF_RANGE:
                first, end = watermarks(reader, topic, partition)
                if not next_offset < first <= end:
                    raise StopError(f"{topic} [{partition}] cannot be read at offset {next_offset}: {error.str()}.")
                on_dropped(first, min(first, high) - next_offset)
                if first >= high:
                    return
                reader.assign([TopicPartition(topic, partition, first)])
                next_offset = first
                break
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise StopError(f"{topic} [{partition}] cannot be read: {error.str()}.")
            if offset is None or offset >= high or error is not None:
                return
            yield message
            next_offset = offset + 1
            if offset == high - 1:
                return


def timestamp_of(message: Any) -> int | None:
    """Return when a record was made or received, in milliseconds since 1970; None where it has no time."""
    kind, moment = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else moment


def headers_of(message: Any) -> list[tuple[str, bytes | None]]:
    """Return a message's headers; none where a name is no UTF-8, which this client cannot hand out."""
    try:
        return message.headers() or []
    except SystemError:
        # What it made of them has a hole, at which a second call's result would end the process.
        message.set_headers([])
        return []


def timestamps(reader: Consumer, topic: str, starts: Mapping[int, int]) -> dict[int, int]:
    """Return when the first record of each partition from its start on was made, in milliseconds since the epoch.

    A partition of which nothing comes in time, or whose record has no time, is left out.
    """
    found: dict[int, int] = {}
    missing = set(starts)
    reader.assign([TopicPartition(topic, partition, offset) for partition, offset in starts.items()])
    deadline = time.monotonic() + REACH_TIMEOUT
    while missing and time.monotonic() < deadline:
        for message in reader.consume(100, 0.1):
            partition = message.partition()
            if partition in missing:  # the first of it: a record, or the end, where nothing but markers is left
                missing.remove(partition)
                reader.pause([TopicPartition(topic, partition)])
                if message.error() is None and (moment := timestamp_of(message)) is not None:
                    found[partition] = moment
    reader.unassign()
    return found
