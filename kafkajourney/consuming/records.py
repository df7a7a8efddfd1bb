"""From a message to a record with its row."""

from collections.abc import Callable
from typing import Any

from kafkajourney.errors import DecodeError, KafkaJourneyError
from kafkajourney.events import Decoded, Record
from kafkajourney.group import Row


class RecordMaker:
    """Makes a group's records: decodes, makes the row, checks that the table takes it.

    ``check_row`` raises RefusedError where it does not.
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

    def __call__(self, message: Any, partition: int, offset: int) -> Record | None:
        """Return the record of a ``confluent_kafka.Message``, None where nothing of it is stored.

        Whatever is raised on the way by a foreign schema or value is RecordError: that record is a dead letter, and the
        process goes on. Raises TransientError while the registry is away.
        """
        if (value := message.value()) is None:
            return None  # a tombstone: it says nothing of an event
        try:
            if (decoded := self._decode(value)) is None:
                return None
            record = Record(self._topic, partition, offset, decoded, message)
            record.row = self._rows(record)
            if record.row is not None:
                self._check_row(record.row)
        except KafkaJourneyError:
            raise
        except Exception as error:
            raise DecodeError(f"no row can be made of it: {type(error).__name__}: {error}"[:1000]) from error
        return record
