"""Everything at fault at once in a cluster of three: each fault is told, the healthy partitions go on, nothing is lost.

How long it took is printed (``pytest -s``): it is measured, not asserted.
"""

import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from consumers import GROUPS
from consumers.journey.table import journey_events
from kafkajourney.avro.catalogue import load
from kafkajourney.background import in_thread
from kafkajourney.database import engines
from kafkajourney.database.tables import consumer_progress
from kafkajourney.embedded.stack import environment
from kafkajourney.kafka import clients, reading, topics
from kafkajourney.registry.client import Registry
from kafkajourney.schemas.register import register
from kafkajourney.settings import Settings
from tests.stack import Missing, RealStack, real_stack
from tests.support.pipeline import verified
from tests.support.processes import Commands, end_all, missing_part, wait_for
from tests.support.watched import Watched, count, outlast, progress_of

pytestmark = pytest.mark.stack

RATE = 1000
"""Events a second."""

PARTITIONS = 6

KAFKA_DEFAULTS = {"broker.session.timeout.ms": "9000", "broker.heartbeat.interval.ms": "2000"}
"""How soon a broker that is frozen is known to be away."""

SLOW = 6.0
"""Seconds that the database takes to answer."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    folder = tmp_path_factory.mktemp("cluster")
    try:
        with real_stack(folder, brokers=3, with_postgres=True, properties=KAFKA_DEFAULTS) as stack:
            yield stack
            print(stack.last_lines())  # shown where the test fails
    except Missing as missing:
        missing_part(missing)


class Application:
    """A topic with one copy of each partition, a database, and the commands for them."""

    def __init__(self, cluster: RealStack, folder: Path, topic: str) -> None:
        self.settings = replace(cluster.empty_database(topic, on_postgres=True), topic=topic)
        self.create()
        registry = Registry(self.settings)
        with registry.client:
            for _ in register(registry, load(), topic):
                pass
        self.commands = Commands(folder, environment(self.settings))
        self.consumers: list[Watched] = []

    def create(self) -> None:
        topics.create(self.settings, [group.name for group in GROUPS], PARTITIONS, replication=1)

    def make_anew(self) -> None:
        """Delete the topic, and create it with fewer events."""
        admin = clients.admin(self.settings)
        admin.delete_topics([self.settings.topic])[self.settings.topic].result(30)
        wait_for(lambda: self.settings.topic not in reading.topics(admin, self.settings))
        self.create()
        self.produce(60)

    def produce(self, number: int) -> None:
        self.commands.run("producer", "--rate", "0", "--count", str(number))

    def leaders(self) -> dict[int, int]:
        found = reading.topics(clients.admin(self.settings), self.settings)[self.settings.topic].partitions
        return {number: partition.leader for number, partition in found.items()}

    def consumer(self, group: str) -> Watched:
        self.consumers.append(Watched(self.commands.start(f"consumers.{group}")))
        return self.consumers[-1]

    def delays(self, since: float, partitions: set[int]) -> list[float]:
        """Return how many seconds each event since that moment took into the table."""
        of = journey_events.c
        query = select(of.occurred_at, of.stored_at).where(of.partition.in_(partitions))
        with engines.disposed(engines.engine(self.settings)) as engine, engine.connect() as connection:
            rows = connection.execute(query).all()
        return [(stored - occurred).total_seconds() for occurred, stored in rows if occurred.timestamp() >= since]


@pytest.fixture
def applications(cluster: RealStack, tmp_path: Path) -> Iterator[tuple[Application, Application]]:
    flow, anew = Application(cluster, tmp_path, "flow"), Application(cluster, tmp_path, "anew")
    yield flow, anew
    for application in (flow, anew):
        print(*(line for consumer in application.consumers for line in consumer.lines))  # shown where the test fails
        end_all(application.commands)


def test_each_fault_is_told_and_the_healthy_partitions_go_on(
    cluster: RealStack, applications: tuple[Application, Application]
) -> None:
    flow, anew = applications
    flow.produce(600)
    anew.produce(600)
    leaders, nodes, corrupt = flow.leaders(), {node.node: node for node in cluster.kafka.brokers}, 0
    frozen = next(node for number, node in nodes.items() if number != leaders[corrupt])
    led = {p for p, leader in leaders.items() if leader == frozen.node}
    healthy = set(leaders) - led - {corrupt}
    segment = nodes[leaders[corrupt]].folder / "data" / f"flow-{corrupt}" / f"{0:020}.log"
    place = segment.stat().st_size - 3
    flip_a_bit(segment, place)
    journey, analytic, of_anew = flow.consumer("journey"), flow.consumer("analytic"), anew.consumer("analytic")
    told = times({"a corrupt batch": lambda: journey.says(f"stopped: flow [{corrupt}] cannot be read on at offset")})
    producer = flow.commands.start("producer", "--rate", str(RATE))
    wait_for(lambda: count(flow.settings, "journey_events") > 3 * RATE)
    wait_for(lambda: sum(progress_of(anew.settings, "analytic").values()) == 600)

    began = time.time()
    anew.make_anew()
    frozen.freeze()
    slow = in_thread(lambda: lock(flow.settings, "analytic", min(healthy)))
    told |= times(
        {
            "a topic made anew": lambda: of_anew.says("the one that is there now was made anew"),
            "a database that is slow": lambda: analytic.says("the database has not answered for 5 s"),
            "a broker that is frozen": lambda: journey.says(f"nothing comes of flow {sorted(led)}"),
        }
    )
    slow.result(60)
    lasted, delays = time.time() - began, flow.delays(began, healthy)

    frozen.wake()
    flip_a_bit(segment, place)
    for consumer in (journey, analytic):  # what has stopped is looked at again only each minute
        consumer.running.process.send_signal(signal.SIGTERM)
        assert consumer.running.process.wait(60) == 130
    journey, analytic = flow.consumer("journey"), flow.consumer("analytic")
    producer.process.send_signal(signal.SIGTERM)
    produced = re.search(r"produced (\d+) events", producer.end(130))
    assert produced
    wait_for(lambda: count(flow.settings, "journey_events") == 600 + int(produced[1]))
    verified(flow.commands)
    assert count(flow.settings, "dead_letters") == 0
    print(f"in {lasted:.0f} s {len(delays)} events of healthy partitions, the longest delay {max(delays):.2f} s")
    for fault, seconds in told.items():
        print(f"{fault}: told after {seconds:.1f} s")


def times(conditions: Mapping[str, Callable[[], bool]]) -> dict[str, float]:
    """Wait until all hold; return after how many seconds each did."""
    began, found = time.monotonic(), dict[str, float]()

    def hold() -> bool:
        for name, holds in conditions.items():
            if name not in found and holds():
                found[name] = time.monotonic() - began
        return len(found) == len(conditions)

    try:
        wait_for(hold)
    finally:
        print(f"told: {found}, of {list(conditions)}")
    return found


def flip_a_bit(segment: Path, place: int) -> None:
    """Change one bit of a record, below the running broker; a second time, change it back."""
    with segment.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def lock(settings: Settings, group: str, partition: int) -> None:
    """Hold the row of a partition's progress, so that the database does not answer who wants to change it."""
    of = consumer_progress.c
    row = select(of.next_offset).where(of.consumer_group == group, of.partition == partition).with_for_update()
    with engines.disposed(engines.engine(settings)) as engine, engine.begin() as connection:
        connection.execute(row)
        outlast(SLOW)
