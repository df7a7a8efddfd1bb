"""``python -m kafkajourney``: the same as the command ``kafkajourney``."""

from kafkajourney.control.cli import main

main()
