"""``python -m consumers.journey``."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert

from consumers.command import consumer_command
from consumers.journey.rows import row
from kafkajourney.command import main
from kafkajourney.events import Record
from kafkajourney.tables import journey_events


def write(connection: Connection, records: Sequence[Record], now: datetime) -> None:
    """Insert the records' events."""
    connection.execute(insert(journey_events), [row(record, now) for record in records])


command = consumer_command(
    group="journey",
    write=write,
    wanted=None,
    help="""Store every event, in the order produced, in the table journey_events.

    Runs until it is stopped. Start as many as the topic has partitions; more stay idle and take over when one ends.
    Events are stored once, whatever is killed or restarted: see docs/decisions/0003-the-database-holds-the-offsets.md.
    """,
)

if __name__ == "__main__":
    main(command, "KAFKAJOURNEY_JOURNEY")
