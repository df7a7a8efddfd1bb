"""The pipeline on Apache Kafka itself and a real registry: what the embedded stack only stands in for."""

import signal
from collections.abc import Iterator

import pytest

from kafkajourney.avro.catalogue import load
from kafkajourney.registry.client import Registry
from kafkajourney.registry.subjects import union_subject
from kafkajourney.schemas.register import register
from kafkajourney.settings import Settings
from tests.stack import RealStack
from tests.support.pipeline import rows, verified
from tests.support.processes import Commands, Running, wait_for

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(real: RealStack, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings with a topic and a database of the test's own; a test that fails shows the logs' ends."""
    yield real.fresh(request.node.name.removeprefix("test_")[:60])
    print(real.last_lines())


def start_consumers(commands: Commands) -> list[Running]:
    groups = ("journey", "journey", "journey", "analytic", "analytic")
    consumers = [commands.start(f"consumers.{group}") for group in groups]
    for consumer in consumers:
        consumer.read_until("reading")
    return consumers


def stop_consumers(consumers: list[Running]) -> None:
    for consumer in consumers:
        consumer.process.send_signal(signal.SIGTERM)
    for consumer in consumers:
        consumer.end(130)


def stored(settings: Settings) -> int:
    [(count,)] = rows(settings, "SELECT COUNT(*) FROM journey_events")
    return int(count)


def registered(settings: Settings) -> list[tuple[str, int, int]]:
    registry = Registry(settings)
    with registry.client:
        return list(register(registry, load(), settings.topic))


def test_schemas_are_registered_once(settings: Settings) -> None:
    first = registered(settings)
    assert first == registered(settings)
    assert [(subject, version) for subject, version, _ in first if subject.endswith("VideoPlayed")] == [
        ("kafkajourney.events.VideoPlayed", 1),
        ("kafkajourney.events.VideoPlayed", 2),
    ]
    assert first[-1][:2] == (union_subject(settings.topic), 1)


def test_schemas_outlive_a_kill_of_the_registry(real: RealStack, settings: Settings) -> None:
    before = registered(settings)
    real.registry.kill()
    real.registry.start()
    assert registered(settings) == before


def test_events_pass_through_both_groups(settings: Settings, real_commands: Commands) -> None:
    consumers = start_consumers(real_commands)
    assert "produced 3000 events" in real_commands.run("producer", "--rate", "0", "--count", "3000")
    verified(real_commands)
    stop_consumers(consumers)


def test_a_killed_broker_that_comes_back_costs_nothing(
    real: RealStack, settings: Settings, real_commands: Commands
) -> None:
    consumers = start_consumers(real_commands)
    producer = real_commands.start("producer", "--rate", "400", "--count", "4000")
    wait_for(lambda: stored(settings) > 400)
    real.kafka.brokers[0].kill()
    real.kafka.brokers[0].start()
    assert "produced 4000 events" in producer.end()
    verified(real_commands)
    stop_consumers(consumers)
