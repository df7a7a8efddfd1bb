"""The real stack: Apache Kafka, Apicurio Registry and, if asked for, PostgreSQL or another server, ready to use."""

import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sqlalchemy import make_url

from consumers import GROUPS
from kafkajourney.avro.catalogue import load
from kafkajourney.database import revisions
from kafkajourney.kafka import topics
from kafkajourney.registry.client import Registry as RegistryClient
from kafkajourney.schemas.register import register
from kafkajourney.settings import DEFAULTS, DIALECTS, Settings
from tests.stack.download import Missing
from tests.stack.given import GivenServer
from tests.stack.kafka import NOTHING, Kafka, kafka
from tests.stack.postgres import Postgres, postgres
from tests.stack.registry import Registry
from tests.stack.server import Server

PARTITIONS = 3


class DatabaseServer(Protocol):
    """What makes databases, and can be taken away and brought back."""

    def create(self, database: str) -> str: ...
    def kill(self) -> None: ...
    def stop(self) -> None: ...
    def start(self) -> None: ...
    def freeze(self) -> None: ...
    def wake(self) -> None: ...
    def cut(self) -> None: ...


@dataclass(frozen=True)
class RealStack:
    """A stack that runs, its settings, and its parts to take away and bring back."""

    folder: Path
    settings: Settings
    kafka: Kafka
    registry: Registry
    postgres: Postgres | None
    given: GivenServer | None = None

    @property
    def database(self) -> DatabaseServer:
        """Return the database server: the given one, else PostgreSQL; raise Missing where there is neither."""
        if server := self.given or self.postgres:
            return server
        raise Missing("There is no database server: PostgreSQL was not asked for.")

    @property
    def servers(self) -> list[Server]:
        """Return all parts."""
        return [*self.kafka.brokers, self.registry, *([self.postgres] if self.postgres is not None else [])]

    def fresh(self, topic: str, *, on_postgres: bool = False) -> Settings:
        """Return settings with a new topic and an empty database, both named so, ready to use.

        ``on_postgres``, the database is the database server's, also where that is a given one.
        """
        settings = replace(self.empty_database(topic, on_postgres=on_postgres), topic=topic)
        prepare(settings)
        return settings

    def empty_database(self, name: str, *, on_postgres: bool = False) -> Settings:
        """Return the stack's settings with an empty database of this name, its tables made."""
        if on_postgres and (self.given or self.postgres):
            url = self.database.create(name)
        else:
            url = f"sqlite:///{self.folder}/{name}.db"
        settings = replace(self.settings, database_url=url)
        revisions.upgrade(settings)
        return settings

    def last_lines(self) -> str:
        """Return the end of each part's log."""
        return "\n\n".join(server.last_lines() for server in self.servers)


@contextmanager
def real_stack(
    folder: Path,
    brokers: int = 1,
    *,
    with_postgres: bool = False,
    topic: str = DEFAULTS["topic"],
    properties: Mapping[str, str] = NOTHING,
) -> Iterator[RealStack]:
    """Run the stack until the block ends, its data and logs in ``folder``, which is emptied first.

    The parts end with the block, also on an error, on SIGTERM and on Ctrl-C; their logs stay. PostgreSQL is the
    database where it is asked for and the settings take it, else SQLite. ``properties`` are the brokers'.
    Raises Missing where a part cannot be had on this machine, StopError where one does not start.
    """
    folder = folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as parts:
        parts.enter_context(_sigterm_like_ctrl_c())
        server = parts.enter_context(postgres(folder)) if with_postgres else None
        cluster = parts.enter_context(kafka(folder, brokers, properties=properties))
        registry = parts.enter_context(Registry(folder))
        on_postgres = server is not None and "postgresql" in DIALECTS
        settings = Settings(
            bootstrap_servers=cluster.addresses(),
            schema_registry_url=registry.url,
            database_url=server.url() if server and on_postgres else f"sqlite:///{folder}/journey.db",
            topic=topic,
        )
        stack = RealStack(folder, settings, cluster, registry, server)
        try:
            prepare(settings)
            yield stack
        except Exception as error:
            error.add_note(stack.last_lines())
            raise


@contextmanager
def on_given_server(stack: RealStack, url: str) -> Iterator[RealStack]:
    """Let a stack use databases of the server with this URL, behind a proxy; without a URL, leave it as it is.

    Raises Missing where the URL names no server.
    """
    if not url:
        yield stack
        return
    with GivenServer(make_url(url)) as server:
        settings = replace(stack.settings, database_url=server.create("journey"))
        prepare(settings)
        yield replace(stack, settings=settings, given=server)


def prepare(settings: Settings) -> None:
    """Create the topics, register the schemas, make the tables."""
    topics.create(settings, [group.name for group in GROUPS], PARTITIONS, topics.BROKER_DEFAULT)
    registry = RegistryClient(settings)
    with registry.client:
        for _ in register(registry, load(), settings.topic):
            pass
    revisions.upgrade(settings)


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, so that nothing is left running; only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
