"""A database server that runs already, whose URL is in KAFKAJOURNEY_TEST_DATABASE_URL."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import DBAPIError

from kafkajourney.database import engines
from kafkajourney.settings import DEFAULTS, Settings
from tests.stack.download import Missing
from tests.stack.proxy import Proxy
from tests.stack.server import HOST

VARIABLE = "KAFKAJOURNEY_TEST_DATABASE_URL"
# Read now: a fixture of the tests takes away all KAFKAJOURNEY_ variables.
GIVEN = os.environ.get(VARIABLE, "")
"""The URL; empty where no server is given. Its user has to be one who may create databases."""

PORTS = {"mssql": 1433, "postgresql": 5432}


def settings_for(url: URL, topic: str = DEFAULTS["topic"]) -> Settings:
    """Return settings with this database, and neither a broker nor a registry."""
    return Settings("localhost:1", "http://localhost:1", url.render_as_string(hide_password=False), topic)


def execute_outside(url: URL, statement: str) -> None:
    """Execute a statement that must be in no transaction, and in no database that it is about."""
    with engines.disposed(_outside(url)) as engine, engine.connect() as connection:
        connection.execute(text(statement))


def _outside(url: URL) -> Engine:
    if url.get_backend_name() == "mssql":
        return engines.engine(settings_for(url.set(database="master").update_query_dict({"autocommit": "true"})))
    return engines.engine(settings_for(url)).execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def database_of_its_own(given: URL) -> Iterator[URL]:
    """Make an empty database; yield its URL and drop it at the end. SQLite's is a file beside the given one."""
    name = f"kafkajourney_test_{uuid.uuid4().hex[:8]}"
    if given.get_backend_name() == "sqlite":
        file = f"{given.database}.{name}"
        yield given.set(database=file)
        Path(file).unlink(missing_ok=True)
        return
    execute_outside(given, f"CREATE DATABASE {name}")
    try:
        yield given.set(database=name)
    finally:
        with contextlib.suppress(DBAPIError):  # SQL Server's way to end who is still connected
            execute_outside(given, f"ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
        force = " WITH (FORCE)" if given.get_backend_name() == "postgresql" else ""
        execute_outside(given, f"DROP DATABASE {name}{force}")


def address(url: URL) -> tuple[str, int]:
    """Return host and port of the URL's server; raise Missing where it names none."""
    if url.get_backend_name() not in PORTS or not url.host:
        raise Missing(f"The URL in {VARIABLE} names no server, so that there is no connection to cut.")
    return url.host, url.port or PORTS[url.get_backend_name()]


def through(proxy: Proxy, url: URL) -> URL:
    """Return the URL of the same database behind the proxy."""
    return url.set(host=HOST, port=proxy.port)


class GivenServer(Proxy):
    """The server behind a proxy, by which it is taken away and brought back; with databases of the tests' own."""

    def __init__(self, url: URL) -> None:
        super().__init__(*address(url))
        self._url = url
        self._databases = ExitStack()

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self._databases.close()

    def create(self, database: str) -> str:
        """Create a database, by a name of its own, and drop it at the end; return its URL, through the proxy."""
        own = self._databases.enter_context(database_of_its_own(self._url))
        return through(self, own).render_as_string(hide_password=False)
