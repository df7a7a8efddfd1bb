"""From a message to a record, and from a record to its row."""

from collections.abc import Callable
from typing import Any

from kafkajourney.errors import DecodeError, KafkaJourneyError
from kafkajourney.events import Decoded, Record
from kafkajourney.group import Row
from kafkajourney.kafka.reading import timestamp_of


class RecordMaker:
    """Makes a group's records, with their rows; ``check_row`` raises RefusedError where the table does not take one.

    Whatever a foreign schema or value raises on the way is RecordError: that record is a dead letter, and the process
    goes on.
    """

    def __init__(
        self,
        topic: str,
        decode: Callable[[bytes], Decoded | None],
        rows: Callable[[Record], Row | None],
        check_row: Callable[[Row], None],
    ) -> None:
        self._topic = topic
        self._decode = decode
        self._rows = rows
        self._check_row = check_row

    def record(self, message: Any, partition: int, offset: int) -> Record | None:
        """Return the record of a ``confluent_kafka.Message``, None where nothing of it is stored.

        Raises TransientError while the registry is away.
        """
        if (value := message.value()) is None:
            return None  # a tombstone: it says nothing of an event
        decoded = self._decode(value)
        if decoded is None:
            return None
        return Record(self._topic, partition, offset, decoded, message, timestamp_of(message))

    def give_row(self, record: Record) -> None:
        """Give a record the row that its group makes of it, if any."""
        try:
            record.row = row = self._rows(record)
            if row is not None:
                self._check_row(row)
        except KafkaJourneyError:
            raise
        except Exception as error:
            raise DecodeError(f"no row can be made of it: {type(error).__name__}: {error}"[:1000]) from error
