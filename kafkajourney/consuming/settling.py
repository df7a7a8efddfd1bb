"""Where partitions go on: asked of the database, and held against what the topic still has."""

import time
from collections.abc import Callable, Collection, Mapping
from concurrent import futures
from functools import partial
from typing import NamedTuple

from kafkajourney.background import in_thread
from kafkajourney.errors import KafkaJourneyError, PartitionError, TransientError
from kafkajourney.kafka.bounds import Bounds

Told = Mapping[int, Bounds | KafkaJourneyError]
"""The first and the end offset of each partition, or why the broker does not tell them."""

AskBounds = Callable[[Collection[int]], Told]
"""Asks the broker for the bounds of partitions, all at once; raises BrokerAwayError."""

Begin = Callable[[Mapping[int, int], str | None], Mapping[int, int | PartitionError]]
"""Asks the database for the next offsets; one that was never begun begins at the offset that is given.

The second argument is the topic's id, where the broker tells it.
"""


EACH_AFTER = 0.5
"""Seconds after which a question about several partitions is asked for each by itself."""


class _Question(NamedTuple):
    partitions: frozenset[int]
    asked_at: float


class BesideTheLoop:
    """Asks the broker while the loop goes on, so that a broker that is frozen holds up its own partitions alone.

    All at once, which is quick for a hundred partitions; but the answer comes when the last of the brokers has given
    its part, so that after a moment each partition is asked for by itself.
    """

    def __init__(self, ask_bounds: AskBounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask_bounds = ask_bounds
        self._clock = clock
        self._open: dict[futures.Future[Told], _Question] = {}
        self._assignment = 0

    def ask(self, partitions: Collection[int], assignment: int) -> None:
        """Ask for the bounds of these partitions; of those about which a question is open, not again.

        ``assignment`` is the number of the present one. What was asked under another is forgotten: a partition that
        came back may be further by now than the topic's end was then.
        """
        if assignment != self._assignment:
            self._assignment, self._open = assignment, {}
        new = frozenset(partitions).difference(*(question.partitions for question in self._open.values()))
        if new:
            self._ask(new)

    def answers(self, seconds: float) -> Told:
        """Return what was told since the last call; wait so long for the first answer, where a question is open."""
        told: dict[int, Bounds | KafkaJourneyError] = {}
        if not self._open:
            return told
        for future in futures.wait(self._open, seconds, futures.FIRST_COMPLETED).done:
            question = self._open.pop(future)
            try:
                told |= future.result()
            except TransientError as error:
                told |= dict.fromkeys(question.partitions, error)
        self._split()
        return told

    def _split(self) -> None:
        late = self._clock() - EACH_AFTER
        for future, (partitions, asked_at) in list(self._open.items()):
            if len(partitions) > 1 and asked_at <= late:
                del self._open[future]
                for partition in partitions:
                    self._ask(frozenset([partition]))

    def _ask(self, partitions: frozenset[int]) -> None:
        self._open[in_thread(partial(self._ask_bounds, partitions))] = _Question(partitions, self._clock())


def where_to_go_on(topic: str, told: Told, begin: Begin) -> Mapping[int, int | KafkaJourneyError]:
    """Return the next offset of each partition of which something was told, or why it cannot go on.

    Raises TransientError where none of them can.
    """
    bounds = {p: answer for p, answer in told.items() if isinstance(answer, Bounds)}
    topic_id = next((of.topic_id for of in bounds.values() if of.topic_id is not None), None)
    begun = begin({p: of.first for p, of in bounds.items()}, topic_id) if bounds else {}
    answers: dict[int, int | KafkaJourneyError] = {}
    for partition, answer in told.items():
        if not isinstance(answer, Bounds):
            answers[partition] = answer
        elif isinstance(offset := begun[partition], int):
            answers[partition] = gap_between(topic, partition, offset, answer) or offset
        else:
            answers[partition] = offset
    return answers


def gap_between(topic: str, partition: int, offset: int, bounds: Bounds) -> PartitionError | None:
    """Return what is wrong where the topic does not have this offset, None where all is well."""
    if bounds.first <= offset <= bounds.end:
        return None
    why = (
        f"the topic has dropped {bounds.first - offset} records that were never stored (retention)"
        if offset < bounds.first
        else f"the topic ends at {bounds.end}: it was made anew, or the database belongs to another cluster"
    )
    return PartitionError(
        f"The database goes on at offset {offset} of {topic} [{partition}], but {why}. Nothing was skipped. "
        "To accept the gap, set next_offset in consumer_progress by hand; otherwise restore the topic."
    )
