"""``python -m migrations``."""

from kafkajourney.command.running import main
from kafkajourney.database.command import migrations

if __name__ == "__main__":
    main(migrations, "KAFKAJOURNEY_MIGRATIONS")
