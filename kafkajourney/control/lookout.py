"""What broker, registry and database say of the groups, gathered for ``kafkajourney status``."""

import time
from collections.abc import Callable, Iterable
from concurrent import futures
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException
from sqlalchemy import func, select

from kafkajourney.background import in_thread
from kafkajourney.consuming.outside import beyond
from kafkajourney.database import engines
from kafkajourney.database.tables import consumer_progress, dead_letters
from kafkajourney.database.views import READ_ONLY
from kafkajourney.errors import BrokerAwayError, KafkaJourneyError, SettingsError, StopError
from kafkajourney.kafka import clients, reach, reading
from kafkajourney.kafka.topic_ids import TopicIds
from kafkajourney.registry.client import Registry
from kafkajourney.settings import Settings

R = TypeVar("R")

PATIENCE = 5.0
"""Seconds that the database may take to answer: one that is frozen takes for ever."""


@dataclass(frozen=True)
class Member:
    """A consumer of a group, as the broker tells it."""

    member_id: str
    client_id: str
    host: str
    partitions: list[int]


@dataclass(frozen=True)
class Problem:
    """A part that is away, or not as it has to be."""

    part: str
    text: str


class Stored(NamedTuple):
    """What the database says, by group."""

    clock: float
    """When it said so, in seconds of a clock that never goes back."""
    progress: dict[str, dict[int, int]]
    letters: dict[str, tuple[int, int]]
    """Dead letters, and how many of them were replayed."""
    topic_ids: dict[str, set[str]]
    """Of which topics the progress is, where that is known."""


class Look(NamedTuple):
    """What was found out at one moment; what is not known is missing, or None."""

    at: datetime
    stored: Stored | None
    bounds: dict[int, tuple[int, int]]
    """The first offset of each of the topic's partitions, and its end offset."""
    members: dict[str, list[Member]]
    topic_id: str | None
    committed: dict[str, dict[int, int]]
    oldest: dict[str, dict[int, int]]
    """When the first unstored record was made, in milliseconds since the epoch."""
    problems: list[Problem]
    notes: list[str]
    groups: tuple[str, ...]
    """All groups, in the order in which they are shown."""

    def unstored(self, group: str) -> dict[int, tuple[int, int]]:
        """Return from where to where, in each partition, the records are that the group has not stored."""
        if self.stored is None:
            return {}
        begun = self.stored.progress.get(group, {})
        starts = {partition: begun.get(partition, first) for partition, (first, _end) in self.bounds.items()}
        return {partition: (start, max(start, self.bounds[partition][1])) for partition, start in starts.items()}

    def topic_ids(self, group: str) -> set[str]:
        """Return of which topics the progress is, where that is known."""
        return self.stored.topic_ids.get(group, set()) if self.stored else set()

    def committed_beyond(self, group: str) -> dict[int, tuple[int, int]]:
        """Return the committed offset and the database's, of each partition where that has not come so far."""
        return beyond(self.committed.get(group, {}), self.stored.progress.get(group, {})) if self.stored else {}


