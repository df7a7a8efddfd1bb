"""What the broker has: topics, partitions, their first and end offsets, and their records."""

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._metadata import TopicMetadata

from kafkajourney.errors import BrokerAwayError, StopError
from kafkajourney.kafka.clients import reader
from kafkajourney.kafka.reach import REACH_TIMEOUT, reach
from kafkajourney.settings import Settings

READ_TIMEOUT = 30.0
"""Seconds without a record that should be there before reading a topic is given up."""


def partitions_of(client: Consumer | AdminClient | Producer, settings: Settings) -> list[int]:
    """Return the topic's partition numbers.

    Raises StopError where no broker answers or the topic does not exist.
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
    """Return all topics of the cluster; raise StopError where no broker answers."""
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


def ends_told(client: AdminClient, topic: str, partitions: Collection[int], timeout: float) -> dict[int, int]:
    """Return the end offset of each of these partitions; raise BrokerAwayError where one is not told in time."""
    end = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    places = {TopicPartition(topic, partition): end for partition in partitions}
    committed = IsolationLevel.READ_COMMITTED  # as the consumers read
    try:
        asked = client.list_offsets(places, isolation_level=committed, request_timeout=timeout) if places else {}
        return {place.partition: answer.result().offset for place, answer in asked.items()}
    except KafkaException as error:
        # This kind of client never renews by itself what it knows of leaders: after an election all would be refused.
        with contextlib.suppress(KafkaException):
            client.list_topics(timeout=timeout)
        raise BrokerAwayError(f"the broker does not tell the ends of {topic}: {error.args[0].str()}") from error


def watermarks(client: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the partition's first offset and its end offset (one after the last); raise BrokerAwayError."""
    try:
        low, high = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=REACH_TIMEOUT)
    except KafkaException as error:
        raise BrokerAwayError(f"the broker does not tell the offsets of {topic} [{partition}]: {error}") from error
    return low, high


def records(reader: Consumer, topic: str, partition: int, low: int, high: int) -> Iterator[Any]:
    """Yield the records of a partition from ``low`` to before ``high``; raise StopError where they do not come."""
    if low >= high:
        return
    reader.assign([TopicPartition(topic, partition, low)])
    deadline = time.monotonic() + READ_TIMEOUT
    while True:
        messages = reader.consume(1000, 0.1)
        if messages:
            deadline = time.monotonic() + READ_TIMEOUT
        elif time.monotonic() > deadline:
            raise StopError(f"The broker sends nothing of {topic} [{partition}] for {READ_TIMEOUT:.0f} s. Is it well?")
        for message in messages:
            offset, error = message.offset(), message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise StopError(f"{topic} [{partition}] cannot be read: {error.str()}.")
            if offset is None or offset >= high or error is not None:
                return
            yield message
            if offset == high - 1:
                return


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
                kind, moment = message.timestamp()
                if message.error() is None and kind != TIMESTAMP_NOT_AVAILABLE:
                    found[partition] = moment
    reader.unassign()
    return found
