"""Verification: whether the tables hold what the topic holds, every event once, in order, and every total right.

Topic and table are read side by side in the order of their offsets, so that memory does not grow with their size.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from confluent_kafka import Consumer
from sqlalchemy import Connection, Engine, func, select

from consumers import groups
from consumers.analytic.rows import COUNTED
from consumers.journey.rows import row as journey_row
from kafkajourney import clients, database, dead_letters
from kafkajourney.dead_letters import Place
from kafkajourney.dialects import READ_ONLY, one_view
from kafkajourney.errors import DecodeError
from kafkajourney.events import Decoded, Record, as_text, utc_naive
from kafkajourney.serde import Decoder
from kafkajourney.settings import Settings
from kafkajourney.tables import consumer_progress, journey_events, video_plays

JOURNEY = groups.JOURNEY.name
ANALYTIC = groups.ANALYTIC.name
SHOWN = 5

_row = journey_events.c


class Plays(NamedTuple):
    """How often a user played a video, and when last (naive UTC)."""

    plays: int
    last_played_at: datetime


@dataclass
class Report:
    """What was compared, and what differs."""

    produced: int = 0
    """Records on the topic."""
    stored: int = 0
    """Records whose event is in ``journey_events`` at its place."""
    lag: int = 0
    """Records that the journey group has not come to yet."""
    set_aside: int = 0
    """Records that are dead letters of the journey group, not replayed."""
    lost_letters: int = 0
    """Records that were set aside and are not in the dead-letter topic."""
    missing: int = 0
    """Records before the group's progress that are in no table and no dead letter."""
    altered: int = 0
    """Rows whose other columns are not what the topic says."""
    ahead: int = 0
    """Rows that the group's progress does not cover."""
    beyond: int = 0
    """Partitions in which a group's progress is behind the topic's end."""
    out_of_order: int = 0
    """Rows that hold another event than the topic has at their offset: the order is broken."""
    unexpected: int = 0
    """Rows at offsets that the topic does not have."""
    duplicates: int = 0
    """Out-of-order or unexpected rows whose event is stored at another place too."""
    dropped: int = 0
    """Records that the topic has dropped by retention: they cannot be checked any more."""
    users_in_several_partitions: int = 0
    plays_produced: int = 0
    plays_counted: int = 0
    plays_lag: int = 0
    """Records that the analytic group has not come to yet."""
    users: int = 0
    wrong_totals: int = 0
    """Users whose row in ``video_plays`` is not what the topic says."""
    examples: list[str] = field(default_factory=list)
    """The first differences, a sentence each."""

    @property
    def differs(self) -> bool:
        """Whether anything is not as it should be, or not yet."""
        return self.is_wrong or bool(self.lag + self.plays_lag)

    @property
    def is_wrong(self) -> bool:
        """Whether anything is not as it should be, whatever the groups have still to come to."""
        rows = self.missing + self.altered + self.out_of_order + self.unexpected + self.duplicates + self.ahead
        return bool(rows + self.lost_letters + self.beyond + self.wrong_totals)

    def tell(self, sentence: str) -> None:
        """Keep a difference as an example, unless there are enough of them."""
        if len(self.examples) < SHOWN:
            self.examples.append(sentence)


class _Stored(NamedTuple):
    offset: int
    event_id: str
    event_type: str
    user_id: str
    session_id: str
    page_url: str
    occurred_at: datetime
    payload: str


