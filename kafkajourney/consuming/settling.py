"""Where partitions go on: asked of the database, and held against what the topic still has."""

from collections.abc import Callable, Collection, Mapping
from concurrent import futures
from functools import partial

from kafkajourney.background import in_thread
from kafkajourney.errors import KafkaJourneyError, PartitionError, TransientError
from kafkajourney.kafka.reading import Bounds

Told = Mapping[int, Bounds | KafkaJourneyError]
"""The first and the end offset of each partition, or why the broker does not tell them."""

AskBounds = Callable[[Collection[int]], Told]
"""Asks the broker for the bounds of partitions, all at once; raises BrokerAwayError."""

Begin = Callable[[Mapping[int, int]], Mapping[int, int]]
"""Asks the database for the next offsets; one that was never begun begins at the offset that is given."""


class BesideTheLoop:
    """Asks the broker while the loop goes on, so that a broker that is frozen holds up its own partitions alone."""

    def __init__(self, ask_bounds: AskBounds) -> None:
        self._ask_bounds = ask_bounds
        self._asked: dict[futures.Future[Told], frozenset[int]] = {}
        """What is not answered yet, and what it is about."""

    def ask(self, partitions: Collection[int]) -> None:
        """Ask for the bounds of these partitions, all at once; of those about which a question is open, not again."""
        if new := frozenset(partitions).difference(*self._asked.values()):
            self._asked[in_thread(partial(self._ask_bounds, new))] = new

    def answers(self, seconds: float) -> Told:
        """Return what was told since the last call; wait so long for the first answer, where a question is open."""
        told: dict[int, Bounds | KafkaJourneyError] = {}
        if not self._asked:
            return told
        for question in futures.wait(self._asked, seconds, futures.FIRST_COMPLETED).done:
            partitions = self._asked.pop(question)
            try:
                told |= question.result()
            except TransientError as error:
                told |= dict.fromkeys(partitions, error)
        return told


def where_to_go_on(topic: str, told: Told, begin: Begin) -> Mapping[int, int | KafkaJourneyError]:
    """Return the next offset of each partition of which something was told, or why it cannot go on.

    Raises TransientError where none of them can.
    """
    bounds = {p: answer for p, answer in told.items() if isinstance(answer, Bounds)}
    offsets = begin({p: of.first for p, of in bounds.items()}) if bounds else {}
    faults = {p: answer for p, answer in told.items() if not isinstance(answer, Bounds)}
    return {**faults, **{p: gap_between(topic, p, offsets[p], of) or offsets[p] for p, of in bounds.items()}}


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
