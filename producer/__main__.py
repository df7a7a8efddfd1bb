"""``python -m producer``."""

from kafkajourney.command.running import main
from kafkajourney.producing.command import producer_command
from producer.simulator import simulate

command = producer_command(simulate)

if __name__ == "__main__":
    main(command, "KAFKAJOURNEY_PRODUCER")
