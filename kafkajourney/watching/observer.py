"""What the consume loop tells of its work: to a log, to metrics, to traces. Its methods do nothing here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kafkajourney.errors import RecordError, TransientError
from kafkajourney.events import Move, Record


class Batch(NamedTuple):
    """What one transaction has stored."""

    records: Sequence[Record]
    """Those with an event, and those that were set aside; without those that were passed over."""
    moves: Mapping[int, Move]
    """How far each partition went, with all that was passed over."""
    database_seconds: float
    """From the begin of the transaction to its commit."""
    offsets_seconds: float
    """From the commit until the offsets were stored in the client; 0 where it came too late for that."""


class Observer:
    """Is told what the loop does, on the loop's thread (of leaving the group on another): quick, and never raising."""

    def turned(self) -> None:
        """Told each time the loop goes round, also through an outage."""

    def assigned(self, partitions: Iterable[int]) -> None:
        """These partitions were added; all are paused until they are settled."""

    def revoked(self, partitions: Iterable[int], *, lost: bool) -> None:
        """These partitions were taken; ``lost``: the group did so without waiting for this member."""

    def settled(self, positions: Mapping[int, int]) -> None:
        """These partitions go on at these offsets, which the database has told."""

    def paused(self, partitions: Iterable[int]) -> None:
        """These partitions stand still until they are settled again."""

    def idle(self) -> None:
        """Every partition has another owner."""

    def decoded(self, messages: int, seconds: float) -> None:
        """So many messages were read, some of them passed over."""

    def set_aside(self, message: Any, reason: RecordError) -> None:
        """A record (a ``confluent_kafka.Message``) became a dead letter."""

    def committing(self, records: Sequence[Record], moves: Mapping[int, Move]) -> None:
        """A transaction begins. It ends with ``stored`` or ``failed``, or a row is refused and the next one begins."""

    def stored(self, batch: Batch) -> None:
        """A transaction was committed, and its offsets stored unless the partitions have to be settled anew."""

    def failed(self, error: TransientError, retry_in: float) -> None:
        """An outage, or still the same one; the next try is in so many seconds."""

    def waiting(self, seconds: float) -> None:
        """The database has not answered for so long; polling goes on meanwhile."""

    def recovered(self, seconds: float) -> None:
        """The outage that began so long ago is over."""

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
