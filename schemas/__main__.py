"""``python -m schemas``."""

from kafkajourney.command.running import main
from kafkajourney.schemas.command import schemas

if __name__ == "__main__":
    main(schemas, "KAFKAJOURNEY_SCHEMAS")
