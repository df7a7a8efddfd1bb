"""``python -m consumers.journey``."""

from consumers.journey import JOURNEY
from kafkajourney.command.running import main
from kafkajourney.consuming.command import consumer_command

command = consumer_command(
    JOURNEY,
    help="""Store every event, in the order produced, in the table journey_events.

    Runs until it is stopped. Start as many as the topic has partitions; more stay idle and take over when one ends.
    Events are stored once, whatever is killed or restarted: see docs/decisions/0003-the-database-holds-the-offsets.md.
    """,
)

if __name__ == "__main__":
    main(command, "KAFKAJOURNEY_JOURNEY")
