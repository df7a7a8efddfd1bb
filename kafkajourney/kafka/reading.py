"""What the broker has: topics, partitions, their first and end offsets, and their records."""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent import futures
from typing import Any, NamedTuple

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


def ends_told(
    client: AdminClient, topic: str, partitions: Collection[int], timeout: float = REACH_TIMEOUT
) -> dict[int, int]:
    """Return the end offset of each of these partitions; raise BrokerAwayError where one is not told in time."""
    try:
        asked = _asked(client, topic, partitions, OffsetSpec.latest(), timeout)  # type: ignore[no-untyped-call]
        return {partition: _offset(answer, timeout) for partition, answer in asked.items()}
    except futures.TimeoutError as error:
        raise BrokerAwayError(f"the broker does not tell the ends of {topic}: {error}") from error
    except KafkaException as error:
        # This kind of client never renews by itself what it knows of leaders: after an election all would be refused.
        with contextlib.suppress(KafkaException):
            client.list_topics(timeout=timeout)
        raise BrokerAwayError(f"the broker does not tell the ends of {topic}: {error.args[0].str()}") from error


class Bounds(NamedTuple):
    """What a partition has."""

    first: int
    """The offset of its first record."""
    end: int
    """The offset behind its last record."""


def bounds_told(
    client: AdminClient, topic: str, partitions: Collection[int], timeout: float = REACH_TIMEOUT
) -> dict[int, Bounds | BrokerAwayError]:
    """Return the bounds of all these partitions by one question, or why one is not told (it has no leader)."""
    firsts = _asked(client, topic, partitions, OffsetSpec.earliest(), timeout)  # type: ignore[no-untyped-call]
    ends = _asked(client, topic, partitions, OffsetSpec.latest(), timeout)  # type: ignore[no-untyped-call]
    told: dict[int, Bounds | BrokerAwayError] = {}
    for partition in partitions:
        try:
            told[partition] = Bounds(_offset(firsts[partition], timeout), _offset(ends[partition], timeout))
        except (KafkaException, futures.TimeoutError) as error:
            told[partition] = BrokerAwayError(f"the broker does not tell the offsets of {topic} [{partition}]: {error}")
    if silent := [partition for partition, answer in told.items() if isinstance(answer, BrokerAwayError)]:
        told |= {
            p: BrokerAwayError(f"{topic} [{p}] has no leader") for p in _leaderless(client, topic, silent, timeout)
        }
    return told


def _asked(
    client: AdminClient, topic: str, partitions: Collection[int], spec: OffsetSpec, timeout: float
) -> dict[int, futures.Future[Any]]:
    """Ask for one offset of each of these partitions, by one question; return the answers that are to come."""
    if not partitions:
        return {}  # which this client refuses to ask
    places = {TopicPartition(topic, partition): spec for partition in partitions}
    committed = IsolationLevel.READ_COMMITTED  # as the consumers read
    asked = client.list_offsets(places, isolation_level=committed, request_timeout=timeout)
    return {place.partition: answer for place, answer in asked.items()}


def _offset(answer: futures.Future[Any], timeout: float) -> int:
    """Return the offset that was told; raise TimeoutError for one that is none, as a broker tells that comes up."""
    offset = int(answer.result(2 * timeout).offset)
    if offset < 0:
        raise futures.TimeoutError(f"it tells {offset}")
    return offset


def _leaderless(client: AdminClient, topic: str, partitions: Collection[int], timeout: float) -> list[int]:
    """Return which of these partitions have no leader; learn anew who leads, which this kind of client never does."""
    try:
        metadata = client.list_topics(timeout=timeout).topics.get(topic)
    except KafkaException:
        return []
    known = metadata.partitions if metadata is not None else {}
    return [p for p in partitions if p in known and known[p].leader < 0]


def owned_partitions(client: AdminClient, group: str, timeout: float = REACH_TIMEOUT) -> int | None:
    """Return how many partitions the members of a group have, None where the broker does not tell."""
    try:
        asked = client.describe_consumer_groups([group], request_timeout=timeout)[group]
        members = asked.result(2 * timeout).members
    except (KafkaException, futures.TimeoutError):
        return None
    return sum(len(member.assignment.topic_partitions) for member in members)


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
