"""What the consume loop tells of its work: to a log, to metrics, to traces. Its methods do nothing here."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kafkajourney.errors import PartitionError, RecordError, TransientError
from kafkajourney.events import Move, Record


class Stored(NamedTuple):
    """What one transaction has stored."""

    records: Sequence[Record]
    """Those with an event, and the dead letters; without those that were passed over."""
    moves: Mapping[int, Move]
    """How far each partition went, with all that was passed over."""
    database_seconds: float
    """From the begin of the transaction to its commit."""
    offsets_seconds: float
    """From the commit until the offsets were stored in the client."""


class Observer:
    """Is told what the loop does, on the loop's thread (of leaving the group on another): quick, and never raising."""

    def polled(self) -> None:
        """Told each time before the loop polls, also through an outage."""

    def assigned(self, partitions: Iterable[int]) -> None:
        """These partitions were added; all are paused until they are settled."""

    def revoked(self, partitions: Iterable[int], *, lost: bool) -> None:
        """These partitions were taken; ``lost``: the group did so without waiting for this member."""

    def settled(self, positions: Mapping[int, int]) -> None:
        """These partitions go on at these offsets, which the database has told."""

    def idle(self) -> None:
        """Every partition has another owner."""

    def decoded(self, messages: int, seconds: float) -> None:
        """So many messages were read, some of them passed over."""

    def dead_lettered(self, message: Any, reason: RecordError) -> None:
        """A record (a ``confluent_kafka.Message``) became a dead letter."""

    def committing(self, records: Sequence[Record], moves: Mapping[int, Move]) -> None:
        """A transaction begins. It ends with ``stored`` or ``failed``, or a row is refused and the next one begins."""

    def stored(self, batch: Stored) -> None:
        """A transaction was committed, and its offsets were stored."""

    def failed(self, error: TransientError, partitions: Collection[int], retry_in: float) -> None:
        """An outage, or still the same one: these partitions stand still, and are settled again in so many seconds."""

    def stopped(self, partition: int, fault: PartitionError) -> None:
        """A partition has stopped until somebody mends it; the others go on."""

    def silent(self, partitions: Mapping[int, str]) -> None:
        """Nothing comes of these partitions any more, for these reasons; told every few seconds, until ``settled``."""

    def strangers(self, partitions: Mapping[int, tuple[int, int]]) -> None:
        """Of these partitions the group has committed the first offset, and the database has only the second."""

    def waiting(self, seconds: float) -> None:
        """Broker or database have not answered for so long; polling goes on meanwhile, with all partitions paused."""

    def answered(self, positions: Mapping[int, int]) -> None:
        """They have answered at last; these partitions go on, at these offsets."""

    def recovered(self, seconds: Mapping[int, float]) -> None:
        """Something was committed of these partitions, whose outages began so long ago."""

    def abandoned(self) -> None:
        """The broker did not answer, and the group was left without a word."""


def together(*observers: Observer) -> Observer:
    """Return one observer that tells these in turn."""
    one = Observer()
    for name in vars(Observer):
        if not name.startswith("_"):
            setattr(one, name, _in_turn([getattr(observer, name) for observer in observers]))
    return one


def _in_turn(methods: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def tell(*arguments: Any, **named: Any) -> None:
        for method in methods:
            method(*arguments, **named)

    return tell
