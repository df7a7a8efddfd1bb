"""A PostgreSQL server of its own, where PostgreSQL is installed."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from kafkajourney.errors import StopError
from tests.stack.download import Missing
from tests.stack.server import HOST, Server, free_port

OWNER = "kafkajourney"
MODES = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class Postgres(Server):
    """A server with its data in ``folder``, as safe as in production: fsync stays on."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.port = free_port()
        self._programs = _programs()
        self._data = folder / "data"
        self._password = secrets.token_hex(8)
        settings = {"listen_addresses": HOST, "port": self.port, "unix_socket_directories": ""}
        options = [f"--{name}={value}" for name, value in settings.items()]
        super().__init__("PostgreSQL", [self._program("postgres"), "-D", str(self._data), *options], log)
        self.user = _unprivileged(folder)

    def url(self, database: str = OWNER) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{OWNER}:{self._password}@{HOST}:{self.port}/{database}"

    def is_healthy(self) -> bool:
        """Whether it takes connections."""
        command = [self._program("pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def format(self) -> None:
        """Make its data folder; only those who know the password may connect."""
        password = self._data.with_name("password")
        password.write_text(self._password)  # in a folder that only its user enters
        password.chmod(0o644)
        login = ["-U", OWNER, "-A", "scram-sha-256", f"--pwfile={password}"]
        self._run("initdb", "-D", str(self._data), *login, "-E", "UTF8", "--locale=C")

    def create(self, database: str) -> str:
        """Create a database; return its URL."""
        self._run("createdb", "-h", HOST, "-p", str(self.port), "-U", OWNER, database)
        return self.url(database)

    def stop(self, mode: str = "fast") -> None:
        """Let it end: ``smart`` (waits for the clients), ``fast`` or ``immediate``."""
        self._end(MODES[mode])

    def kill(self) -> None:
        """End the server and, at once, the processes of its connections, which would follow in their own time."""
        pids = self._children()
        super().kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang, with the processes of its connections."""
        self._signal_all(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def cut(self) -> None:
        """Cut every connection, in the middle of whatever it does."""
        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as connection:
            others = "pid <> pg_backend_pid() AND datname IS NOT NULL"
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in [*self._children(), *([self.pid] if self.pid is not None else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _children(self) -> list[int]:
        """Return the ids of the processes of its connections, and of its own."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._program(program), *arguments],
            cwd=self._data.parent,
            env=os.environ | {"PGPASSWORD": self._password},
            capture_output=True,
            text=True,
            check=False,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else (),
        )
        if done.returncode:
            raise StopError(f"{program} fails: {done.stdout}{done.stderr}")


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Run a server with an empty database until the block ends, its log in ``folder``.

    Its data are in a temporary folder: another user cannot enter most others.
    """
    with TemporaryDirectory(prefix="kafkajourney-", ignore_cleanup_errors=True) as data:
        server = Postgres(Path(data), folder / "postgres.log")
        server.format()
        with server:
            server.create(OWNER)
            yield server


def _programs() -> Path:
    """Return the folder of the newest installed server's programs; Debian has them outside the path."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not found and not debian:
        raise Missing("PostgreSQL's server is not installed (apt install postgresql).")
    return (Path(found) if found else debian[-1]).resolve().parent


def _unprivileged(folder: Path) -> str | None:
    """Return the user to run as: PostgreSQL refuses root. The folder becomes that user's."""
    if os.geteuid() != 0:
        return None
    user = "postgres"
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise Missing("PostgreSQL does not run as root, and there is no user postgres.") from None
    shutil.chown(folder, user, user)
    return user
