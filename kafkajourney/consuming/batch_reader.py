"""From the messages of one poll to a batch: events and rows, dead letters, and what is at fault with a partition."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from kafkajourney.consuming.batch import Batch, as_letter
from kafkajourney.consuming.letters import Letters
from kafkajourney.errors import BrokerAwayError, RecordError, StopError, TransientError
from kafkajourney.events import Record
from kafkajourney.kafka.errors import is_end, sorted_error
from kafkajourney.watching.observer import Observer

ELSEWHERE = 2**63
"""Beyond every offset: the next one of a partition that does not go on here."""


class Records(Protocol):
    """Makes the records of a group, and their rows."""

    def record(self, message: Any, partition: int, offset: int) -> Record | None: ...  # noqa: D102
    def give_row(self, record: Record) -> None: ...  # noqa: D102


class BatchReader:
    """Reads messages."""

    def __init__(
        self,
        records: Records,
        letters: Letters,
        observer: Observer,
        topic: str,
        clock: Callable[[], float],
    ) -> None:
        self._records = records
        self._letters = letters
        self._observer = observer
        self._topic = topic
        self._clock = clock

    def read(self, messages: Sequence[Any], going: Mapping[int, int]) -> Batch:
        """Return what is to be stored of these messages; ``going`` has the next offset of each partition.

        A poll can return messages of a partition that was revoked, or revoked and assigned again, while it waited: one
        that does not go on, or that stands before the next offset, is left out. A partition is read until something is
        at fault with it; what comes behind that is left out, and fetched again. Raises StopError.
        """
        batch, began = Batch(), self._clock()
        make_record, keep, ends = self._records.record, batch.records.append, batch.ends
        next_offsets = dict(going)
        is_good = False
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if (error := message.error()) is not None:
                self._read_error(error, partition, offset, batch, next_offsets)
                continue
            if offset < next_offsets.get(partition, ELSEWHERE):
                continue
            try:
                record = make_record(message, partition, offset)
            except RecordError as reason:
                is_good = False
                record = Record(self._topic, partition, offset, message=message, reason=str(reason))
                self._letters.add(message, reason, "read")
            except TransientError as away:
                batch.faults[partition] = away
                del next_offsets[partition]
                continue
            else:
                if not is_good:
                    is_good = True
                    self._letters.earn("read")
            if record is not None:
                keep(record)
            ends[partition] = next_offsets[partition] = offset + 1
        # Not within the loop: decoding all, then making all rows, keeps the caches of the processor warm (a fifth).
        self._give_rows(batch.records)
        if batch:
            self._observer.decoded(len(messages), self._clock() - began)
        return batch

    def _give_rows(self, records: list[Record]) -> None:
        give_row = self._records.give_row
        is_good = False
        for place, record in enumerate(records):
            if record.reason is not None:
                continue
            try:
                give_row(record)
            except RecordError as reason:
                is_good = False
                self._letters.add(record.message, reason, "row")
                records[place] = as_letter(record, reason)
            else:
                if not is_good:
                    is_good = True
                    self._letters.earn("row")

    def _read_error(self, error: Any, partition: int, offset: int, batch: Batch, next_offsets: dict[int, int]) -> None:
        """Take an error that came in a message's place: of one partition, or of the whole client."""
        if is_end(error):
            # It has the offset after the last record; markers of transactions may stand before it, which are none.
            if partition in next_offsets and offset > next_offsets[partition]:
                batch.ends[partition] = next_offsets[partition] = offset
            return
        fault = sorted_error(error, self._topic, partition, offset)
        if isinstance(fault, StopError):
            raise fault
        if partition < 0:  # of the whole client, which goes on trying by itself
            self._observer.failed(BrokerAwayError(str(fault)), [], 0.0)
        elif next_offsets.pop(partition, None) is not None:
            batch.faults[partition] = fault
