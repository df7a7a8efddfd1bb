"""``/healthz`` and ``/readyz``: right at rest, and during an outage alive but not ready, with the reason."""

import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry
from werkzeug.test import Client

from kafkajourney.database import engines
from kafkajourney.errors import (
    DatabaseAwayError,
    KafkaJourneyError,
    PartitionError,
    RegistryAwayError,
    SettingsError,
    StopError,
)
from kafkajourney.kafka import clients
from kafkajourney.settings import DEFAULTS, Settings
from kafkajourney.watching.health import ALIVE_FOR, ConsumerHealth, Health, Probe, ask_database
from kafkajourney.watching.monitoring import monitored_consumer, monitored_producer
from kafkajourney.watching.monitors import Address
from kafkajourney.watching.observer import Observer
from kafkajourney.watching.producer_metrics import ProducerMetrics
from kafkajourney.watching.server import application
from kafkajourney.web import WebServer
from tests.stack import RealStack
from tests.stack.server import HOST
from tests.support.loop import Bench, Message
from tests.support.observed import Observed, collected
from tests.support.processes import Commands, wait_for

NOWHERE = Settings("127.0.0.1:1", "http://127.0.0.1:1", "sqlite://", DEFAULTS["topic"])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def probe(part: str, error: Exception | None = None) -> Probe:
    """Return a probe that was asked once."""

    def ask() -> None:
        if error is not None:
            raise error

    made = Probe(part, ask)
    made.ask()
    return made


# --- alive ------------------------------------------------------------------------------------------------------


def test_a_process_is_alive_as_long_as_its_loop_goes_round() -> None:
    clock = Clock()
    health = Health([], clock)
    clock.now += ALIVE_FOR
    assert health.why_dead() == []
    clock.now += 1
    assert health.why_dead() == health.why_not_ready() == ["the loop has not gone round for 61 s"]
    health.polled()
    assert health.why_dead() == []


def test_a_loop_that_waits_for_a_database_that_hangs_goes_round() -> None:
    polls = 0

    class Counted(Observer):
        def polled(self) -> None:
            nonlocal polls
            polls += 1

    bench = Bench(Counted(), patience=0.01)
    bench.assign(0)
    bench.turn()
    polls = 0
    bench.turn_late(Message(0, 0, b"a"))
    assert polls > 1


# --- ready ------------------------------------------------------------------------------------------------------


def test_a_consumer_is_ready_with_partitions_or_idle() -> None:
    health = ConsumerHealth([])
    assert health.why_not_ready() == ["no partition is assigned yet"]
    health.assigned([0, 1])
    health.revoked([1], lost=False)
    assert health.why_not_ready() == []
    health.revoked([0], lost=True)
    assert health.why_not_ready() == ["no partition is assigned yet"]
    health.idle()
    assert health.why_not_ready() == []
    health.assigned([2])
    health.revoked([2], lost=False)
    assert health.why_not_ready() == ["no partition is assigned yet"]


def test_a_consumer_with_a_stopped_partition_is_not_ready_and_says_why() -> None:
    health = ConsumerHealth([])
    health.assigned([0, 1])
    health.stopped(1, PartitionError("t [1] cannot be read on at offset 7"))
    assert health.why_not_ready() == ["t [1] cannot be read on at offset 7"]
    health.settled({0: 5})
    assert health.why_not_ready() == ["t [1] cannot be read on at offset 7"]
    health.settled({1: 9})
    assert health.why_not_ready() == []
    health.stopped(1, PartitionError("again"))
    health.revoked([1], lost=False)
    assert health.why_not_ready() == []


def test_a_process_is_not_ready_while_a_part_is_away_or_was_not_asked() -> None:
    health = Health(
        [probe("database"), probe("registry", RegistryAwayError("No registry\nanswers")), Probe("broker", int)]
    )
    reasons = ["the registry is away: No registry answers", "the broker has not been asked yet"]
    assert health.why_not_ready() == reasons
    assert health.why_dead() == []


