"""What one poll brought, between the read and the write. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kafkajourney.errors import KafkaJourneyError, RecordError, RefusedError
from kafkajourney.events import Record

Place = tuple[int, int]
"""Partition and offset of a record."""


@dataclass(frozen=True)
class Batch:
    """Records of several partitions, each partition's in its order."""

    records: list[Record] = field(default_factory=list)
    """Those with an event, and the dead letters; without those that are passed over."""
    ends: dict[int, int] = field(default_factory=dict)
    """How far each partition is read: its next offset."""
    faults: dict[int, KafkaJourneyError] = field(default_factory=dict)
    """Why a partition is read no further."""

    def __bool__(self) -> bool:
        """Whether any partition advances with it."""
        return bool(self.ends)

    def without(self, partition: int, fault: KafkaJourneyError | None = None) -> "Batch":
        """Return this batch with nothing of one partition, but for why that is."""
        return Batch(
            [record for record in self.records if record.partition != partition],
            {p: end for p, end in self.ends.items() if p != partition},
            self.faults if fault is None else {**self.faults, partition: fault},
        )

    def with_refused(self, refused: Mapping[Place, RefusedError]) -> "Batch":
        """Return this batch with these records as dead letters."""
        return replace(self, records=[_or_letter(record, refused) for record in self.records])


def as_letter(record: Record, reason: RecordError) -> Record:
    """Return a record as the dead letter that it becomes for this reason."""
    return replace(record, decoded=None, row=None, reason=str(reason))


def _or_letter(record: Record, refused: Mapping[Place, RefusedError]) -> Record:
    reason = refused.get((record.partition, record.offset))
    return record if reason is None else as_letter(record, reason)
