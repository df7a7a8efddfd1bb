"""``python -m consumers.analytic``."""

from consumers.analytic import ANALYTIC
from kafkajourney.command.running import main
from kafkajourney.consuming.command import consumer_command

command = consumer_command(
    ANALYTIC,
    help="""Count the VideoPlayed events of each user in the table video_plays.

    Runs until it is stopped. Start as many as the topic has partitions; more stay idle and take over when one ends.
    Totals never drift: they change in the same transaction as the progress, once for each event.
    """,
)

if __name__ == "__main__":
    main(command, "KAFKAJOURNEY_ANALYTIC")
