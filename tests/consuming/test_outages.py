"""Outages while consumers run: nothing is lost, nobody ends, no partition moves, no record becomes a dead letter.

The database is PostgreSQL's; or that of the server in KAFKAJOURNEY_TEST_DATABASE_URL, behind a proxy.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection, text

from kafkajourney.background import in_thread
from kafkajourney.database import engines
from kafkajourney.database.dialect import dialect_of
from kafkajourney.database.store import Store
from kafkajourney.database.views import READ_ONLY
from kafkajourney.errors import DatabaseAwayError
from kafkajourney.events import Move, Record
from kafkajourney.settings import Settings
from tests.stack import Missing, RealStack
from tests.stack.given import GIVEN
from tests.stack.real import on_given_server
from tests.support.pipeline import verified
from tests.support.processes import Commands, missing_part, wait_for
from tests.support.watched import Watched, count, outlast

pytestmark = pytest.mark.stack

POLL_INTERVAL = 7.0
"""Seconds without a poll after which the broker takes a consumer's partitions; each outage lasts longer."""


@pytest.fixture(scope="module")
def real(real: RealStack) -> Iterator[RealStack]:
    try:
        with on_given_server(real, GIVEN) as stack:
            yield stack
    except Missing as missing:
        missing_part(missing)


@pytest.fixture
def commands(real_commands: Commands) -> Commands:
    """Commands whose members may be silent for the poll interval of these tests."""
    toml = f"[kafka]\nmax.poll.interval.ms = {int(POLL_INTERVAL * 1000)}\n"
    (real_commands.folder / "kafkajourney.toml").write_text(toml)
    return real_commands


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_while_the_database_is_away_the_group_stays_as_it_is(
    real: RealStack, settings: Settings, commands: Commands, how: str
) -> None:
    consumers = {group: Watched(commands.start(f"consumers.{group}")) for group in ("journey", "analytic")}
    producer = commands.start("producer", "--rate", "100", "--count", "2500")
    wait_for(lambda: count(settings, "journey_events") > 100)
    (real.database.kill if how == "stopped" else real.database.freeze)()
    outlast(2 * POLL_INTERVAL)
    for consumer in consumers.values():
        assert consumer.running.process.poll() is None
        assert consumer.says("waiting") or consumer.says("polling goes on")
    (real.database.start if how == "stopped" else real.database.wake)()
    assert "produced 2500 events" in producer.end()
    verified(commands)
    assert count(settings, "dead_letters") == 0
    for consumer in consumers.values():
        assert not any("revoked:" in line or "lost:" in line for line in consumer.lines), "".join(consumer.lines)
        assert sum("assigned" in line for line in consumer.lines) == 1


def test_a_zombie_writes_nothing(real: RealStack, settings: Settings, commands: Commands) -> None:
    zombie = Watched(commands.start("consumers.journey"))
    wait_for(lambda: zombie.says("assigned"))
    commands.run("producer", "--rate", "0", "--count", "200")
    wait_for(lambda: count(settings, "journey_events") == 200)
    zombie.running.process.send_signal(signal.SIGSTOP)
    commands.run("producer", "--rate", "0", "--count", "300")
    heir = commands.start("consumers.journey")
    heir.read_until("assigned")
    wait_for(lambda: count(settings, "journey_events") == 500)
    commands.run("consumers.analytic", "--until-caught-up")
    before = written_at(settings)
    zombie.running.process.send_signal(signal.SIGCONT)
    wait_for(lambda: zombie.says("lost:"))
    assert written_at(settings) == before
    commands.run("producer", "--rate", "0", "--count", "100")
    commands.run("consumers.analytic", "--until-caught-up")
    verified(commands)


