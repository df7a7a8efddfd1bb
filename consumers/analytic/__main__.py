"""``python -m consumers.analytic``."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from consumers.analytic.rows import COUNTED, plays
from consumers.command import consumer_command
from kafkajourney.command import main
from kafkajourney.dialects import add_plays
from kafkajourney.events import Record


def write(connection: Connection, records: Sequence[Record], _now: datetime) -> None:
    """Add the records' plays to the users' totals."""
    add_plays(connection, plays(records))


command = consumer_command(
    group="analytic",
    write=write,
    wanted=(COUNTED,),
    help="""Count the VideoPlayed events of each user in the table video_plays.

    Runs until it is stopped. Start as many as the topic has partitions; more stay idle and take over when one ends.
    Totals never drift: they change in the same transaction as the progress, once for each event.
    """,
)

if __name__ == "__main__":
    main(command, "KAFKAJOURNEY_ANALYTIC")
