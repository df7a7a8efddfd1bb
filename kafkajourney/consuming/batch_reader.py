"""From the messages of one poll to a batch: events and rows, dead letters, and what is at fault with a partition."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafkajourney.consuming.batch import Batch
from kafkajourney.consuming.letters import Letters
from kafkajourney.errors import RecordError, StopError, TransientError
from kafkajourney.events import Record
from kafkajourney.kafka.errors import is_end, sorted_error
from kafkajourney.watching.observer import Observer


class BatchReader:
    """Reads messages. ``make_record`` returns the record of one, with its row; None where it is passed over."""

    def __init__(
        self,
        make_record: Callable[[Any, int, int], Record | None],
        letters: Letters,
        observer: Observer,
        topic: str,
        clock: Callable[[], float],
    ) -> None:
        self._make_record = make_record
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
        batch, next_offsets, began = Batch(), dict(going), self._clock()
        is_good = False
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if (error := message.error()) is not None:
                self._read_error(error, partition, offset, batch, next_offsets)
                continue
            next_offset = next_offsets.get(partition)
            if next_offset is None or offset < next_offset:
                continue
            try:
                record = self._make_record(message, partition, offset)
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
                batch.records.append(record)
            batch.ends[partition] = next_offsets[partition] = offset + 1
        if batch:
            self._observer.decoded(len(messages), self._clock() - began)
        return batch

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
        if partition < 0 and isinstance(fault, TransientError):
            self._observer.failed(fault, [], 0.0)  # of the whole client, which goes on trying by itself
        elif next_offsets.pop(partition, None) is not None:
            batch.faults[partition] = fault