def test_an_owner_that_hangs_within_its_transaction_does_not_hold_its_heir_up_for_ever(
    settings: Settings, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind its fence it holds the row lock: the server ends it, and meanwhile the heir waits and says so."""
    if not settings.database_url.startswith("postgresql"):
        pytest.skip("only PostgreSQL ends a session that is idle within a transaction")
    monkeypatch.setattr("kafkajourney.database.dialects.postgresql.IDLE_SECONDS", 3)
    monkeypatch.setattr("kafkajourney.database.dialects.postgresql.LOCK_SECONDS", 1)
    woken = threading.Event()

    def hang(_connection: Connection, _records: Sequence[Record], _now: datetime) -> None:
        woken.wait()

    with engines.disposed(engines.engine(settings)) as first, engines.disposed(engines.engine(settings)) as second:
        owner = Store(first, settings, "journey", hang)
        heir = Store(second, settings, "journey", lambda *_: None)
        owner.begin({0: 0})
        row = Record(settings.topic, 0, 0, row=())
        frozen = in_thread(lambda: owner.commit([row], {0: Move(0, 1)}))
        wait_for(lambda: is_locked(settings))
        with pytest.raises(DatabaseAwayError, match="lock timeout"):
            heir.commit([], {0: Move(0, 2)})

        def is_taken_over() -> bool:
            with contextlib.suppress(DatabaseAwayError):
                heir.commit([], {0: Move(0, 2)})
                return True
            return False

        wait_for(is_taken_over)
        woken.set()
        assert isinstance(frozen.exception(30), DatabaseAwayError)  # nothing of it was written
        assert heir.progress() == {0: 2}


def test_who_only_reads_may_rest_within_its_transaction(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``verify`` does, for as long as it reads the topic; who writes is ended meanwhile by the server."""
    if not settings.database_url.startswith("postgresql"):
        pytest.skip("only PostgreSQL ends a session that is idle within a transaction")
    monkeypatch.setattr("kafkajourney.database.dialects.postgresql.IDLE_SECONDS", 1)
    me = text("SELECT pg_backend_pid()")

    with engines.disposed(engines.engine(settings)) as engine, contextlib.ExitStack() as resting:

        def begun(options: Mapping[str, Any]) -> Connection:
            return resting.enter_context(engine.connect().execution_options(**options))

        readers = [begun(READ_ONLY), begun(dialect_of(engine).one_view(engine))]
        pids = [reader.scalar(me) for reader in readers]
        writer = begun({})  # begins last: when it has been ended, the readers have rested for longer
        ended = text("SELECT COUNT(*) = 0 FROM pg_stat_activity WHERE pid = :pid").bindparams(pid=writer.scalar(me))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
            wait_for(lambda: bool(watcher.scalar(ended)))
        assert [reader.scalar(me) for reader in readers] == pids
        with pytest.raises(DatabaseAwayError, match="idle-in-transaction"), engines.sorted_errors(settings):
            writer.scalar(me)


def is_locked(settings: Settings) -> bool:
    query = "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"
    with engines.disposed(engines.engine(settings)) as engine, engine.connect() as connection:
        return bool(connection.scalar(text(query)))


def written_at(settings: Settings) -> Any:
    """Return when the group journey wrote last, and how far it is."""
    query = "SELECT MAX(updated_at), SUM(next_offset) FROM consumer_progress WHERE consumer_group = 'journey'"
    with engines.disposed(engines.engine(settings)) as engine, engine.connect() as connection:
        return connection.execute(text(query)).one()


def test_while_the_registry_is_away_a_new_schema_is_waited_for(
    real: RealStack, settings: Settings, commands: Commands
) -> None:
    consumer = commands.start("consumers.journey")
    consumer.read_until("assigned")
    producer = commands.start("producer", "--rate", "50", "--count", "400", "--echo")
    producer.read_until("producer [")
    real.registry.kill()  # the consumer has seen some schemas, hardly all of them
    outlast(3)
    real.registry.start()
    assert "produced 400 events" in producer.end()
    commands.run("consumers.analytic", "--until-caught-up")
    verified(commands)
    assert count(settings, "dead_letters") == 0
    consumer.process.send_signal(signal.SIGTERM)
    consumer.end(130)


@pytest.mark.parametrize("part", ["database", "registry", "broker"])
def test_a_consumer_that_starts_in_an_outage_waits_for_its_end(
    real: RealStack, settings: Settings, commands: Commands, part: str
) -> None:
    commands.run("producer", "--rate", "0", "--count", "100")
    servers: dict[str, Any] = {"database": real.database, "registry": real.registry, "broker": real.kafka.brokers[0]}
    servers[part].kill()
    consumers = [commands.start(f"consumers.{group}", "--until-caught-up") for group in ("journey", "analytic")]
    for consumer in consumers:
        consumer.read_until("waiting, next try in")
    servers[part].start()
    for consumer in consumers:
        consumer.end(0)
    verified(commands)


def test_while_the_broker_is_away_everyone_waits(real: RealStack, settings: Settings, commands: Commands) -> None:
    consumers = [commands.start(f"consumers.{group}") for group in ("journey", "analytic")]
    producer = commands.start("producer", "--rate", "100", "--count", "1500")
    wait_for(lambda: count(settings, "journey_events") > 100)
    real.kafka.brokers[0].kill()
    outlast(5)
    real.kafka.brokers[0].start()
    assert "produced 1500 events" in producer.end()
    verified(commands)
    for consumer in consumers:
        consumer.process.send_signal(signal.SIGTERM)
        consumer.end(130)
