"""Apache Kafka: one KRaft node that is broker and controller, or three."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kafkajourney.errors import StopError
from tests.stack.classes import archive
from tests.stack.download import java, kafka_libraries
from tests.stack.server import HOST, Server, free_port, started

NOTHING: Mapping[str, str] = {}
CONTROLLER = "CONTROLLER"
PLAIN = "PLAINTEXT"

SESSION_TIMEOUT_MS = 6_000
HEARTBEAT_INTERVAL_MS = 1_000


class Broker(Server):
    """One node: a broker that is a controller too."""

    def __init__(self, node: int, folder: Path, ports: Mapping[str, int], classes: str) -> None:
        self.node = node
        self.folder = folder
        self.ports = ports
        self.properties_file = folder / "server.properties"
        command = [*_java(classes, f"-Djava.io.tmpdir={folder}"), "kafka.Kafka", str(self.properties_file)]
        super().__init__(f"Kafka node {node}", command, folder.with_suffix(".log"))

    def address(self, listener: str = PLAIN) -> str:
        """Return its ``host:port``."""
        return f"{HOST}:{self.ports[listener]}"

    def is_healthy(self) -> bool:
        """Whether it answers, and the cluster counts it among its brokers."""
        try:
            client = AdminClient({"bootstrap.servers": self.address(), "log_level": 0})
            return self.node in client.list_topics(timeout=1).brokers
        except KafkaException:
            return False


@dataclass(frozen=True)
class Kafka:
    """A cluster."""

    brokers: list[Broker]

    def addresses(self, listener: str = PLAIN) -> str:
        """Return the ``bootstrap.servers`` of a listener."""
        return ",".join(broker.address(listener) for broker in self.brokers)


@contextmanager
def kafka(
    folder: Path,
    brokers: int = 1,
    listeners: Mapping[str, str] = NOTHING,
    properties: Mapping[str, str] = NOTHING,
    session_timeout_ms: int = SESSION_TIMEOUT_MS,
    heartbeat_interval_ms: int = HEARTBEAT_INTERVAL_MS,
) -> Iterator[Kafka]:
    """Run a cluster until the block ends, its data and logs in ``folder``.

    ``listeners`` adds to the plain one: protocols (``SSL``, ``SASL_PLAINTEXT``, ``SASL_SSL``) by name. ``properties``
    are the broker's, and win. The session timeout is that of members of groups by KIP-848.
    """
    protocols = {CONTROLLER: PLAIN, PLAIN: PLAIN, **listeners}
    classes = archive(kafka_libraries().name, _run_once)
    nodes = [
        Broker(number, folder / f"kafka-{number}", {name: free_port() for name in protocols}, classes)
        for number in range(1, brokers + 1)
    ]
    shared = {
        **_cluster(nodes, protocols),
        **_replication(brokers),
        **_groups(session_timeout_ms, heartbeat_interval_ms),
        **properties,
    }
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    for node in nodes:
        _format(node, cluster_id, {**shared, **_own(node, protocols)}, _java(classes))
    with started(nodes):
        yield Kafka(nodes)


def _run_once(classes: str) -> None:
    """Run a node with this option of the JVM, and end it in order."""
    protocols = {CONTROLLER: PLAIN, PLAIN: PLAIN}
    with TemporaryDirectory() as folder:
        node = Broker(1, Path(folder) / "kafka", {name: free_port() for name in protocols}, classes)
        shared = _cluster([node], protocols) | _replication(1) | _own(node, protocols)
        _format(node, urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="), shared, _java())
        with node:
            node.stop()


def _java(*options: str) -> list[str]:
    logging = ("defaultLogLevel=warn", "showDateTime=true", "dateTimeFormat=HH:mm:ss.SSS")
    simple_logger = [f"-Dorg.slf4j.simpleLogger.{option}" for option in logging]
    return [java(), "-Xmx512m", *simple_logger, *options, "-cp", f"{kafka_libraries()}/*"]


def _cluster(nodes: list[Broker], protocols: Mapping[str, str]) -> dict[str, str]:
    voters = [f"{node.node}@{node.address(CONTROLLER)}" for node in nodes]
    return {
        "process.roles": "broker,controller",
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": CONTROLLER,
        "inter.broker.listener.name": PLAIN,
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "auto.create.topics.enable": "false",
        # A node that was killed registers anew only after its old session has ended.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
    }


def _replication(brokers: int) -> dict[str, str]:
    copies = {"": str(brokers), "min": str(max(1, brokers - 1))}
    return {
        "default.replication.factor": copies[""],
        "min.insync.replicas": copies["min"],
        "offsets.topic.replication.factor": copies[""],
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": copies[""],
        "transaction.state.log.min.isr": copies["min"],
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": copies[""],
        "share.coordinator.state.topic.min.isr": copies["min"],
        "share.coordinator.state.topic.num.partitions": "4",
    }


def _groups(session_timeout_ms: int, heartbeat_interval_ms: int) -> dict[str, str]:
    return {
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "group.consumer.min.session.timeout.ms": str(session_timeout_ms),
        "group.consumer.session.timeout.ms": str(session_timeout_ms),
        "group.consumer.min.heartbeat.interval.ms": str(heartbeat_interval_ms),
        "group.consumer.heartbeat.interval.ms": str(heartbeat_interval_ms),
    }


def _own(node: Broker, protocols: Mapping[str, str]) -> dict[str, str]:
    addresses = {name: f"{name}://{node.address(name)}" for name in protocols}
    return {
        "node.id": str(node.node),
        "log.dirs": str(node.folder / "data"),
        "listeners": ",".join(addresses.values()),
        "advertised.listeners": ",".join(address for name, address in addresses.items() if name != CONTROLLER),
    }


def _format(node: Broker, cluster_id: str, properties: Mapping[str, str], java: Sequence[str]) -> None:
    node.folder.mkdir(parents=True)
    lines = [f"{name}={value}\n" for name, value in properties.items()]
    node.properties_file.write_text("".join(lines), encoding="utf-8")
    command = [
        *java,
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster_id}",
        "-c",
        str(node.properties_file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StopError(f"{node.name} cannot be formatted: {done.stdout}{done.stderr}")
