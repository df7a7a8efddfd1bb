"""From a batch to the database, whatever it refuses and whoever is quicker."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from kafkajourney.consuming.batch import Batch
from kafkajourney.consuming.letters import Letters
from kafkajourney.consuming.positions import Positions
from kafkajourney.errors import FencedError, PartitionError, RefusedError, StopError, without_row
from kafkajourney.events import Move, Record
from kafkajourney.watching.observer import Observer


class Store(Protocol):
    """Where a group's rows and progress are kept."""

    def begin(self, starts: Mapping[int, int], topic_id: str | None) -> Mapping[int, int | PartitionError]: ...  # noqa: D102
    def commit(self, records: Sequence[Record], moves: Mapping[int, Move]) -> None: ...  # noqa: D102
    def refused(self, records: Sequence[Record], moves: Mapping[int, Move]) -> list[tuple[Record, RefusedError]]: ...  # noqa: D102


class Written(NamedTuple):
    """What is committed of a batch."""

    batch: Batch
    """Refused rows as dead letters, and without the partitions that another consumer has moved."""
    moves: Mapping[int, Move]
    seconds: float
    """From the begin of the transaction to its commit."""


class BatchWriter:
    """Commits batches. ``patiently`` calls what may take long."""

    def __init__(
        self,
        store: Store,
        positions: Positions,
        letters: Letters,
        patiently: Callable[[Callable[[], Any]], Any],
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._positions = positions
        self._letters = letters
        self._patiently = patiently
        self._observer = observer
        self._clock = clock

    def write(self, batch: Batch) -> Written:
        """Commit a batch, whatever the database refuses of it; return what of it is committed.

        Raises TransientError where nothing was committed, StopError where a batch is refused for no record of it.
        """
        were_counted = False
        while batch := self._still_ours(batch):
            moves, began = self._moves(batch), self._clock()
            self._observer.committing(batch.records, moves)
            try:
                self._patiently(partial(self._store.commit, batch.records, moves))
            except RefusedError as refusal:
                batch = self._without_refused(batch, moves, refusal)
                were_counted = True  # one by one, in their order
            except FencedError as fence:
                if fence.partition not in batch.ends:
                    raise
                batch = batch.without(fence.partition, fence)
            else:
                seconds = self._clock() - began
                if not were_counted and any(record.row is not None for record in batch.records):
                    self._letters.earn("write")
                self._committed(moves)
                return Written(batch, moves, seconds)
        return Written(batch, {}, 0.0)

    def _still_ours(self, batch: Batch) -> Batch:
        """Leave out the partitions that were taken while an answer was waited for."""
        for partition in batch.ends:
            if self._positions.offset(partition) is None:
                batch = batch.without(partition)
        return batch

    def _moves(self, batch: Batch) -> dict[int, Move]:
        going = self._positions.going
        return {partition: Move(going[partition], end) for partition, end in batch.ends.items()}

    def _without_refused(self, batch: Batch, moves: Mapping[int, Move], refusal: RefusedError) -> Batch:
        """Return the batch with each record as a dead letter that the database refuses."""
        found = self._patiently(partial(self._store.refused, batch.records, moves))
        if not found:
            raise StopError(f"The database takes each row alone, but not together: {without_row(str(refusal))}.")
        refused = {(record.partition, record.offset): reason for record, reason in found}
        for record in batch.records:
            if reason := refused.get((record.partition, record.offset)):
                self._letters.add(record.message, reason, "write")
            elif record.row is not None:
                self._letters.earn("write")
        self._letters.confirm()
        return batch.with_refused(refused)

    def _committed(self, moves: Mapping[int, Move]) -> None:
        self._letters.commit()
        if recovered := self._positions.advance(moves, self._clock()):
            self._observer.recovered(recovered)
