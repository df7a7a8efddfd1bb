"""The consume loop on fakes."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafkajourney.consuming.caught_up import CaughtUp
from kafkajourney.consuming.idle import Idle
from kafkajourney.consuming.loop import ConsumeLoop, Options
from kafkajourney.errors import (
    DecodeError,
    FencedError,
    KafkaJourneyError,
    PartitionError,
    RecordError,
    RefusedError,
    StopError,
    TransientError,
)
from kafkajourney.events import Decoded, Move, Record
from kafkajourney.kafka.bounds import Bounds
from kafkajourney.watching.loop_log import LoopLog
from kafkajourney.watching.observer import Observer, Stored, together

TOPIC = "t"


class Message:
    def __init__(self, partition: int, offset: int, value: bytes | None = b"ok", error: int | None = None) -> None:
        self._place = partition, offset
        self._value = value
        self._error = None if error is None else KafkaError(error)

    def __len__(self) -> int:
        return len(self._value or b"")

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

    def __init__(self, log: list[str], pass_time: Callable[[float], None]) -> None:
        self.log = log
        self.pass_time = pass_time
        self.polls = 0
        self.asked: list[tuple[int, float]] = []
        """How many messages were asked for, and for how long."""
        self.calls: list[tuple[str, list[int]]] = []
        """What was assigned and taken, and how."""
        self.stuck: set[int] = set()
        """Partitions that cannot be sought: they have to be assigned anew."""
        self.anew: list[tuple[int, int]] = []
        self.batches: list[list[Message]] = []
        self.stored: dict[int, int] = {}
        self.store_error: int | None = None
        self.seeks: list[tuple[int, int]] = []
        self.paused: set[int] = set()
        self.during_consume: Any = None

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        assert topics == [TOPIC]
        self.on_assign, self.on_revoke, self.on_lost = on_assign, on_revoke, on_lost

    def consume(self, number: int, timeout: float) -> list[Message]:
        self.polls += 1
        self.asked.append((number, timeout))
        batch = self.batches.pop(0) if self.batches else []
        if number < len(batch):
            self.batches.insert(0, batch[number:])
            batch = batch[:number]
        else:
            self.pass_time(timeout)
        if self.during_consume is not None:
            act, self.during_consume = self.during_consume, None
            act()
        return batch

    def store_offsets(self, offsets: list[TopicPartition]) -> None:
        if self.store_error is not None:
            raise KafkaException(KafkaError(self.store_error))
        self.log.append("store")
        self.stored |= {place.partition: place.offset for place in offsets}

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self._assign("incremental_assign", partitions)

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        self.calls.append(("incremental_unassign", [p.partition for p in partitions]))

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._assign("assign", partitions)

    def unassign(self) -> None:
        self.calls.append(("unassign", []))

    def _assign(self, name: str, partitions: list[TopicPartition]) -> None:
        self.calls.append((name, [p.partition for p in partitions]))
        self.anew += [(p.partition, p.offset) for p in partitions if p.offset >= 0]
        self.paused -= {p.partition for p in partitions}

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {p.partition for p in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {p.partition for p in partitions}

    def seek(self, place: TopicPartition) -> None:
        if place.partition in self.stuck:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.seeks.append((place.partition, place.offset))

    def close(self) -> None:
        self.log.append("close")


class FakeStore:
    """Keeps what was committed; fails as it is told to."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.next_offsets: dict[int, int] = {}
        self.values: list[bytes] = []
        self.records: list[Record] = []
        self.failures: list[KafkaJourneyError] = []
        self.refused_values: set[bytes] = set()
        self.finds_refused = True
        self.before_commit: Callable[[], object] = lambda: None
        self.before_begin: Callable[[], object] = lambda: None

    def progress(self) -> Mapping[int, int]:
        if self.failures:
            raise self.failures.pop(0)
        return self.next_offsets

    def begin(self, starts: Mapping[int, int], topic_id: str | None) -> Mapping[int, int | PartitionError]:
        self.topic_id = topic_id
        self.before_begin()
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
                raise FencedError("moved", partition)
        values = [r.message.value() for r in records if r.decoded is not None]
        if self.refused_values & set(values):
            raise RefusedError("too long")
        self.log.append("commit")
        self.records += records
        self.values += values
        self.next_offsets |= {partition: move.next_offset for partition, move in moves.items()}

    def refused(self, records: Sequence[Record], moves: Mapping[int, Move]) -> list[tuple[Record, RefusedError]]:
        assert {partition: move.expected for partition, move in moves.items()}.items() <= self.next_offsets.items()
        found = [r for r in records if self.finds_refused and r.message.value() in self.refused_values]
        return [(record, RefusedError("too long")) for record in found]


