"""The embedded stack: broker, registry and database, started, migrated and registered, ready to use."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from kafkajourney.avro.catalogue import load
from kafkajourney.database import revisions
from kafkajourney.embedded.broker import embedded_broker
from kafkajourney.embedded.registry import RegistryServer
from kafkajourney.registry.client import Registry
from kafkajourney.schemas.register import register
from kafkajourney.settings import DEFAULTS, ENVIRONMENT, Settings
from kafkajourney.settings.variables import FROM_FILE
from kafkajourney.state import EMBEDDED, claimed

PARTITIONS = 3


@contextmanager
def embedded_stack(folder: Path, topic: str = DEFAULTS["topic"], partitions: int = PARTITIONS) -> Iterator[Settings]:
    """Run the stack until the block ends, its state in ``folder``; yield its settings.

    Commands find a stack by themselves that has its state in ``STATE_FOLDER`` of their working folder.
    The database begins empty each time: the topic does too, and neither makes sense without the other.
    Raises StopError where another embedded stack has its state there.
    """
    with ExitStack() as parts:
        publish = parts.enter_context(claimed(folder))
        settings = Settings(
            bootstrap_servers=parts.enter_context(embedded_broker(topic, partitions)),
            schema_registry_url=parts.enter_context(RegistryServer()).url,
            database_url=f"sqlite:///{_empty_database(folder)}",
            topic=topic,
            embedded=True,
        )
        revisions.upgrade(settings)
        for _ in register(Registry(settings), load(), topic):
            pass
        publish(addresses(settings) | {"kind": EMBEDDED})
        yield settings


def addresses(settings: Settings) -> dict[str, str]:
    """Return the settings that say where things are, by name."""
    return {name: value for name, value in asdict(settings).items() if name in DEFAULTS}


def environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with the settings' variables set, for other processes."""
    own = {ENVIRONMENT[name]: value for name, value in addresses(settings).items()}
    files = {name + FROM_FILE for name in own}
    return {name: value for name, value in os.environ.items() if name not in files} | own


def _empty_database(folder: Path) -> Path:
    path = folder.absolute() / "journey.db"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path
