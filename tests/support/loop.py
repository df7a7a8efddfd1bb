"""The consume loop on fakes."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafkajourney.consuming.loop import ConsumeLoop, Options
from kafkajourney.errors import (
    DecodeError,
    FencedError,
    KafkaJourneyError,
    RecordError,
    RefusedError,
    StopError,
    TransientError,
)
from kafkajourney.events import Decoded, Move, Record
from kafkajourney.watching.loop_log import LoopLog

TOPIC = "t"


class Message:
    def __init__(self, partition: int, offset: int, value: bytes | None = b"ok", error: int | None = None) -> None:
        self._place = partition, offset
        self._value = value
        self._error = None if error is None else KafkaError(error)

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def value(self) -> bytes | None:
        return self._value

    def error(self) -> KafkaError | None:
        return self._error


class FakeConsumer:
    """Delivers prepared batches; keeps what was asked of it, in order."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.batches: list[list[Message]] = []
        self.stored: dict[int, int] = {}
        self.store_error: int | None = None
        self.seeks: list[tuple[int, int]] = []
        self.paused: set[int] = set()
        self.during_consume: Any = None

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.on_assign, self.on_revoke = on_assign, on_revoke

    def consume(self, _number: int, _timeout: float) -> list[Message]:
        batch = self.batches.pop(0) if self.batches else []
        if self.during_consume is not None:
            act, self.during_consume = self.during_consume, None
            act()
        return batch

    def store_offsets(self, offsets: list[TopicPartition]) -> None:
        if self.store_error is not None:
            raise KafkaException(KafkaError(self.store_error))
        self.log.append("store")
        self.stored |= {place.partition: place.offset for place in offsets}

    def incremental_assign(self, _partitions: list[TopicPartition]) -> None: ...
    def incremental_unassign(self, _partitions: list[TopicPartition]) -> None: ...

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {p.partition for p in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {p.partition for p in partitions}

    def seek(self, place: TopicPartition) -> None:
        self.seeks.append((place.partition, place.offset))

    def close(self) -> None:
        self.log.append("close")


class FakeStore:
    """Keeps what was committed; fails as it is told to."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.next_offsets: dict[int, int] = {}
        self.values: list[bytes] = []
        self.failures: list[KafkaJourneyError] = []
        self.refused: set[bytes] = set()
        self.before_commit: Callable[[], object] = lambda: None

    def progress(self) -> Mapping[int, int]:
        if self.failures:
            raise self.failures.pop(0)
        return self.next_offsets

    def begin(self, starts: Mapping[int, int]) -> Mapping[int, int]:
        if self.failures:
            raise self.failures.pop(0)
        self.next_offsets = dict(starts) | self.next_offsets
        return self.next_offsets

    def commit(self, records: Sequence[Record], moves: Mapping[int, Move]) -> None:
        self.before_commit()
        if self.failures:
            raise self.failures.pop(0)
        for partition, move in moves.items():
            if self.next_offsets[partition] != move.expected:
                raise FencedError("moved")
        values = [r.message.value() for r in records if r.decoded is not None]
        if self.refused & set(values):
            raise RefusedError("too long")
        self.log.append("commit")
        self.values += values
        self.next_offsets |= {partition: move.next_offset for partition, move in moves.items()}


class FakeDeadLetters:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.sent: list[tuple[int, str]] = []

    def send(self, message: Message, reason: RecordError) -> None:
        self.log.append("dead letter")
        self.sent.append((message.offset(), str(reason)))

    def confirm(self) -> None:
        self.log.append("confirm")


class Bench:
    """A loop with its fakes and a clock that is set by hand."""

    def __init__(self, **options: Any) -> None:
        self.log: list[str] = []
        self.now = 0.0
        self.topic_is_gone = False
        self.bounds = {0: (0, 100), 1: (0, 100)}
        self.consumer = FakeConsumer(self.log)
        self.store = FakeStore(self.log)
        self.dead_letters = FakeDeadLetters(self.log)
        self.loop = ConsumeLoop(
            self.consumer,
            lambda partition: self.bounds[partition],
            self.require_topic,
            decode,
            self.store,
            self.dead_letters,
            LoopLog(TOPIC),
            Options(TOPIC, incremental=True, **options),
            clock=lambda: self.now,
        )

    def require_topic(self) -> None:
        if self.topic_is_gone:
            raise StopError("gone")

    def assign(self, *partitions: int) -> None:
        self.loop._assigned(self.consumer, [TopicPartition(TOPIC, p) for p in partitions])

    def revoke(self, *partitions: int) -> None:
        self.loop._revoked(self.consumer, [TopicPartition(TOPIC, p) for p in partitions], lost=False)

    def turn_with(self, late: threading.Event, *messages: Message) -> None:
        """Turn, with a database that answers only when the loop polls on."""
        self.consumer.during_consume = lambda: setattr(self.consumer, "during_consume", late.set)
        self.turn(*messages)

    def turn(self, *messages: Message) -> None:
        self.consumer.batches = [list(messages)]
        self.loop.turn()


def decode(value: bytes | None) -> Decoded | None:
    if value == b"away":
        raise TransientError("the registry is away")
    if value is None or value == b"bad":
        raise DecodeError("bad bytes")
    return None if value == b"passed over" else Decoded("Any", object(), {})  # type: ignore[arg-type]
