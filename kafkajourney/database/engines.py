"""Engines: connections to the settings' database, with its failures as this project's errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from kafkajourney.database.dialect import DIALECTS, dialect_of
from kafkajourney.database.errors import sorted_error
from kafkajourney.errors import DatabaseAwayError, SettingsError, TransientError
from kafkajourney.settings import Settings

DRIVERS = ("ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server", "FreeTDS")
"""The ODBC drivers that are looked for, the best first."""


GET_DRIVER = (
    "Install Microsoft's ODBC Driver 18 for SQL Server (https://aka.ms/odbc18), or FreeTDS (apt install tdsodbc); "
    "or `pip install mssql-python-odbc`, which has Microsoft's, and name its libs/.../libmsodbcsql-18*.so* in the URL "
    "(?driver=/path/to/it)"
)


def engine(settings: Settings, *, may_create: bool = False) -> Engine:
    """Return an engine for the settings' database; nothing is connected yet.

    ``may_create``: a SQLite file that is not there is made, else connecting is refused. Raises SettingsError where the
    driver is not installed.
    """
    try:
        url = _with_driver(make_url(settings.database_url))
    except SettingsError as error:
        raise SettingsError(f"{settings.hint('database_url')}{error}") from error
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    connect = dict(DIALECTS[url.get_backend_name()].CONNECT_ARGUMENTS)
    # FreeTDS refuses a long text whose size it is told beforehand.
    options = {"use_setinputsizes": False} if _is_freetds(url) else {}
    try:
        made = create_engine(url, connect_args=connect, **options)
    except ImportError as error:
        raise SettingsError(f"The driver for {settings.safe_database_url} is not installed ({error}).") from error
    except SQLAlchemyError as error:
        raise SettingsError(f"The database URL {settings.safe_database_url} cannot be used: {error}") from error
    if made.dialect.is_async:
        raise SettingsError(f"The driver of {settings.safe_database_url} is asynchronous. Leave it out of the URL.")
    dialect_of(made).set_up(made, may_create=may_create)
    return made


def _with_driver(url: URL) -> URL:
    """Return the URL with an ODBC driver that is installed, where it takes one."""
    if url.drivername not in ("mssql", "mssql+pyodbc") or "odbc_connect" in url.query:
        return url
    installed = _odbc_drivers()
    wanted = url.query.get("driver")
    if isinstance(wanted, str):
        if wanted not in installed and not Path(wanted).exists():
            raise SettingsError(
                f"ODBC driver {wanted!r} is not installed; installed are: {', '.join(installed) or 'none'}. "
                f"{GET_DRIVER}."
            )
        return _for_freetds(url) if _is_freetds(url) else url
    for name in DRIVERS:
        if name in installed:
            return _with_driver(url.update_query_dict({"driver": name}))
    raise SettingsError(f"No ODBC driver for SQL Server is installed. {GET_DRIVER}.")


def _odbc_drivers() -> list[str]:
    """Return the names of the installed ODBC drivers.

    pyodbc is imported only here: without the system's unixODBC library the import itself fails.
    """
    try:
        import pyodbc  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"SQL Server needs pyodbc, and that the system's unixODBC library ({error}). "
            "Install it: apt install unixodbc"
        ) from error
    pyodbc.pooling = False  # SQLAlchemy has a pool; one below it would hand out connections that this one gave up
    return list(pyodbc.drivers())


def _is_freetds(url: URL) -> bool:
    driver = url.query.get("driver")
    return isinstance(driver, str) and (driver == "FreeTDS" or "tdsodbc" in driver)


def _for_freetds(url: URL) -> URL:
    """Return the URL with what FreeTDS needs to be told: the protocol's version, and the port by itself."""
    needed = {"TDS_Version": "7.4", "port": str(url.port or 1433)}
    return url.update_query_dict({name: value for name, value in needed.items() if name not in url.query})


@contextmanager
def sorted_errors(settings: Settings) -> Iterator[None]:
    """Raise the database errors of the block as DatabaseAwayError, RefusedError or StopError."""
    try:
        yield
    except SQLAlchemyError as error:
        found = sorted_error(error, settings.safe_database_url)
        raise (DatabaseAwayError(str(found)) if isinstance(found, TransientError) else found) from error


@contextmanager
def reached(settings: Settings) -> Iterator[None]:
    """Raise an outage in the block with what to do about it: for commands that ask once and do not wait."""
    try:
        with sorted_errors(settings):
            yield
    except TransientError as error:
        where = f"{settings.hint('database_url')}No database answers at {settings.safe_database_url}"
        raise DatabaseAwayError(f"{where}: {error}. Start it, or set KAFKAJOURNEY_DATABASE_URL.") from error


@contextmanager
def disposed(made: Engine) -> Iterator[Engine]:
    """Close the engine's connections with the block."""
    try:
        yield made
    finally:
        made.dispose()
