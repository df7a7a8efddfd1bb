"""The first and the end offset of partitions, asked of all at once."""

import contextlib
from collections.abc import Callable, Collection
from concurrent import futures
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from kafkajourney.errors import BrokerAwayError
from kafkajourney.kafka.reach import REACH_TIMEOUT


class Bounds(NamedTuple):
    """What a partition has."""

    first: int
    """The offset of its first record."""
    end: int
    """The offset behind its last record."""
    topic_id: str | None = None
    """Of the topic that it is of, where the broker tells it."""


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


def bounds_told(
    client: AdminClient,
    topic: str,
    partitions: Collection[int],
    topic_id: Callable[[], str | None] = lambda: None,
    timeout: float = REACH_TIMEOUT,
) -> dict[int, Bounds | BrokerAwayError]:
    """Return the bounds of all these partitions by one question, or why one is not told (it has no leader).

    ``topic_id`` asks for the topic's id.
    """
    firsts = _asked(client, topic, partitions, OffsetSpec.earliest(), timeout)  # type: ignore[no-untyped-call]
    ends = _asked(client, topic, partitions, OffsetSpec.latest(), timeout)  # type: ignore[no-untyped-call]
    of_topic = topic_id()
    told: dict[int, Bounds | BrokerAwayError] = {}
    for partition in partitions:
        try:
            told[partition] = Bounds(_offset(firsts[partition], timeout), _offset(ends[partition], timeout), of_topic)
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