class Verifier:
    """Compares one topic with the tables. Raises StopError or TransientError where either cannot be read."""

    def __init__(self, settings: Settings, engine: Engine, decode: Decoder) -> None:
        self._settings = settings
        self._engine = engine
        self._decode = decode
        self._report = Report()
        self._plays: dict[str, Plays] = {}
        self._partition_of: dict[str, int] = {}
        self._moved_users: set[str] = set()

    def run(self) -> Report:
        """Read everything once and return the report."""
        reader = clients.reader(self._settings)
        try:
            partitions = clients.partitions_of(reader, self._settings)
            with database.reached(self._settings), self._engine.connect() as plain:
                # One view of progress and totals: consumers may be at work meanwhile.
                connection = plain.execution_options(**one_view(self._engine))
                dead = {group: self._set_aside(reader, connection, group) for group in (JOURNEY, ANALYTIC)}
                for partition in partitions:
                    self._compare(reader, connection, partition, dead)
                self._count_rows_elsewhere(connection, partitions)
                self._compare_totals(connection)
        finally:
            reader.close()
        self._report.users_in_several_partitions = len(self._moved_users)
        return self._report

    # --- events ---------------------------------------------------------------------------------------------------

    def _compare(
        self,
        reader: Consumer,
        connection: Connection,
        partition: int,
        dead: Mapping[str, set[Place]],
    ) -> None:
        topic = self._settings.topic
        low, high = clients.watermarks(reader, topic, partition)
        self._report.dropped += low
        progress = {group: self._progress(connection, group, partition) for group in dead}
        for group, offset in progress.items():
            if offset > high:
                self._report.beyond += 1
                self._report.tell(f"beyond: {group} believes in [{partition}] {offset}, the topic ends at {high}")
        self._count_rows_ahead(connection, partition, progress[JOURNEY])
        rows = self._rows(partition, low, progress[JOURNEY])
        row = next(rows, None)
        for message in clients.records(reader, topic, partition, low, high):
            offset = message.offset()
            while row is not None and row.offset < offset:
                self._unexpected(connection, partition, row)
                row = next(rows, None)
            event = self._event(message)
            self._report.produced += 1
            self._note_user(event, partition)
            if offset >= progress[ANALYTIC]:
                self._report.plays_lag += 1
            elif (partition, offset) not in dead[ANALYTIC]:
                self._note_play(event)
            if row is not None and row.offset == offset:
                self._check_row(connection, message, row, event)
                row = next(rows, None)
            elif offset >= progress[JOURNEY]:
                self._report.lag += 1
            elif (partition, offset) in dead[JOURNEY]:
                self._report.set_aside += 1
            else:
                self._report.missing += 1
                self._report.tell(f"missing: nothing is stored for [{partition}] {offset}")
        for left in (row, *rows):
            if left is not None:
                self._unexpected(connection, partition, left)

    def _event(self, message: Any) -> Decoded | None:
        try:
            return self._decode(message.value())
        except DecodeError:
            return None

    def _check_row(self, connection: Connection, message: Any, row: _Stored, event: Decoded | None) -> None:
        place = f"[{message.partition()}] {row.offset}"
        if event is None or row.event_id != str(event.event.event_id):
            self._report.out_of_order += 1
            self._report.tell(f"out of order: {place} holds event {row.event_id}, the topic has another")
            self._count_if_duplicate(connection, row)
        elif wrong := _differences(row, event):
            self._report.altered += 1
            self._report.tell(f"altered: {place} has another {', '.join(wrong)} than the topic")
        else:
            self._report.stored += 1

    def _unexpected(self, connection: Connection, partition: int, row: _Stored) -> None:
        self._report.unexpected += 1
        self._report.tell(f"unexpected: [{partition}] {row.offset} is stored, and the topic has no such record")
        self._count_if_duplicate(connection, row)

    def _count_if_duplicate(self, connection: Connection, row: _Stored) -> None:
        same = select(func.count()).where(_row.topic == self._settings.topic, _row.event_id == row.event_id)
        self._report.duplicates += (connection.scalar(same) or 0) > 1

    def _count_rows_ahead(self, connection: Connection, partition: int, progress: int) -> None:
        """Count rows that the progress does not cover: the next consumer would store them again."""
        ahead = select(func.count()).where(
            _row.topic == self._settings.topic, _row.partition == partition, _row.offset >= progress
        )
        if count := connection.scalar(ahead):
            self._report.ahead += count
            self._report.tell(f"ahead: {count} rows of [{partition}] are at or after the progress, {progress}")

    def _rows(self, partition: int, low: int, progress: int) -> Iterator[_Stored]:
        """Yield the rows from ``low`` to before the progress that was read: what is stored meanwhile is not meant."""
        statement = (
            select(*(_row[name] for name in _Stored._fields))
            .where(_row.topic == self._settings.topic, _row.partition == partition)
            .where(_row.offset >= low, _row.offset < progress)
            .order_by(_row.offset)
            .execution_options(yield_per=1000)
        )
        # A connection of its own: SQL Server's takes no other statement while rows are being fetched.
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            for values in connection.execute(statement):
                row = _Stored(*values)
                yield row._replace(event_id=row.event_id.lower())

    def _count_rows_elsewhere(self, connection: Connection, partitions: list[int]) -> None:
        statement = select(func.count()).where(_row.topic == self._settings.topic, _row.partition.not_in(partitions))
        if count := connection.scalar(statement):
            self._report.unexpected += count
            self._report.tell(f"unexpected: {count} rows are of partitions that the topic does not have")

    def _progress(self, connection: Connection, group: str, partition: int) -> int:
        column = consumer_progress.c
        statement = select(column.next_offset).where(
            column.consumer_group == group,
            column.topic == self._settings.topic,
            column.partition == partition,
        )
        return connection.scalar(statement) or 0

    def _note_user(self, event: Decoded | None, partition: int) -> None:
        if event is None:
            return
        user = event.event.user_id
        if self._partition_of.setdefault(user, partition) != partition:
            self._moved_users.add(user)

    # --- totals ---------------------------------------------------------------------------------------------------

    def _note_play(self, event: Decoded | None) -> None:
        if event is None or event.event_type != COUNTED:
            return
        user, played_at = event.event.user_id, utc_naive(event.event.occurred_at)
        before = self._plays.get(user)
        self._plays[user] = (
            Plays(1, played_at) if before is None else Plays(before.plays + 1, max(before.last_played_at, played_at))
        )

    def _compare_totals(self, connection: Connection) -> None:
        columns = video_plays.c
        counted = {
            user: Plays(plays, last)
            for user, plays, last in connection.execute(select(columns.user_id, columns.plays, columns.last_played_at))
        }
        self._report.plays_produced = sum(total.plays for total in self._plays.values())
        self._report.plays_counted = sum(total.plays for total in counted.values())
        self._report.users = len(self._plays)
        for user in sorted(self._plays.keys() | counted.keys()):
            expected, found = self._plays.get(user), counted.get(user)
            # What records added that the topic has dropped cannot be known: then a total may be higher, never lower.
            bounded = self._report.dropped and found is not None and (expected is None or found >= expected)
            if expected != found and not bounded:
                self._report.wrong_totals += 1
                self._report.tell(f"wrong total: {user} has {_shown(found)}, the topic says {_shown(expected)}")

    # --- dead letters ---------------------------------------------------------------------------------------------

    def _set_aside(self, reader: Consumer, connection: Connection, group: str) -> set[Place]:
        """Return the places that the group has set aside and not replayed; tell of those whose bytes are lost."""
        noted = set(dead_letters.noted(connection, self._settings, dead_letters.Selection(group)))
        places = {(letter.partition, letter.offset) for letter in noted}
        kept = {place for place, _message in dead_letters.kept(reader, self._settings, group)} if places else set()
        for partition, offset in sorted(places - kept):
            self._report.lost_letters += 1
            self._report.tell(
                f"lost: [{partition}] {offset} was set aside by {group}, but is not in its dead-letter topic"
            )
        return places


def _differences(row: _Stored, event: Decoded) -> list[str]:
    """Return the names of the columns in which a row differs from the event."""
    expected = journey_row(Record("", 0, row.offset, event), "")
    names = ("event_type", "user_id", "session_id", "page_url")
    wrong = [name for name in names if getattr(row, name) != getattr(expected, name)]
    if as_text(row.occurred_at) != expected.occurred_at:
        wrong.append("occurred_at")
    return wrong if _same_payload(row.payload, expected.payload, type(event.event)) else [*wrong, "payload"]


def _same_payload(stored: str, expected: str, event_class: type) -> bool:
    """Whether two payloads say the same; an older consumer may have known less of the fields that have a default."""
    before, after = json.loads(stored), json.loads(expected)
    defaulted = {f.name for f in dataclasses.fields(event_class) if f.default is not dataclasses.MISSING}
    needed = {name: after[name] for name in after if name in before or name not in defaulted}
    return bool(before == needed)


def _shown(total: Plays | None) -> str:
    return "nothing" if total is None else f"{total.plays} plays, the last at {total.last_played_at.isoformat()}"
