"""What a broker tells of the offsets of partitions, and what it does not."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafkajourney.errors import BrokerAwayError
from kafkajourney.kafka.bounds import Bounds, bounds_told, ends_told


class FakeAdmin:
    """Tells first offsets and ends in turn; an error is raised."""

    def __init__(self, *answers: dict[int, Any]) -> None:
        self.answers = list(answers)

    def list_offsets(self, places: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        told = self.answers.pop(0)
        return {place: self._future(told[place.partition]) for place in places}

    @staticmethod
    def _future(told: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if isinstance(told, Exception):
            future.set_exception(told)
        else:
            future.set_result(SimpleNamespace(offset=told))
        return future

    def list_topics(self, timeout: float) -> Any:
        partitions = {0: SimpleNamespace(leader=1), 1: SimpleNamespace(leader=-1), 2: SimpleNamespace(leader=1)}
        return SimpleNamespace(topics={"t": SimpleNamespace(partitions=partitions)})


def test_each_partition_has_its_bounds_or_why_they_are_not_told() -> None:
    away = KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    admin: Any = FakeAdmin({0: 3, 1: away, 2: 0}, {0: 10, 1: away, 2: -1001})
    told = bounds_told(admin, "t", [0, 1, 2])
    assert told[0] == Bounds(3, 10)
    assert str(told[1]) == "t [1] has no leader"
    assert isinstance(told[2], BrokerAwayError)  # a broker that comes up tells -1001: no end, and no gap


def test_an_end_that_is_no_offset_is_not_told() -> None:
    admin: Any = FakeAdmin({0: -1001})
    with pytest.raises(BrokerAwayError, match="the broker does not tell the ends of t"):
        ends_told(admin, "t", [0], timeout=1)
