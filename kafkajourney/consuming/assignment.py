"""The consumer's Kafka client: the one place that assigns, polls, pauses, seeks and stores offsets.

What the group gives and takes is told to ``Positions``; a partition is paused from its assignment until ``go_on``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from kafkajourney.consuming.hard_end import HardEnd
from kafkajourney.consuming.positions import Positions
from kafkajourney.errors import BrokerAwayError
from kafkajourney.watching.observer import Observer

SLICE = 200
"""Messages asked for at once, so that a batch is bounded by its bytes too."""

SLICE_SECONDS = 0.1
"""Seconds that one call of the client may take, so that a signal is seen."""

BATCH_BYTES = 16 * 1024 * 1024
"""Bytes of values after which a batch is full, however few its records are."""

REBALANCE_PATIENCE = 60.0
"""Seconds that the client may take to give partitions back; it holds the interpreter's lock meanwhile."""


class Assignment:
    """The partitions of one topic that the group has given to this consumer, as Kafka's client has them.

    ``consumer`` is a ``confluent_kafka.Consumer``; ``incremental``: rebalances give and take single partitions.
    """

    def __init__(
        self,
        consumer: Any,
        topic: str,
        positions: Positions,
        observer: Observer,
        clock: Callable[[], float],
        *,
        incremental: bool,
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self.positions = positions
        self._observer = observer
        self._clock = clock
        self._incremental = incremental
        self._kept: list[Any] = []
        """Messages that came while something else was waited for."""
        self.hard_end = HardEnd()

    # --- the group ------------------------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            [self._topic],
            on_assign=self.on_assign,
            on_revoke=partial(self.on_revoke, lost=False),
            on_lost=partial(self.on_revoke, lost=True),
        )

    def close(self) -> None:
        """Commit the offsets that are stored and leave the group; this may hang."""
        self._consumer.close()

    def on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        """Take partitions, paused until they are settled."""
        # Not OFFSET_STORED: no committed offset must stand in for that of the database.
        starts = [self._at(p.partition, OFFSET_BEGINNING) for p in partitions]
        with self.hard_end.within(REBALANCE_PATIENCE):
            (consumer.incremental_assign if self._incremental else consumer.assign)(starts)
        consumer.pause(starts)
        if not self._incremental:
            self.positions.revoke(list(self.positions.assigned))
        self.positions.assign(p.partition for p in partitions)
        if partitions:
            self._observer.assigned([p.partition for p in partitions])

    def on_revoke(self, consumer: Any, partitions: list[TopicPartition], *, lost: bool) -> None:
        """Let go: nothing is in flight between two polls, and what one poll returns is looked at afterwards."""
        self.positions.revoke(p.partition for p in partitions)
        with self.hard_end.within(REBALANCE_PATIENCE):
            (consumer.incremental_unassign(partitions) if self._incremental else consumer.unassign())
        self._observer.revoked([p.partition for p in partitions], lost=lost)

    # --- messages -------------------------------------------------------------------------------------------------

    def poll(self, most: int, seconds: float, stop: Event) -> list[Any]:
        """Return the messages of one batch: at most so many, of about 16 MiB; wait so long for it to fill."""
        messages, self._kept = self._kept, []
        size, deadline = 0, self._clock() + seconds
        while True:
            wanted = max(0, min(SLICE, most - len(messages)))
            came = self._consumer.consume(wanted, max(0.0, min(deadline - self._clock(), SLICE_SECONDS)))
            messages += came
            size += sum(map(len, came))
            if len(messages) >= most or size >= BATCH_BYTES or self._clock() >= deadline or stop.is_set():
                return messages

    def poll_on(self, seconds: float) -> None:
        """Poll so that the group keeps this member; keep what comes of partitions that go on, and errors."""
        came = self._consumer.consume(1, seconds)
        self._kept += [m for m in came if m.error() or self.positions.offset(m.partition()) is not None]

    def store_offsets(self, ends: Mapping[int, int]) -> None:
        """Hand the offsets to librdkafka, which commits them in its own time."""
        try:
            self._consumer.store_offsets(offsets=[self._at(p, end) for p, end in ends.items()])
        except KafkaException as error:
            # A partition was lost meanwhile. Its new owner starts at the database's offset: nothing is amiss.
            if error.args[0].code() != KafkaError._STATE:
                raise

    # --- partitions -----------------------------------------------------------------------------------------------

    def go_on(self, partition: int, offset: int) -> None:
        """Fetch a partition from this offset on; raise BrokerAwayError where the client cannot yet."""
        place = self._at(partition, offset)
        try:
            self._seek(place)
            self._consumer.resume([place])
        except KafkaException as error:
            raise BrokerAwayError(
                f"{self._topic} [{partition}] cannot go on at {offset} yet: {error.args[0].str()}"
            ) from error
        # What was kept of it before is fetched again, from the offset on.
        self._kept = [message for message in self._kept if message.partition() != partition]
        self.positions.settle(partition, offset)

    def _seek(self, place: TopicPartition) -> None:
        try:
            self._consumer.seek(place)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise
            # Its fetcher has not started yet; or it has stopped for good, after an error of the partition.
            self._assign_anew(place)

    def _assign_anew(self, place: TopicPartition) -> None:
        with self.hard_end.within(REBALANCE_PATIENCE):
            if self._incremental:
                self._consumer.incremental_unassign([place])
                self._consumer.incremental_assign([place])
                return
            going = self.positions.going | {place.partition: place.offset}
            others = [p for p in self.positions.assigned if p not in going]
            self._consumer.assign(
                [*(self._at(p, at) for p, at in going.items()), *(self._at(p, OFFSET_BEGINNING) for p in others)]
            )
        self.pause(others)

    def pause(self, partitions: Collection[int]) -> None:
        """Fetch nothing more of these partitions, and drop what was fetched of them."""
        self._consumer.pause([self._at(p, OFFSET_BEGINNING) for p in partitions])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pause all partitions within the block, so that polling goes on without a message."""
        held = list(self.positions.going)
        self.pause(held)
        try:
            yield
        finally:
            self._consumer.resume([self._at(p, OFFSET_BEGINNING) for p in held if p in self.positions.going])

    def _at(self, partition: int, offset: int) -> TopicPartition:
        return TopicPartition(self._topic, partition, offset)
