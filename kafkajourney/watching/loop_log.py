"""The consume loop's log: what an operator has to know, a line each; of an outage few, however long it lasts."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from kafkajourney.command.logs import event
from kafkajourney.errors import (
    BrokerAwayError,
    DatabaseAwayError,
    PartitionError,
    RecordError,
    TransientError,
    without_row,
    without_values,
)
from kafkajourney.watching.observer import Observer, Stored

FIRST_INTERVAL = 10.0
LONGEST_INTERVAL = 600.0
"""Seconds between two lines about one outage: the first interval is doubled until it is the longest."""

NEWS_INTERVAL = 3.0
"""Seconds between two lines about an outage that grows: a hundred partitions are no hundred lines."""

QUIET = 10.0
"""Seconds without a failure after which an outage is over though nothing came that could be committed."""

log = logging.getLogger("kafkajourney.consumer")


class Reminders:
    """When to tell of an outage: at once, at once when its cause changes, else at growing intervals. Time is given."""

    def __init__(self) -> None:
        self._since: float | None = None
        """When the outage began, None where there is none."""
        self._well_since: float | None = None
        self._cause = ""
        self._interval = FIRST_INTERVAL
        self._told_at = 0.0

    def is_due(self, cause: str, now: float, *, is_news: bool = False) -> bool:
        """Return whether to tell now of an outage with this cause; ``is_news``: it has grown."""
        self._well_since = None
        if self._since is None:
            self._since, self._interval = now, FIRST_INTERVAL
        elif cause == self._cause:
            passed = now - self._told_at
            if passed < (NEWS_INTERVAL if is_news else self._interval):
                return False
            if passed >= self._interval:
                self._interval = min(2 * self._interval, LONGEST_INTERVAL)
        self._cause, self._told_at = cause, now
        return True

    def lasts(self, now: float) -> float:
        """Return how many seconds the outage lasts by now."""
        return 0.0 if self._since is None else now - self._since

    def seems_over(self, now: float) -> None:
        """Note that something has worked again."""
        self._well_since = now

    def is_over(self, now: float) -> bool:
        """Return whether nothing has failed for long enough since."""
        return self._since is not None and self._well_since is not None and now - self._well_since >= QUIET

    def over(self, now: float) -> float | None:
        """End the outage; return how many seconds it lasted until something worked again, None where there was none."""
        seconds = None if self._since is None else self.lasts(now if self._well_since is None else self._well_since)
        self._since = self._well_since = None
        return seconds


class Outage:
    """What has one cause: when to tell of it, and which partitions stand still."""

    def __init__(self) -> None:
        self.reminders = Reminders()
        self.partitions: set[int] = set()
        self.told: set[int] = set()
        """Those that the last line about it has named."""
        self.settled: set[int] = set()
        """Those of them that go on again, though nothing is committed yet."""


class LoopLog(Observer):
    """Writes what the loop tells to the log."""

    def __init__(self, topic: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._topic = topic
        self._clock = clock
        self._outages: defaultdict[str, Outage] = defaultdict(Outage)
        """By their causes."""
        self._late_since: float | None = None
        """When an answer was asked for that has not come yet."""

    def polled(self) -> None:  # noqa: D102 # Observer says it
        if self._late_since is not None:
            self._remind_of_late_answer(self._late_since)
        for outage in list(self._outages.values()):
            if outage.reminders.is_over(self._clock()):
                self._tell_over(outage)

    def assigned(self, partitions: Iterable[int]) -> None:  # noqa: D102 # Observer says it
        numbers = sorted(partitions)
        log.info("assigned: %s %s", self._topic, numbers, extra=event("assigned", partitions=numbers))

    def revoked(self, partitions: Iterable[int], *, lost: bool) -> None:  # noqa: D102
        numbers, name = sorted(partitions), "lost" if lost else "revoked"
        log.info("%s: %s %s", name, self._topic, numbers, extra=event(name, partitions=numbers))
        for cause, outage in list(self._outages.items()):
            if outage.partitions and not (outage.partitions - set(numbers)):
                del self._outages[cause]  # its end is somebody else's to tell
            outage.partitions -= set(numbers)

    def idle(self) -> None:  # noqa: D102
        sentence = "idle: all partitions of %s have an owner in the group; ready to take over"
        log.info(sentence, self._topic, extra=event("idle"))

    def dead_lettered(self, message: Any, reason: RecordError) -> None:  # noqa: D102
        partition, offset, why = message.partition(), message.offset(), without_values(str(reason))
        fields = event("dead_letter", partition=partition, offset=offset, error=type(reason).__name__)
        log.warning("dead letter: [%d] %d: %s", partition, offset, why, extra=fields)

    def stored(self, batch: Stored) -> None:  # noqa: D102
        if not log.isEnabledFor(logging.DEBUG):
            return
        offsets = {partition: (move.expected, move.next_offset - 1) for partition, move in sorted(batch.moves.items())}
        places = ", ".join(f"[{partition}] {first}-{last}" for partition, (first, last) in offsets.items())
        events, seconds = sum(record.decoded is not None for record in batch.records), round(batch.database_seconds, 3)
        fields = event("stored", partitions=list(offsets), offsets=offsets, events=events, seconds=seconds)
        log.debug("stored: %d events of %s in %.3f s", events, places, seconds, extra=fields)

    def settled(self, positions: Mapping[int, int]) -> None:  # noqa: D102
        for outage in self._outages.values():
            outage.settled |= outage.partitions & positions.keys()
            if outage.settled == outage.partitions:
                outage.reminders.seems_over(self._clock())
        places = ", ".join(f"[{partition}] at {offset}" for partition, offset in sorted(positions.items()))
        fields = event("settled", partitions=sorted(positions), offsets=dict(positions))
        log.debug("going on: %s", places, extra=fields)

    def failed(self, error: TransientError, partitions: Collection[int], retry_in: float) -> None:  # noqa: D102
        outage = self._outages[error.cause]
        self._note(outage, partitions)
        wait, numbers = round(retry_in, 1), sorted(outage.partitions)
        of = f" ({self._topic} {numbers})" if numbers else ""
        sentence = f", next try in {wait} s: {without_row(str(error))}{of}"
        self._remind(outage, "failed", error.cause, sentence, retry_in=wait, partitions=numbers)
        if not numbers:
            outage.reminders.seems_over(self._clock())  # of the whole client: it is over where it does not come again

    def stopped(self, partition: int, fault: PartitionError) -> None:  # noqa: D102
        sentence = "stopped: %s The other partitions go on; this one is looked at again each minute."
        log.error(sentence, without_row(str(fault)), extra=event("partition_stopped", partition=partition))

    def silent(self, partitions: Mapping[int, str]) -> None:  # noqa: D102
        outage = self._outages[BrokerAwayError.cause]
        self._note(outage, partitions)
        numbers, reasons = sorted(outage.partitions), "; ".join(dict.fromkeys(partitions.values()))
        sentence = f": nothing comes of {self._topic} {numbers}: {reasons}"
        self._remind(outage, "silent", BrokerAwayError.cause, sentence, partitions=numbers)

    def strangers(self, partitions: Mapping[int, tuple[int, int]]) -> None:  # noqa: D102
        numbers = sorted(partitions)
        places = ", ".join(f"[{p}] {partitions[p][0]} (the database: {partitions[p][1]})" for p in numbers)
        log.warning(
            "the group has committed offsets of %s that this database has not reached: %s. Either the database was "
            "restored, and what it lacks is stored again; or consumers with another database are in the group: then "
            "give one deployment a group_prefix (KAFKAJOURNEY_GROUP_PREFIX)",
            *(self._topic, places),
            extra=event("strangers", partitions=numbers),
        )

    def waiting(self, seconds: float) -> None:  # noqa: D102
        self._late_since = self._clock() - seconds
        self._remind_of_late_answer(self._late_since)

    def answered(self, positions: Mapping[int, int]) -> None:  # noqa: ARG002, D102
        self._late_since = None
        self._outages[DatabaseAwayError.cause].reminders.seems_over(self._clock())

    def _note(self, outage: Outage, partitions: Collection[int]) -> None:
        """Note that these partitions stand still for this cause."""
        for other in self._outages.values():
            other.partitions -= set(partitions)
        outage.partitions |= set(partitions)
        outage.settled.clear()

    def _remind_of_late_answer(self, since: float) -> None:
        sentence = f": the database has not answered for {self._clock() - since:.0f} s; polling goes on"
        self._remind(self._outages[DatabaseAwayError.cause], "waiting", DatabaseAwayError.cause, sentence)

    def _remind(self, outage: Outage, name: str, cause: str, sentence: str, **fields: Any) -> None:
        """Tell of the outage, where that is due."""
        now = self._clock()
        if outage.reminders.is_due(cause, now, is_news=bool(outage.partitions - outage.told)):
            outage.told = set(outage.partitions)
            seconds = round(outage.reminders.lasts(now), 1)
            so_far = f" for {seconds} s" if seconds else ""
            log.warning("waiting%s%s", so_far, sentence, extra=event(name, cause=cause, seconds=seconds, **fields))

    def recovered(self, seconds: Mapping[int, float]) -> None:  # noqa: D102
        for outage in list(self._outages.values()):
            was_partitioned = bool(outage.partitions)
            outage.partitions -= seconds.keys()
            if was_partitioned and not outage.partitions:
                self._tell_over(outage)

    def _tell_over(self, outage: Outage) -> None:
        outage.told.clear()
        seconds = outage.reminders.over(self._clock())
        if seconds is not None:
            log.info("going on after %.1f s", seconds, extra=event("recovered", seconds=round(seconds, 1)))

    def abandoned(self) -> None:  # noqa: D102
        sentence = "the broker does not answer; leaving without a word. Nothing is lost, the database has it all"
        log.warning(sentence, extra=event("abandoned"))