def test_an_error_of_a_kind_that_nobody_expects_is_a_reason_too() -> None:
    assert probe("database", ValueError("what")).complaint == "the database is away: ValueError: what"


def test_a_part_that_hangs_counts_as_away_until_it_answers_and_is_asked_once_meanwhile() -> None:
    hang, questions = threading.Event(), 0

    def ask() -> None:
        nonlocal questions
        questions += 1
        hang.wait()

    hanging = Probe("database", ask)
    for _ in range(20):
        hanging.ask(patience=0.01)
        assert hanging.complaint == "the database has not answered for 0 s"
    assert questions == 1  # one thread, one connection, however long it lasts
    hang.set()
    hanging.ask()
    assert hanging.complaint == ""
    hanging.ask()
    assert questions == 2


def test_a_probe_asks_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafkajourney.watching.health.ASK_EVERY", 0)
    stop, asked = threading.Event(), 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            stop.set()

    Probe("database", ask).watch(stop)
    assert asked == 3


def test_the_database_is_asked_for_what_the_consumers_need(tmp_path: Path) -> None:
    (tmp_path / "some.db").touch()
    settings = Settings("127.0.0.1:1", "http://127.0.0.1:1", f"sqlite:///{tmp_path}/some.db", "t")
    with (
        engines.disposed(engines.engine(settings)) as engine,
        pytest.raises(KafkaJourneyError, match="no such table"),
    ):
        ask_database(engine, settings)


@pytest.mark.parametrize("error", [DatabaseAwayError("gone"), StopError("refused")])
def test_what_is_ready_and_reachable_is_a_metric(error: Exception) -> None:
    registry = CollectorRegistry()
    registry.register(Health([probe("database", error), probe("broker")]))
    assert collected(registry)["ready"] == {(): 0}
    assert collected(registry)["reachable"] == {("database",): 0, ("broker",): 1}


# --- pages ------------------------------------------------------------------------------------------------------


def get(health: Health, path: str) -> tuple[int, str]:
    answer = Client(application(ProducerMetrics().registry, health)).get(path)
    return answer.status_code, answer.get_data(as_text=True)


def test_pages_say_ok_or_why_not_in_one_line() -> None:
    health = Health([probe("database", DatabaseAwayError("gone")), probe("broker", StopError("refused"))])
    assert get(health, "/healthz") == (200, "ok\n")
    assert get(health, "/readyz") == (503, "the database is away: gone; the broker is away: refused\n")
    assert get(Health([]), "/readyz") == (200, "ok\n")


def test_metrics_are_at_their_own_page_only() -> None:
    status, text = get(Health([]), "/metrics")
    assert status == 200
    assert "# TYPE kafkajourney_queue_events gauge" in text
    assert get(Health([]), "/") == (404, "There are only /metrics, /healthz, /readyz.\n")


# --- options ----------------------------------------------------------------------------------------------------


def test_without_a_port_nothing_is_served_and_nothing_observed() -> None:
    threads = threading.active_count()
    with monitored_consumer(None, NOWHERE, "journey") as consumer, monitored_producer(None, NOWHERE) as producer:
        assert type(consumer.observer) is Observer
        assert consumer.on_statistics is producer.on_statistics is None
        assert threading.active_count() == threads


def test_the_server_ends_with_the_process_it_tells_of() -> None:
    address = Address(HOST, 0)
    with monitored_producer(address, NOWHERE):
        (serving,) = [thread for thread in threading.enumerate() if thread.name == "metrics"]
        assert serving.is_alive()
    wait_for(lambda: not serving.is_alive())


@pytest.mark.stack
def test_silent_connections_take_no_thread_each_and_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafkajourney.web.SILENT_SECONDS", 2)
    monkeypatch.setattr("kafkajourney.web.CONNECTIONS", 50)
    with WebServer(HOST, 0, application(CollectorRegistry(), Health([])), "test") as server, ExitStack() as sockets:
        before = {thread.name for thread in threading.enumerate()}
        silent = [sockets.enter_context(socket.create_connection((HOST, server.port))) for _ in range(200)]
        with urlopen(f"http://{HOST}:{server.port}/healthz", timeout=60) as answer:  # waits for those before it
            assert answer.read() == b"ok\n"
        assert {thread.name for thread in threading.enumerate()} <= before
        assert silent[0].recv(1) == b""  # closed by the server


