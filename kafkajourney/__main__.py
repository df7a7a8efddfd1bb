"""``python -m kafkajourney``: the same as the command ``kafkajourney``."""

from kafkajourney.cli import main

main()
