"""The consume loop: poll, decode, write, commit, store. It knows only the small protocols below.

One recovery path serves assignment, outage, fencing and a restored backup: a partition about which there is any
doubt is *unsettled*. It is paused and what was fetched of it is dropped; ``_settle`` asks the database for its next
offset, seeks there and resumes it. Positions come from the database and from nowhere else.
See docs/decisions/0003-the-database-holds-the-offsets.md.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent import futures
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from kafkajourney.background import in_thread
from kafkajourney.consuming.backoff import Backoff
from kafkajourney.errors import (
    BrokerAwayError,
    DatabaseAwayError,
    DecodeError,
    RecordError,
    RefusedError,
    StopError,
    TransientError,
    without_values,
)
from kafkajourney.events import Decoded, Move, Record
from kafkajourney.kafka.errors import sorted_error
from kafkajourney.watching.observer import Batch, Observer

R = TypeVar("R")

LOOK_EVERY = 60.0
"""Seconds between two looks of an idle consumer whether the topic is still there."""


class Store(Protocol):
    """Where a group's events and progress are kept."""

    def progress(self) -> Mapping[int, int]: ...  # noqa: D102
    def begin(self, starts: Mapping[int, int]) -> Mapping[int, int]: ...  # noqa: D102
    def commit(self, records: Sequence[Record], moves: Mapping[int, Move]) -> None: ...  # noqa: D102


class DeadLetters(Protocol):
    """Where records go that cannot be stored."""

    def send(self, message: Any, reason: RecordError) -> None: ...  # noqa: D102
    def confirm(self) -> None: ...  # noqa: D102


class Options(NamedTuple):
    """How one run of the loop behaves."""

    topic: str
    incremental: bool
    """Whether rebalances give and take single partitions (KIP-848, cooperative-sticky)."""
    batch_size: int = 2000
    """Records in one transaction, at most."""
    batch_wait: float = 0.05
    """Seconds to wait for a batch to fill."""
    max_dead_letters: int = 100
    """Dead letters in a row before the loop stops: then the deployment is at fault, not the records."""
    patience: float = 5.0
    """Seconds that the database may take before the partitions are paused, so that polling can go on meanwhile."""
    closing_patience: float = 10.0
    """Seconds that leaving the group may take; supervisors kill after some more."""
    idle_after: float = 5.0
    """Seconds without a partition before the loop says that it is idle."""