class Lookout:
    """Looks at broker, registry and database, again and again over the same connections.

    What is away is a problem of the look; wrong settings raise SettingsError.
    """

    def __init__(self, settings: Settings, groups: Iterable[str]) -> None:
        self._settings = settings
        self._groups = tuple(groups)
        self._engine = engines.engine(settings)
        self._registry = Registry(settings, max_retries=0)
        self._admin = clients.admin(settings)
        self._readers = {group: clients.reader(settings, settings.group_id(group)) for group in self._groups}
        self._topic_ids = TopicIds(self._admin, settings.topic)
        self._question: futures.Future[Stored] | None = None

    def close(self) -> None:
        """Give the connections up."""
        for reader in self._readers.values():
            reader.close()
        self._engine.dispose()

    def stored(self) -> Stored | None:
        """Return what the database says, None where it does not answer."""
        return _known([], "database", self._ask_database)

    def look(self) -> Look:
        """Find out what can be found out."""
        problems: list[Problem] = []
        # The database first: what is produced meanwhile adds to the lag, which can so never be below nothing.
        stored = _known(problems, "database", self._ask_database)
        is_there = _known(problems, "broker", lambda: reading.topics(self._admin, self._settings)) is not None
        topic_id = self._topic_ids() if is_there else None
        look = Look(datetime.now(UTC), stored, {}, {}, topic_id, {}, {}, problems, [], self._groups)
        if is_there:
            look.bounds.update(_known(problems, "topic", self._bounds) or {})
            look.members.update(self._members(look.notes))
        for group, reader in self._readers.items() if look.bounds else ():
            look.committed[group] = self._committed(reader, group, look)
            look.oldest[group] = self._oldest(reader, group, look)
        if stored and any(look.committed_beyond(group) for group in self._groups):
            # Offsets are committed after the transaction: asked again, this database has what its own consumers did.
            look = look._replace(stored=_known([], "database", self._ask_database) or stored)
        _known(problems, "registry", self._registry.subjects)
        return look

    # --- the database ---------------------------------------------------------------------------------------------

    def _ask_database(self) -> Stored:
        # A question that hangs is kept, and answered when the database wakes up: no look adds another one.
        self._question = question = self._question or in_thread(self._read_tables)
        try:
            return question.result(PATIENCE)
        except futures.TimeoutError as error:
            raise StopError(
                f"The database at {self._settings.safe_database_url} has not answered for {PATIENCE:.0f} s. "
                "Look whether its server hangs, or a transaction locks its tables."
            ) from error
        finally:
            if question.done():
                self._question = None

    def _read_tables(self) -> Stored:
        of, letter = consumer_progress.c, dead_letters.c
        moves = select(of.consumer_group, of.partition, of.next_offset, of.topic_id).where(
            of.topic == self._settings.topic
        )
        counts = select(letter.consumer_group, func.count(), func.count(letter.replayed_at))
        counts = counts.where(letter.topic == self._settings.topic).group_by(letter.consumer_group)
        progress: dict[str, dict[int, int]] = {}
        ids: dict[str, set[str]] = {}
        with engines.reached(self._settings), self._engine.connect() as plain:
            connection = plain.execution_options(**READ_ONLY)
            for group, partition, offset, topic_id in connection.execute(moves):
                progress.setdefault(group, {})[partition] = offset
                ids.setdefault(group, set()).update([topic_id] if topic_id is not None else [])
            clock = time.monotonic()
            letters = {group: (n, again) for group, n, again in connection.execute(counts)}
            return Stored(clock, progress, letters, ids)

    # --- the broker -----------------------------------------------------------------------------------------------

    def _bounds(self) -> dict[int, tuple[int, int]]:
        reader, topic = next(iter(self._readers.values())), self._settings.topic
        return {p: reading.watermarks(reader, topic, p) for p in reading.partitions_of(reader, self._settings)}

    def _members(self, notes: list[str]) -> dict[str, list[Member]]:
        members = {}
        ids = {self._settings.group_id(group): group for group in self._groups}
        asked = self._admin.describe_consumer_groups(list(ids), request_timeout=reach.REACH_TIMEOUT)
        for group_id, answer in asked.items():
            group = ids[group_id]
            try:
                members[group] = [self._member(told) for told in answer.result().members]
            except KafkaException as error:
                notes.append(f"The members of {group} are not known: {_reason(error.args[0])}.")
        return members

    def _member(self, told: Any) -> Member:
        own = [p.partition for p in told.assignment.topic_partitions if p.topic == self._settings.topic]
        return Member(told.member_id, told.client_id, told.host.lstrip("/"), sorted(own))

    def _committed(self, reader: Consumer, group: str, look: Look) -> dict[int, int]:
        try:
            return reading.committed(reader, self._settings.topic, look.bounds)
        except BrokerAwayError as error:
            look.notes.append(f"What {group} has committed is not known: {error}.")
            return {}

    def _oldest(self, reader: Consumer, group: str, look: Look) -> dict[int, int]:
        spans = {p: (max(start, look.bounds[p][0]), end) for p, (start, end) in look.unstored(group).items()}
        starts = {partition: start for partition, (start, end) in spans.items() if start < end}
        return reading.timestamps(reader, self._settings.topic, starts) if starts else {}


def _known(problems: list[Problem], part: str, call: Callable[[], R]) -> R | None:
    """Return what the call returns; None, and a problem more, where its part is away or not as it has to be."""
    try:
        return call()
    except SettingsError:
        raise
    except KafkaJourneyError as error:
        problems.append(Problem(part, str(error)))
        return None


def _reason(error: KafkaError) -> str:
    if error.code() == KafkaError._UNSUPPORTED_FEATURE:
        return "this broker does not tell them (the embedded one cannot)"
    return f"the broker says {error.name()}"
