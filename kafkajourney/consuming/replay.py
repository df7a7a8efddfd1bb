"""Replaying dead letters after what was wrong has been mended: each is stored once, at its original place."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Engine

from kafkajourney.consuming import dead_letters
from kafkajourney.consuming.batch import Place
from kafkajourney.consuming.dead_letters import Noted, Selection
from kafkajourney.consuming.records import RecordMaker
from kafkajourney.database import engines
from kafkajourney.database.store import Store
from kafkajourney.database.views import READ_ONLY
from kafkajourney.errors import RecordError
from kafkajourney.events import Record
from kafkajourney.kafka import clients
from kafkajourney.settings import Settings


class Outcome(NamedTuple):
    """What became of one dead letter."""

    letter: Noted
    stored: bool
    text: str


def letters_of(engine: Engine, settings: Settings, selection: Selection) -> list[Noted]:
    """Return the selected dead letters, oldest first; raise DatabaseAwayError where the database does not answer."""
    with engines.reached(settings), engine.connect().execution_options(**READ_ONLY) as connection:
        return dead_letters.noted(connection, settings, selection)


def messages(settings: Settings, group: str, places: set[Place]) -> dict[Place, Any]:
    """Return the messages of these places from the group's dead-letter topic; one may be missing there."""
    reader = clients.reader(settings)
    try:
        return {place: m for place, m in dead_letters.kept(reader, settings, group) if place in places}
    finally:
        reader.close()


def replay(settings: Settings, store: Store, records: RecordMaker, letters: list[Noted]) -> Iterator[Outcome]:
    """Store the events of one group's dead letters, in the order of their places; yield what became of each.

    ``store`` and ``records`` are those of the group. What still fails stays a dead letter.
    """
    group = letters[0].group if letters else ""
    found = messages(settings, group, {(letter.partition, letter.offset) for letter in letters})
    for letter in sorted(letters, key=lambda letter: (letter.partition, letter.offset)):
        message = found.get((letter.partition, letter.offset))
        if message is None:
            yield Outcome(letter, stored=False, text="its bytes are no longer in the dead-letter topic")
            continue
        try:
            record = records.record(message, letter.partition, letter.offset)
            if record is not None:
                record.timestamp = dead_letters.timestamp_of(message)
                records.give_row(record)
            stored = store.replay(record or Record(settings.topic, letter.partition, letter.offset))
        except RecordError as error:
            yield Outcome(letter, stored=False, text=f"still refused: {error}")
        else:
            yield Outcome(letter, stored=True, text="stored" if stored else "was replayed before")
