"""What one consumer group has stored, and how far: the events and the progress, in one transaction.

The guarantee (docs/decisions/0003) stands on ``Store.commit``: rows and progress are committed together, and the
progress moves only from the offset that this consumer believes in.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from kafkajourney.database.engines import sorted_errors
from kafkajourney.database.refused import refused_among
from kafkajourney.database.tables import consumer_progress, dead_letters
from kafkajourney.database.views import READ_ONLY
from kafkajourney.database.writing import Write
from kafkajourney.errors import FencedError, PartitionError, RefusedError
from kafkajourney.events import Move, Record, utc_naive
from kafkajourney.settings import Settings

REASON_LENGTH = 1024
"""UTF-16 units (as NVARCHAR counts) of a dead letter's reason that the table keeps; its headers have all of it."""

_progress = consumer_progress.c
_PARTITION = (
    (_progress.consumer_group == bindparam("group"))
    & (_progress.topic == bindparam("of"))
    & (_progress.partition == bindparam("number"))
)
_ADVANCE = update(consumer_progress).where(_PARTITION, _progress.next_offset == bindparam("expected"))

_SAME_TOPIC = or_(_progress.topic_id.is_(None), _progress.topic_id == bindparam("id"))

_letter = dead_letters.c
_REPLAYED = update(dead_letters).where(
    _letter.consumer_group == bindparam("group"),
    _letter.topic == bindparam("of"),
    _letter.partition == bindparam("number"),
    _letter.offset == bindparam("at"),
    _letter.replayed_at.is_(None),
)

# The parameters of the row that is inserted next.
_FORGET = delete(dead_letters).where(*(column == bindparam(column.name) for column in dead_letters.primary_key))


