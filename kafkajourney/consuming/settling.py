"""Where partitions go on: asked of the database, and held against what the topic still has."""

from collections.abc import Callable, Collection, Mapping

from kafkajourney.errors import KafkaJourneyError, PartitionError
from kafkajourney.kafka.reading import Bounds

AskBounds = Callable[[Collection[int]], Mapping[int, Bounds | KafkaJourneyError]]
"""Asks the broker for the first and the end offset of partitions, all at once; raises BrokerAwayError."""

Begin = Callable[[Mapping[int, int]], Mapping[int, int]]
"""Asks the database for the next offsets; one that was never begun begins at the offset that is given."""


def where_to_go_on(
    topic: str, ask_bounds: AskBounds, begin: Begin, partitions: Collection[int]
) -> Mapping[int, int | KafkaJourneyError]:
    """Return the next offset of each partition, or why it cannot go on.

    Raises TransientError where none of them can.
    """
    found = ask_bounds(partitions)
    bounds = {p: answer for p, answer in found.items() if isinstance(answer, Bounds)}
    offsets = begin({p: of.first for p, of in bounds.items()}) if bounds else {}
    faults = {p: answer for p, answer in found.items() if not isinstance(answer, Bounds)}
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