class ConsumeLoop:
    """One member of a consumer group."""

    def __init__(
        self,
        consumer: Any,
        watermarks: Callable[[int], tuple[int, int]],
        require_topic: Callable[[], None],
        decode: Callable[[bytes | None], Decoded | None],
        store: Store,
        dead_letters: DeadLetters,
        observer: Observer,
        options: Options,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._watermarks = watermarks
        self._require_topic = require_topic
        self._decode = decode
        self._store = store
        self._dead_letters = dead_letters
        self._options = options
        self._observer = observer
        self._clock = clock
        self._positions: dict[int, int] = {}
        """The next offset of each settled partition, as the database has it."""
        self._unsettled: set[int] = set()
        self._backoff = Backoff(random.Random())  # noqa: S311 # jitter
        self._in_a_row: Counter[type[RecordError]] = Counter()
        """Dead letters since the last record that was decoded, and since the last row that was taken."""
        self._in_a_row_before = self._in_a_row.copy()
        """The same at the last commit: what an outage interrupts is counted anew."""
        self._sending: set[tuple[int, int]] = set()
        self._confirmed: set[tuple[int, int]] = set()
        """Places of dead letters that the broker has, whose batch is not committed yet: not sent again in an outage."""
        self._look_at: float | None = clock() + options.idle_after
        """When to look around next, while there is no partition to work on."""
        self._is_idle = False
        self._stop = threading.Event()
        self._batch_size = options.batch_size
        """Less than that of the options after a refusal that came late: a smaller batch is refused in time."""

    # --- the loop -------------------------------------------------------------------------------------------------

    def run(
        self,
        stop: threading.Event,
        ends: Mapping[int, int] | None = None,
        give_up: threading.Event | None = None,
    ) -> None:
        """Consume until ``stop`` is set, or until the whole group has stored everything before the end offsets.

        Leaving the group is waited for, not long, and not after ``give_up`` is set.
        Raises StopError where going on would not help.
        """
        self._stop = stop
        self._consumer.subscribe(
            [self._options.topic],
            on_assign=self._assigned,
            on_revoke=partial(self._revoked, lost=False),
            on_lost=partial(self._revoked, lost=True),
        )
        try:
            while not stop.is_set() and not (ends is not None and self.has_reached(ends)):
                self.turn()
        finally:
            self._close(give_up or threading.Event())

    def _close(self, give_up: threading.Event) -> None:
        """Commit the offsets that are stored and leave the group; not for ever where the broker is away."""
        closing = in_thread(self._consumer.close)
        deadline = time.monotonic() + self._options.closing_patience
        while not futures.wait([closing], 0.1).done and time.monotonic() < deadline and not give_up.is_set():
            pass
        if closing.done():
            closing.result()
        else:
            self._observer.abandoned()

    def turn(self) -> None:
        """Poll once and process what came; after a failure all partitions are unsettled."""
        self._observer.turned()
        try:
            if self._unsettled and self._clock() >= self._backoff.retry_at:
                self._settle()
            self._process(self._consumer.consume(self._batch_size, self._options.batch_wait))
            self._look_around_if_idle()
        except TransientError as error:
            self._unsettle(error)

    def _process(self, messages: Collection[Any]) -> None:
        began = self._clock()
        ends: dict[int, int] = {}
        records = [record for message in messages if (record := self._read(message, ends)) is not None]
        if not ends:
            return
        self._observer.decoded(len(messages), self._clock() - began)
        self._confirm()  # the broker has the dead letters before any offset advances
        self._write(records, ends)
        self._confirmed.clear()

    def _write(self, records: list[Record], ends: Mapping[int, int]) -> None:
        """Commit the records; where the database refuses them, halve them until the one at fault stands alone."""
        try:
            self._commit(records, ends)
        except RefusedError as refusal:
            if not records:
                raise
            if len(records) > 1:
                middle = len(records) // 2
                first = records[:middle]
                self._write(first, {record.partition: record.offset + 1 for record in first})
                self._write(records[middle:], ends)
            else:
                self._set_aside(records[0].message, refusal)
                self._confirm()
                self._commit([records[0]._replace(decoded=None, reason=str(refusal))], ends)

    def _commit(self, records: list[Record], ends: Mapping[int, int]) -> None:
        moves = {partition: Move(self._positions[partition], end) for partition, end in ends.items()}
        self._observer.turned()  # to halve a batch may take many transactions
        self._observer.committing(records, moves)
        began = self._clock()

        def tell_late() -> None:
            self._observer.stored(Batch(records, moves, self._clock() - began, 0.0))

        self._patiently(lambda: self._store.commit(records, moves), tell_late)
        committed = self._clock()
        self._positions |= ends
        self._store_offsets(ends)
        if any(record.decoded for record in records):
            self._in_a_row[RefusedError] = 0
        self._in_a_row_before = self._in_a_row.copy()
        self._batch_size = min(2 * self._batch_size, self._options.batch_size)
        self._recover()
        self._observer.stored(Batch(records, moves, committed - began, self._clock() - committed))

    def _recover(self) -> None:
        """End an outage: only a commit shows that registry, database and dead letters all work again."""
        if self._backoff.failures:
            self._observer.recovered(self._clock() - self._backoff.since)
            self._backoff.over()

    def _patiently(self, ask: Callable[[], R], if_late: Callable[[], None] = lambda: None) -> R:
        """Return what the database answers; where it takes long, go on polling, so that the group keeps this member.

        A connection that hangs (a firewall that drops packets, a frozen server) can hang for minutes. When the answer
        comes at last, nobody knows what became of the partitions, and they are settled anew; ``if_late`` is called
        where it is a good one.
        """
        answer = in_thread(ask)
        if futures.wait([answer], self._options.patience).done:
            return answer.result()
        self._observer.waiting(self._options.patience)
        self._pause_all()
        while not answer.done() and not self._stop.is_set():
            self._observer.turned()
            self._consumer.consume(1, self._options.batch_wait)  # paused: only rebalances and errors come
        if answer.done() and answer.exception() is None:
            self._recover()  # late is not away
            if_late()
        elif answer.done() and isinstance(answer.exception(), RefusedError):
            self._batch_size = max(1, self._batch_size // 2)
        raise DatabaseAwayError("the database took too long to answer")

    def _store_offsets(self, ends: Mapping[int, int]) -> None:
        """Hand the offsets to librdkafka, which commits them in its own time: after the database, never before."""
        try:
            self._consumer.store_offsets(offsets=[self._at(p, end) for p, end in ends.items()])
        except KafkaException as error:
            # A partition was lost meanwhile. Its new owner starts at the database's offset: nothing is amiss.
            if error.args[0].code() != KafkaError._STATE:
                raise

    # --- messages -------------------------------------------------------------------------------------------------

    def _read(self, message: Any, ends: dict[int, int]) -> Record | None:
        """Return the record of a message, None where nothing of it is stored; note how far its partition is read.

        ``consume`` can return messages of a partition that was revoked, or revoked and assigned again, during the
        call: one that is not settled, or that stands before the position, is none of ours.
        """
        partition, offset, error = message.partition(), message.offset(), message.error()
        position = self._positions.get(partition)
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise sorted_error(error, self._options.topic)
            # It has the offset after the last record; markers of transactions may stand before it, which are none.
            if position is not None and offset > position:
                ends[partition] = offset
            return None
        if position is None or offset < position:
            return None
        ends[partition] = offset + 1
        try:
            decoded = self._decode(message.value())
        except DecodeError as reason:
            self._set_aside(message, reason)
            return Record(self._options.topic, partition, offset, None, message, str(reason))
        self._in_a_row[DecodeError] = 0
        return None if decoded is None else Record(self._options.topic, partition, offset, decoded, message)

    def _set_aside(self, message: Any, reason: RecordError) -> None:
        self._in_a_row[type(reason)] += 1
        if self._in_a_row[type(reason)] > self._options.max_dead_letters:
            raise StopError(
                f"More than {self._options.max_dead_letters} records in a row cannot be stored, the last one "
                f"({message.topic()} [{message.partition()}] at {message.offset()}) because "
                f"{without_values(str(reason))}. Look at the deployment: schemas, tables, the right topic."
            )
        place = message.partition(), message.offset()
        if place not in self._confirmed:
            self._dead_letters.send(message, reason)
            self._observer.set_aside(message, reason)
            self._sending.add(place)

    def _confirm(self) -> None:
        self._dead_letters.confirm()
        self._confirmed |= self._sending
        self._sending.clear()

    # --- partitions -----------------------------------------------------------------------------------------------

    def _assigned(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        # Not OFFSET_STORED: the place is sought in _settle, and no committed offset must stand in for it.
        starts = [self._at(p.partition, OFFSET_BEGINNING) for p in partitions]
        (consumer.incremental_assign if self._options.incremental else consumer.assign)(starts)
        if not self._options.incremental:
            self._forget(set(self._positions) | self._unsettled)
        consumer.pause(starts)
        self._unsettled |= {p.partition for p in partitions}
        if partitions:
            self._look_at, self._is_idle = None, False
            self._observer.assigned([p.partition for p in partitions])

    def _revoked(self, consumer: Any, partitions: list[TopicPartition], *, lost: bool) -> None:
        """Let go: nothing is in flight between two calls of ``consume``, and what is in one is dropped afterwards."""
        self._forget({p.partition for p in partitions})
        (consumer.incremental_unassign(partitions) if self._options.incremental else consumer.unassign())
        self._observer.revoked([p.partition for p in partitions], lost=lost)
        if not self._positions and not self._unsettled:
            self._look_at = self._clock() + self._options.idle_after

    def _forget(self, partitions: set[int]) -> None:
        self._unsettled -= partitions
        for partition in partitions:
            self._positions.pop(partition, None)

    def _settle(self) -> None:
        """Seek each unsettled partition to the database's next offset and resume it."""
        bounds = {partition: self._watermarks(partition) for partition in self._unsettled}
        starts = {partition: low for partition, (low, _high) in bounds.items()}
        positions = self._patiently(lambda: self._store.begin(starts))
        for partition, (low, high) in bounds.items():
            self._require_kept(partition, positions[partition], low, high)
        for partition in bounds:
            self._seek(partition, positions[partition])
        self._observer.settled({partition: positions[partition] for partition in bounds})

    def _seek(self, partition: int, offset: int) -> None:
        place = self._at(partition, offset)
        try:
            self._consumer.seek(place)
            self._consumer.resume([place])
        except KafkaException as error:  # the fetcher of a fresh assignment may not have started yet
            raise BrokerAwayError(f"cannot seek {self._names([partition])} yet: {error.args[0].str()}") from error
        self._positions[partition] = offset
        self._unsettled.discard(partition)

    def _require_kept(self, partition: int, position: int, low: int, high: int) -> None:
        if low <= position <= high:
            return
        why = (
            f"the topic has dropped {low - position} records that were never stored (retention)"
            if position < low
            else f"the topic ends at {high}: it was made anew, or the database belongs to another cluster"
        )
        raise StopError(
            f"The database goes on at offset {position} of {self._names([partition])}, but {why}. Nothing was skipped. "
            "To accept the gap, set next_offset in consumer_progress by hand; otherwise restore the topic."
        )

    def _unsettle(self, error: TransientError) -> None:
        """Pause and forget all partitions; they are settled anew after a while, however often that takes."""
        self._pause_all()
        self._sending.clear()
        self._in_a_row = self._in_a_row_before.copy()
        self._observer.failed(error, self._backoff.fail(self._clock()))

    def _pause_all(self) -> None:
        self._unsettled |= self._positions.keys()
        self._positions.clear()
        self._consumer.pause([self._at(p, OFFSET_BEGINNING) for p in self._unsettled])
        self._observer.paused(sorted(self._unsettled))

    def _look_around_if_idle(self) -> None:
        """Say once that there is no partition to work on; look every minute whether the topic is still there."""
        if self._look_at is None or self._clock() < self._look_at:
            return
        self._look_at = self._clock() + LOOK_EVERY
        self._require_topic()
        if not self._is_idle:
            self._is_idle = True
            self._observer.idle()

    # --- small helpers --------------------------------------------------------------------------------------------

    def has_reached(self, ends: Mapping[int, int]) -> bool:
        """Whether the group, all its members together, has stored everything before these end offsets."""
        if self._unsettled or any(position < ends.get(p, 0) for p, position in self._positions.items()):
            return False
        try:
            progress = self._patiently(self._store.progress)
        except TransientError as error:
            self._unsettle(error)
            return False
        return all(progress.get(partition, 0) >= end for partition, end in ends.items())

    def _at(self, partition: int, offset: int) -> TopicPartition:
        return TopicPartition(self._options.topic, partition, offset)

    def _names(self, partitions: Iterable[int]) -> str:
        return f"{self._options.topic} {sorted(partitions)}"
