"""The database: engines, its revision, and its failures sorted into this project's errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from kafkajourney import dialects
from kafkajourney.errors import SettingsError, StopError, TransientError
from kafkajourney.settings import Settings

MIGRATIONS = Path(__file__).parent.parent / "migrations"

GET_DRIVER = (
    "Install Microsoft's ODBC Driver 18 for SQL Server (https://aka.ms/odbc18), or FreeTDS (apt install tdsodbc), "
    "or name an installed one in the URL (?driver=...)"
)


def engine(settings: Settings) -> Engine:
    """Return an engine for the settings' database; nothing is connected yet.

    Raises SettingsError where the driver is not installed.
    """
    url = _with_driver(make_url(settings.database_url))
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        made = create_engine(url, connect_args=dialects.CONNECT_ARGUMENTS.get(url.get_backend_name(), {}))
    except ImportError as error:
        raise SettingsError(f"The driver for {settings.safe_database_url} is not installed ({error}).") from error
    except SQLAlchemyError as error:
        raise SettingsError(f"The database URL {settings.safe_database_url} cannot be used: {error}") from error
    dialects.set_up(made)
    return made


def _with_driver(url: URL) -> URL:
    """Return the URL with an ODBC driver that is installed, where it takes one.

    pyodbc is imported only here: without the system's unixODBC library the import itself fails.
    """
    if url.drivername not in ("mssql", "mssql+pyodbc") or "odbc_connect" in url.query:
        return url
    try:
        import pyodbc  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"SQL Server needs pyodbc, and that the system's unixODBC library ({error}). "
            "Install it: apt install unixodbc"
        ) from error
    installed = pyodbc.drivers()
    wanted = url.query.get("driver")
    if isinstance(wanted, str):
        if wanted not in installed and not Path(wanted).exists():
            raise SettingsError(
                f"ODBC driver {wanted!r} is not installed; installed are: {', '.join(installed) or 'none'}. "
                f"{GET_DRIVER}."
            )
        return url
    for name in ("ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server", "FreeTDS"):
        if name in installed:
            return url.update_query_dict({"driver": name})
    raise SettingsError(f"No ODBC driver for SQL Server is installed. {GET_DRIVER}.")


@contextmanager
def sorted_errors(settings: Settings) -> Iterator[None]:
    """Raise the database errors of the block as TransientError, RefusedError or StopError."""
    try:
        yield
    except SQLAlchemyError as error:
        raise dialects.sorted_error(error, settings.safe_database_url) from error


@contextmanager
def reached(settings: Settings) -> Iterator[None]:
    """Raise an outage in the block as StopError: for commands that ask once and do not wait."""
    try:
        with sorted_errors(settings):
            yield
    except TransientError as error:
        raise StopError(
            f"No database answers at {settings.safe_database_url}: {error}. Start it, or set KAFKAJOURNEY_DATABASE_URL."
        ) from error


def migrate(settings: Settings, act: Callable[[Config], None]) -> None:
    """Let an Alembic command act on the database, in one transaction.

    Raises StopError where the database does not answer or the command refuses.
    """
    config = alembic_config()
    with reached(settings), engine(settings).connect() as connection, clear_errors():
        config.attributes["connection"] = connection
        act(config)
        connection.commit()


@contextmanager
def clear_errors() -> Iterator[None]:
    """Raise Alembic's refusals in the block as StopError."""
    try:
        yield
    except CommandError as error:
        raise StopError(f"{error}. See: python -m migrations history") from error


def alembic_config() -> Config:
    """Return Alembic's configuration; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def current_revision(made: Engine) -> str | None:
    """Return the revision that the database is at, None where it has no tables of this project."""
    with made.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def require_newest_revision(made: Engine, settings: Settings) -> None:
    """Raise StopError where the database is not at the newest revision of the migrations."""
    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    with reached(settings):
        current = current_revision(made)
    if current != newest:
        raise StopError(
            f"The database at {settings.safe_database_url} is at revision {current or 'none'}, this version needs "
            f"{newest}. Run: python -m migrations upgrade"
        )