@pytest.mark.parametrize("host", [HOST, "no.such.host.invalid"])
def test_a_port_that_cannot_be_had_is_a_sentence(host: str) -> None:
    with socket.create_server((HOST, 0)) as taken:
        address = Address(host, taken.getsockname()[1])
        with (
            pytest.raises(SettingsError, match=rf"^Metrics cannot be served at {host}:\d+: [\w ]+\. Choose another"),
            monitored_producer(address, NOWHERE),
        ):
            pass


@pytest.mark.stack
@pytest.mark.parametrize("command", [("producer", "--count", "1"), ("consumers.journey", "--until-caught-up")])
def test_a_port_in_use_ends_the_command_with_2(lone_commands: Commands, command: tuple[str, ...]) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        output = lone_commands.run(*command, code=2, variables={"KAFKAJOURNEY_METRICS_PORT": port})
    assert f"Metrics cannot be served at {HOST}:{port}: Address already in use. Choose another" in output


@pytest.mark.parametrize(("given", "expected"), [({}, "2000"), ({"statistics.interval.ms": "250"}, "250")])
def test_statistics_come_where_somebody_listens_as_often_as_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str
) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(clients, "Consumer", made.append)
    monkeypatch.setattr(clients, "Producer", made.append)
    settings = Settings("127.0.0.1:1", "http://127.0.0.1:1", "sqlite://", "t", kafka=given)
    told: list[object] = []
    clients.consumer(settings, "journey", told.append, told.append)
    clients.producer(settings, told.append)
    clients.consumer(settings, "journey")
    assert [str(properties.get("statistics.interval.ms")) for properties in made[:2]] == [expected] * 2
    for properties in made[:2]:
        properties["stats_cb"]('{"topics": {}}')
    assert told == [{"topics": {}}] * 3
    assert "stats_cb" not in made[2]


# --- the real thing ---------------------------------------------------------------------------------------------


@pytest.mark.stack
@pytest.mark.parametrize("part", ["registry", "broker"])
def test_during_an_outage_a_consumer_is_alive_and_not_ready(
    real: RealStack, settings: Settings, real_commands: Commands, part: str
) -> None:
    server = real.registry if part == "registry" else real.kafka.brokers[0]
    consumer = Observed(real_commands, "consumers.journey")
    wait_for(consumer.is_ready)
    server.kill()
    wait_for(lambda: consumer.is_held_up_by(part), 10)
    server.start()
    wait_for(consumer.is_ready, 10)
    real_commands.run("producer", "--rate", "0", "--count", "20")
    wait_for(lambda: consumer.total("stored_events_total") == 20)


@pytest.mark.stack
def test_a_registry_that_hangs_is_away(real: RealStack, settings: Settings, real_commands: Commands) -> None:
    consumer = Observed(real_commands, "consumers.journey")
    wait_for(consumer.is_ready)
    real.registry.freeze()
    try:
        wait_for(lambda: consumer.is_held_up_by("registry"), 10)
    finally:
        real.registry.wake()
    wait_for(consumer.is_ready, 10)


@pytest.mark.stack
def test_a_consumer_for_which_no_partition_is_left_is_ready(settings: Settings, real_commands: Commands) -> None:
    consumers = [Observed(real_commands, "consumers.journey") for _ in range(4)]
    wait_for(lambda: [consumer.is_ready() for consumer in consumers] == [True] * 4)
    wait_for(lambda: sorted(len(consumer.partitions()) for consumer in consumers) == [0, 1, 1, 1])
    wait_for(lambda: [consumer.is_ready() for consumer in consumers] == [True] * 4)
