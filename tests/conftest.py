"""Fixtures: the embedded stack and the real one, and commands as the processes that users run."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadScopeScheduling

from kafkajourney import application
from kafkajourney.embedded.stack import embedded_stack, environment
from kafkajourney.settings import ENVIRONMENT, Settings
from kafkajourney.state import STATE_FOLDER
from tests.stack import Missing, RealStack, real_stack
from tests.support.processes import FULL, Commands, end_all, missing_part

# Many brokers and registries are started here, each for minutes: half the time of a start is the second compiler's.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

application.current()  # the checkout's, from here on: also for tests that work in a folder of their own

hypothesis_settings.register_profile("ours", max_examples=500 if FULL else 25, deadline=None)
hypothesis_settings.load_profile("ours")

SPREAD = {"test_logs", "test_metrics", "test_pipeline", "test_status"}
"""Files whose tests may run on different workers at once: long ones, whose fixtures are each test's own."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Keeps the tests of one file on one worker: they share what the file has started.

    Not xdist's own ``loadfile``, for ``SPREAD``; nor its ``loadgroup``, which pytest 9.2 leaves without groups.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", maxsplit=1)[0]
        return nodeid if Path(file).stem in SPREAD else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Return what gives the tests to the workers (`-n`): in the order of the collection, not the largest file first."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


LONGEST = ("test_security", "test_outages", "test_partition_faults", "test_own_application", "test_chaos", "test_fuzz")
"""Files that keep one worker busy for a minute or more: they begin first, so that none is left alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests first that start servers and wait: what only computes fills the gaps at the end."""
    items.sort(key=lambda item: (item.path.stem not in LONGEST, item.get_closest_marker("stack") is None))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("KAFKAJOURNEY_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    """Real Kafka and a real registry, once for all tests; each takes a topic and a database of its own (``fresh``)."""
    try:
        with real_stack(tmp_path_factory.mktemp("real"), with_postgres=True) as stack:
            yield stack
    except Missing as missing:
        missing_part(missing)


@pytest.fixture(params=["embedded", "real"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """The same tests run on the embedded stack and on the real one."""
    if request.param == "embedded":
        with embedded_stack(tmp_path / STATE_FOLDER) as settings:
            yield settings
    else:
        real: RealStack = request.getfixturevalue("real")
        yield real.fresh(f"test-{uuid.uuid4().hex[:12]}")
        print(real.last_lines())  # shown where the test fails


@pytest.fixture
def commands(stack: Settings, tmp_path: Path) -> Iterator[Commands]:
    """Commands that use the stack, in a folder of their own."""
    made = Commands(tmp_path, environment(stack))
    yield made
    end_all(made)


@pytest.fixture
def settings(real: RealStack) -> Iterator[Settings]:
    """The real stack, with a topic and a PostgreSQL database of the test's own; what fails shows the logs' ends."""
    yield real.fresh(f"test-{uuid.uuid4().hex[:12]}", on_postgres=True)
    print(real.last_lines())


@pytest.fixture
def real_commands(settings: Settings, tmp_path: Path) -> Iterator[Commands]:
    """Commands that use the real stack as the module's ``settings`` say, in a folder of their own."""
    made = Commands(tmp_path, environment(settings))
    yield made
    end_all(made)


@pytest.fixture
def lone_commands(tmp_path: Path) -> Iterator[Commands]:
    """Commands for which nothing runs: each of their addresses is one where nobody listens."""
    nowhere = {
        ENVIRONMENT["bootstrap_servers"]: "127.0.0.1:1",
        ENVIRONMENT["schema_registry_url"]: "http://127.0.0.1:1",
        ENVIRONMENT["database_url"]: f"sqlite:///{tmp_path}/empty.db",
    }
    made = Commands(tmp_path, {name: value for name, value in os.environ.items() if name not in nowhere} | nowhere)
    yield made
    end_all(made)