class Store:
    """The tables of one consumer group for one topic.

    Every method raises TransientError while the database is away and StopError where it cannot be used.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        group: str,
        write: Write,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._group = group
        self._write = write
        self._now = now
        self.topic_id: str | None = None
        """The id of the topic that was begun with, where the broker tells it; it goes into the progress."""

    def progress(self) -> dict[int, int]:
        """Return the next offset of every partition that the group has begun."""
        return {partition: offset for partition, (offset, _topic_id) in self._known().items()}

    def topic_ids(self) -> set[str]:
        """Return of which topics the progress is, by their ids; none where they are not known."""
        return {topic_id for _offset, topic_id in self._known().values() if topic_id is not None}

    def remade(self, topic_id: str | None) -> PartitionError | None:
        """Return why the group cannot go on where the progress of a partition is of another topic than this one."""
        self.adopt(topic_id)
        faults = (self._fault(partition, *known) for partition, known in sorted(self._known().items()))
        return next(filter(None, faults), None)

    def adopt(self, topic_id: str | None) -> None:
        """Put this id of the topic, where it is told, into the progress from the next transaction on."""
        self.topic_id = topic_id or self.topic_id

    def _known(self) -> dict[int, tuple[int, str | None]]:
        """Return the next offset of every partition that the group has begun, and of which topic it is."""
        statement = select(_progress.partition, _progress.next_offset, _progress.topic_id).where(
            _progress.consumer_group == self._group, _progress.topic == self._settings.topic
        )
        with (
            sorted_errors(self._settings),
            self._engine.connect().execution_options(**READ_ONLY) as connection,
        ):
            return {row.partition: (row.next_offset, row.topic_id) for row in connection.execute(statement)}

    def begin(self, starts: Mapping[int, int], topic_id: str | None = None) -> dict[int, int | PartitionError]:
        """Return the next offset of each of these partitions; one that was never begun begins at its start.

        One whose progress is of a topic with another id cannot go on: why, is in its place.
        """
        self.adopt(topic_id)
        progress = self._known()
        rows = [
            {
                "consumer_group": self._group,
                "topic": self._settings.topic,
                "partition": partition,
                "next_offset": start,
                "updated_at": utc_naive(self._now()),
                "topic_id": self.topic_id,
            }
            for partition, start in starts.items()
            if partition not in progress
        ]
        if rows:
            with sorted_errors(self._settings), self._engine.begin() as connection:
                try:
                    connection.execute(insert(consumer_progress), rows)
                except IntegrityError as error:
                    raise FencedError("another consumer began the same partition") from error
        found = {partition: progress.get(partition, (start, None)) for partition, start in starts.items()}
        return {p: self._fault(p, offset, of) or offset for p, (offset, of) in found.items()}

    def _fault(self, partition: int, offset: int, of: str | None) -> PartitionError | None:
        """Return why a partition cannot go on where its progress is of another topic; an id not known can be any."""
        if None in (of, self.topic_id) or of == self.topic_id:
            return None
        topic = self._settings.topic
        return PartitionError(
            f"The database goes on at offset {offset} of {topic} [{partition}], but of a topic that was deleted (id "
            f"{of}); the one that is there now was made anew (id {self.topic_id}). Nothing was skipped. See "
            "docs/operations.md, A gap."
        )

    def commit(self, records: Sequence[Record], moves: Mapping[int, Move]) -> None:
        """Store the records' rows, note the dead letters and advance the progress, all or nothing.

        Raises FencedError where another consumer moved the progress, RefusedError where the database refuses a row.
        """
        with sorted_errors(self._settings), self._engine.begin() as connection:
            self._write_all(connection, records, moves)

    def refused(self, records: Sequence[Record], moves: Mapping[int, Move]) -> list[tuple[Record, RefusedError]]:
        """Return the records whose rows the database refuses, each with the reason; nothing is changed.

        Raises FencedError where another consumer moved the progress.
        """

        def test(part: Sequence[Record]) -> None:
            with sorted_errors(self._settings), self._engine.connect() as connection, connection.begin() as transaction:
                self._write_all(connection, part, moves)
                transaction.rollback()

        return list(refused_among([record for record in records if record.row is not None], test))

    def _write_all(self, connection: Connection, records: Sequence[Record], moves: Mapping[int, Move]) -> None:
        """Write what one transaction does."""
        now = utc_naive(self._now())
        events = [record for record in records if record.row is not None]
        letters = [self._dead_letter(record, now) for record in records if record.reason is not None]
        # The fence comes first: its row lock makes a zombie wait, then fail before it writes anything.
        for partition, move in sorted(moves.items()):
            self._advance(connection, partition, move, now)
        if letters:
            # Whoever sets the progress back by hand makes the same records dead letters again.
            connection.execute(_FORGET, letters)
            connection.execute(insert(dead_letters), letters)
        if events:
            self._write(connection, events, now)

    def replay(self, record: Record) -> bool:
        """Store the row of a dead letter; return False where that was done before, or it never was one.

        Raises RefusedError where the database refuses the row.
        """
        now = utc_naive(self._now())
        place = {"group": self._group, "of": record.topic, "number": record.partition, "at": record.offset}
        with sorted_errors(self._settings), self._engine.begin() as connection:
            if connection.execute(_REPLAYED.values(replayed_at=now), place).rowcount != 1:
                return False
            if record.row is not None:
                self._write(connection, [record], now)
        return True

    def _dead_letter(self, record: Record, now: datetime) -> dict[str, Any]:
        return {
            "consumer_group": self._group,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "reason": _bounded(record.reason or ""),
            "set_aside_at": now,
        }

    def _advance(self, connection: Connection, partition: int, move: Move, now: datetime) -> None:
        statement = _ADVANCE.values(next_offset=move.next_offset, updated_at=now)
        place = {"group": self._group, "of": self._settings.topic, "number": partition, "expected": move.expected}
        if self.topic_id is not None:
            # The progress of a topic that was deleted is not taken over by the one that has its name now.
            statement = statement.where(_SAME_TOPIC).values(topic_id=self.topic_id)
            place["id"] = self.topic_id
        moved = connection.execute(statement, place)
        if moved.rowcount != 1:
            raise FencedError(
                f"the progress of {self._settings.topic} [{partition}] in group {self._group} is no longer "
                f"{move.expected}: another consumer moved it, and nothing was written",
                partition,
            )


def _bounded(reason: str) -> str:
    """Return a reason that every database takes: not too long, and without characters that PostgreSQL refuses."""
    units = reason.replace("\0", "\\0").encode("utf-16-le", "replace")
    return units[: 2 * REASON_LENGTH].decode("utf-16-le", "ignore")