class FakeDeadLetters:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.sent: list[tuple[int, str]] = []
        self.failures: list[KafkaJourneyError] = []

    def send(self, message: Message, reason: RecordError) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.log.append("dead letter")
        self.sent.append((message.offset(), str(reason)))

    def confirm(self) -> None:
        self.log.append("confirm")


class Kept(Observer):
    """Keeps what was told to be stored."""

    def __init__(self, batches: list[Stored]) -> None:
        self._batches = batches

    def stored(self, batch: Stored) -> None:
        self._batches.append(batch)


class Bench:
    """A loop with its fakes and a clock that is set by hand."""

    def __init__(self, *observers: Observer, **options: Any) -> None:
        self.log: list[str] = []
        self.now = 0.0
        self.topic_is_gone = False
        self.bounds: dict[int, tuple[int, int] | KafkaJourneyError] = {0: (0, 100), 1: (0, 100)}
        self.stop = threading.Event()
        self.answer = threading.Event()
        self.stored: list[Stored] = []
        self.consumer = FakeConsumer(self.log, self.pass_time)
        self.store = FakeStore(self.log)
        self.dead_letters = FakeDeadLetters(self.log)
        self.observer = together(LoopLog(TOPIC, lambda: self.now), Kept(self.stored), *observers)
        self.loop = ConsumeLoop(
            self.consumer,
            self.ask_bounds,
            FakeRecords(),
            self.store,
            self.dead_letters,
            self.observer,
            Options(TOPIC, **{"incremental": True, **options}),
            self.stop,
            clock=lambda: self.now,
        )
        self.loop._assignment.subscribe()
        self.at_once = self.loop._bounds.answers
        self.loop._bounds.answers = lambda _seconds: self.at_once(5.0)  # type: ignore[assignment,method-assign] # no race
        self.idle = Idle(
            self.loop.positions,
            self.require_topic,
            lambda: self.owned,
            self.observer,
            clock=lambda: self.now,
        )
        self.owned: int | None = None

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def ask_bounds(self, partitions: Collection[int]) -> Mapping[int, Bounds | KafkaJourneyError]:
        told = {p: self.bounds[p] for p in partitions}
        return {p: Bounds(*bounds) if isinstance(bounds, tuple) else bounds for p, bounds in told.items()}

    def caught_up(self, ends: Mapping[int, int]) -> CaughtUp:
        def progress() -> Mapping[int, int]:
            return self.loop.patiently(self.store.progress)

        def on_failure(error: TransientError, retry_in: float) -> None:
            self.observer.failed(error, [], retry_in)

        positions = self.loop.positions
        return CaughtUp(TOPIC, ends, positions, progress, self.ask_bounds, on_failure, clock=lambda: self.now)

    def retry_at(self, partition: int = 0) -> float:
        return self.loop.positions._partitions[partition].settle_at

    def require_topic(self) -> None:
        if self.topic_is_gone:
            raise StopError("gone")

    def assign(self, *partitions: int) -> None:
        self.consumer.on_assign(self.consumer, [TopicPartition(TOPIC, p) for p in partitions])

    def revoke(self, *partitions: int) -> None:
        self.consumer.on_revoke(self.consumer, [TopicPartition(TOPIC, p) for p in partitions])

    def lose(self, *partitions: int) -> None:
        self.consumer.on_lost(self.consumer, [TopicPartition(TOPIC, p) for p in partitions])

    def answer_at_the_next_poll(self) -> None:
        """Be late, as long as the loop does not poll."""
        self.answer.clear()
        self.consumer.during_consume = self.answer.set
        self.answer.wait()

    def turn_late(self, *messages: Message) -> None:
        """Turn, with a database that answers only when the loop polls on."""
        self.store.before_commit = self.answer_at_the_next_poll
        self.turn(*messages)
        self.store.before_commit = lambda: None

    def turn(self, *messages: Message) -> None:
        self.consumer.batches = [list(messages)]
        self.idle.look()
        self.loop.turn()


class FakeRecords:
    def record(self, message: Message, partition: int, offset: int) -> Record | None:
        return record(message, partition, offset)

    def give_row(self, record: Record) -> None:
        value = record.message.value()
        if value == b"no row":
            raise DecodeError("no row can be made of it")
        record.row = (value,)


def record(message: Message, partition: int, offset: int) -> Record | None:
    value = message.value()
    if value == b"away":
        raise TransientError("the registry is away")
    if value is None or value == b"bad":
        raise DecodeError("bad bytes")
    if value == b"passed over":
        return None
    return Record(TOPIC, partition, offset, Decoded("Any", object(), {}), message)  # type: ignore[arg-type]
