"""A cluster of three nodes: one is killed under load and comes back, and nothing is lost or doubled."""

import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import PartitionMetadata

from kafkajourney.avro.catalogue import load
from kafkajourney.embedded.stack import environment
from kafkajourney.kafka import clients, reading, topics
from kafkajourney.registry.client import Registry
from kafkajourney.schemas.register import register
from kafkajourney.settings import Settings
from tests.stack import Missing, RealStack, real_stack
from tests.support.pipeline import rows, verified
from tests.support.processes import Commands, Running, end_all, missing_part, wait_for
from tests.support.watched import Watched, progress_of

pytestmark = pytest.mark.stack

RATE = 300
DEADLINE = 120.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    try:
        with real_stack(tmp_path_factory.mktemp("cluster"), brokers=3) as stack:
            yield stack
            print(stack.last_lines())  # shown where the test fails
    except Missing as missing:
        missing_part(missing)


@pytest.fixture
def cluster_commands(cluster: RealStack, tmp_path: Path) -> Iterator[Commands]:
    made = Commands(tmp_path, environment(cluster.settings))
    yield made
    end_all(made)


def test_a_broker_of_three_is_killed_under_load_and_comes_back(cluster: RealStack, cluster_commands: Commands) -> None:
    settings = cluster.settings
    assert replicas(settings) == {0: 3, 1: 3, 2: 3}
    assert least_in_sync(settings) == 2
    consumers = [cluster_commands.start(f"consumers.{group}") for group in (*["journey"] * 3, *["analytic"] * 2)]
    for consumer in consumers:
        consumer.read_until("reading")
    producer = cluster_commands.start("producer", "--rate", str(RATE))
    wait_for(lambda: stored(settings) > RATE, DEADLINE)
    node = cluster.kafka.brokers[leaders(settings)[0] - 1]  # one that leads a partition of the topic
    node.kill()
    wait_for(lambda: node.node not in leaders(settings).values(), DEADLINE)
    at_loss = stored(settings)
    wait_for(lambda: stored(settings) > at_loss + RATE, DEADLINE)  # two nodes are enough to go on
    node.start()
    wait_for(lambda: set(in_sync(settings).values()) == {3}, DEADLINE)
    producer.process.send_signal(signal.SIGTERM)
    produced = re.search(r"produced (\d+) events", producer.end(130))
    assert produced
    verified(cluster_commands)
    assert stored(settings) == int(produced[1])
    end(consumers)


def test_a_partition_without_a_leader_holds_up_itself_alone(cluster: RealStack, cluster_commands: Commands) -> None:
    settings = replace(cluster.empty_database("alone"), topic="alone")
    topics.create(settings, ["journey", "analytic"], 3, replication=1)
    registry = Registry(settings)
    with registry.client:
        for _ in register(registry, load(), settings.topic):
            pass
    commands = Commands(cluster_commands.folder, environment(settings))
    commands.run("producer", "--rate", "0", "--count", "600")
    ends, lone = reading.end_offsets(settings), 0
    node = cluster.kafka.brokers[leaders(settings)[lone] - 1]
    healthy = {p: end for p, end in ends.items() if leaders(settings)[p] != node.node}
    node.kill()
    wait_for(lambda: leaders(settings)[lone] < 0, DEADLINE)
    consumer = Watched(commands.start("consumers.journey"))  # it starts in the middle of it
    wait_for(lambda: {p: progress_of(settings, "journey").get(p) for p in healthy} == healthy, DEADLINE)
    wait_for(lambda: consumer.says(f"alone [{lone}] has no leader (alone [{lone}])"))
    assert consumer.running.process.poll() is None
    node.start()
    commands.run("consumers.analytic", "--until-caught-up")
    wait_for(lambda: stored(settings) == 600, DEADLINE)
    verified(commands)
    end_all(commands)


def stored(settings: Settings) -> int:
    [(count,)] = rows(settings, "SELECT COUNT(*) FROM journey_events")
    return int(count)


def replicas(settings: Settings) -> dict[int, int]:
    return {number: len(p.replicas) for number, p in partitions(settings).items()}


def least_in_sync(settings: Settings) -> int:
    """Return how many replicas have to have a record before the producer is told so."""
    admin = clients.admin(settings)  # kept: without it the answer never comes
    topic = ConfigResource(ConfigResource.Type.TOPIC, settings.topic)
    return int(admin.describe_configs([topic])[topic].result(timeout=30)["min.insync.replicas"].value)


def in_sync(settings: Settings) -> dict[int, int]:
    return {number: len(p.isrs) for number, p in partitions(settings).items()}


def leaders(settings: Settings) -> dict[int, int]:
    return {number: p.leader for number, p in partitions(settings).items()}


def partitions(settings: Settings) -> dict[int, PartitionMetadata]:
    return reading.topics(clients.admin(settings), settings)[settings.topic].partitions


def end(consumers: list[Running]) -> None:
    for consumer in consumers:
        consumer.process.send_signal(signal.SIGTERM)
    for consumer in consumers:
        consumer.end(130)
