"""The consume loop: poll, read, write, store, in that order.

Positions come from the database and from nowhere else. A partition about which there is any doubt is unsettled: it is
paused, what was fetched of it is dropped, and it goes on where the database says; each partition for itself.
See docs/decisions/0003-the-database-holds-the-offsets.md and 0012-each-partition-for-itself.md.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent import futures
from functools import partial
from typing import Any, NamedTuple

from kafkajourney.background import in_thread
from kafkajourney.consuming.assignment import Assignment
from kafkajourney.consuming.batch_reader import BatchReader, Records
from kafkajourney.consuming.batch_writer import BatchWriter, Store, Written
from kafkajourney.consuming.budget import Budget
from kafkajourney.consuming.letters import DeadLetters, Letters
from kafkajourney.consuming.patience import Patience
from kafkajourney.consuming.positions import Positions
from kafkajourney.consuming.settling import AskBounds, BesideTheLoop, where_to_go_on
from kafkajourney.errors import KafkaJourneyError, PartitionError, StopError, TransientError
from kafkajourney.watching.observer import Observer, Stored

HARD_END = 5.0
"""Seconds after the patience for leaving when the process is ended, where it does not end by itself."""


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
    """Seconds that the database may take before the partitions are paused, so that polling can go on."""
    closing_patience: float = 10.0
    """Seconds that leaving the group may take; supervisors kill after some more."""


class ConsumeLoop:
    """One member of a consumer group.

    ``records`` makes the records of messages, and their rows.
    """

    def __init__(
        self,
        consumer: Any,
        ask_bounds: AskBounds,
        records: Records,
        store: Store,
        dead_letters: DeadLetters,
        observer: Observer,
        options: Options,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observer = observer
        self._options = options
        self._stop = stop
        self._clock = clock
        self.positions = Positions(random.Random())  # noqa: S311 # jitter
        self._assignment = Assignment(
            consumer, options.topic, self.positions, observer, clock, incremental=options.incremental
        )
        self.patiently = Patience(self._assignment, observer, options.patience, stop)
        self._bounds = BesideTheLoop(ask_bounds)
        self._begin = store.begin
        self._letters = Letters(dead_letters, Budget(options.max_dead_letters), self.patiently, observer)
        self._reader = BatchReader(records, self._letters, observer, options.topic, clock)
        self._writer = BatchWriter(store, self.positions, self._letters, self.patiently, observer, clock)

    def run(self, is_done: Callable[[], bool] = lambda: False, give_up: threading.Event | None = None) -> None:
        """Consume until a stop is asked for, or ``is_done`` says so, which is asked before each turn.

        Leaving the group is waited for, not long, and not after ``give_up`` is set.
        Raises StopError where going on would not help.
        """
        self._assignment.subscribe()
        try:
            while not self._stop.is_set() and not is_done():
                self.turn()
        finally:
            self._leave(give_up or threading.Event())

    def turn(self) -> None:
        """Settle what is due, then process one batch."""
        self._observer.polled()
        self._settle()
        messages = self._assignment.poll(self._options.batch_size, self._options.batch_wait, self._stop)
        try:
            batch = self._reader.read(messages, self.positions.going)
            if batch:
                # The broker has all dead letters before an offset advances.
                self._letters.confirm()
                # Rows and progress are one transaction: neither is ever there without the other.
                written = self._writer.write(batch)
                # After the commit, never before: what the group sees of our progress is never ahead of the database.
                self._store_offsets(written)
                batch = written.batch
        except TransientError as error:
            self._fail({message.partition() for message in messages}, error)
            return
        for partition, fault in batch.faults.items():
            self._set_back(partition, fault)

    def _store_offsets(self, written: Written) -> None:
        if not written.moves:
            return
        began = self._clock()
        self._assignment.store_offsets(written.batch.ends)
        seconds = self._clock() - began
        self._observer.stored(Stored(written.batch.records, written.moves, written.seconds, seconds))

    def _settle(self) -> None:
        """Let the partitions go on that are due, each where the database says."""
        due = self.positions.due(self._clock())
        self._bounds.ask(due, self.positions.assignment)
        told = self._bounds.answers(0.0 if self.positions.going else self._options.batch_wait)
        if not (told := {p: answer for p, answer in told.items() if p in due}):
            return
        try:
            found = self.patiently(partial(where_to_go_on, self._options.topic, told, self._begin))
        except TransientError as error:
            self._fail(told, error)
            return
        for partition, answer in found.items():
            if partition not in self.positions.assigned:
                continue  # it was taken while the answer was waited for: to seek it would assign it anew
            try:
                if isinstance(answer, KafkaJourneyError):
                    raise answer
                self._assignment.go_on(partition, answer)
            except KafkaJourneyError as fault:
                self._set_back(partition, fault)
        if settled := {p: offset for p, offset in self.positions.going.items() if p in found}:
            self._observer.settled(settled)

    def _set_back(self, partition: int, fault: KafkaJourneyError) -> None:
        """Let one partition back off, or stop; the others go on."""
        if isinstance(fault, TransientError):
            self._fail([partition], fault)
            return
        if not isinstance(fault, PartitionError):
            raise fault
        self._assignment.pause([partition])
        is_news = self.positions.stop(partition, str(fault), self._clock())
        if self.positions.have_all_stopped:
            raise StopError(" ".join(self.positions.stopped.values()))
        if is_news:
            self._observer.stopped(partition, fault)

    def _fail(self, partitions: Iterable[int], error: TransientError) -> None:
        """Unsettle partitions; they are settled anew after a while, however often that takes."""
        self._letters.roll_back()
        failed = [p for p in partitions if p in self.positions.assigned]
        self._assignment.pause(failed)
        self._observer.failed(error, failed, self.positions.fail(failed, self._clock()))

    def settle_anew(self, error: TransientError) -> None:
        """Hold all partitions that go on against broker and database again, for a reason that was seen from outside."""
        if going := list(self.positions.going):
            self._fail(going, error)

    def _leave(self, give_up: threading.Event) -> None:
        """Commit the offsets that are stored and leave the group; not for ever where the broker is away."""
        self._assignment.hard_end.arm(self._options.closing_patience + HARD_END)
        closing = in_thread(self._assignment.close)
        deadline = time.monotonic() + self._options.closing_patience
        while not futures.wait([closing], 0.1).done and time.monotonic() < deadline and not give_up.is_set():
            pass
        if closing.done():
            self._assignment.hard_end.disarm()
            closing.result()
        else:
            self._observer.abandoned()
