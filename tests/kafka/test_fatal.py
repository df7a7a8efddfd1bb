"""Errors after which a Kafka client never works again: known as such, with the cause and what to set."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from kafkajourney.embedded.registry import RegistryServer
from kafkajourney.embedded.stack import environment
from kafkajourney.settings import Settings
from tests.stack import Missing
from tests.stack.kafka import Kafka, kafka
from tests.stack.real import prepare
from tests.support.processes import Commands, end_all, missing_part, wait_for
from tests.support.watched import Watched

pytestmark = pytest.mark.stack

SASL = "SASL_PLAINTEXT"
READER, PASSWORD = "reader", "reader-secret"


class Place:
    """A broker with what the commands need beside it, and the commands."""

    def __init__(self, folder: Path, parts: ExitStack, **options: object) -> None:
        try:
            self.kafka: Kafka = parts.enter_context(kafka(folder / "kafka", **options))  # type: ignore[arg-type]
        except Missing as missing:
            missing_part(missing)
        registry = parts.enter_context(RegistryServer())
        url = f"sqlite:///{folder}/journey.db"
        self.settings = Settings(self.kafka.addresses(), registry.url, url, "user-journey")
        prepare(self.settings)
        self.commands = Commands(folder, environment(self.settings))
        parts.callback(end_all, self.commands)

    def set(self, properties: str) -> None:
        (self.commands.folder / "kafkajourney.toml").write_text(f"[kafka]\n{properties}\n")


@pytest.fixture
def classic(tmp_path: Path) -> Iterator[Place]:
    """A broker of Kafka 4 that serves the classic group protocol only."""
    with ExitStack() as parts:
        yield Place(tmp_path, parts, properties={"group.coordinator.rebalance.protocols": "classic"})


def test_a_broker_that_does_not_serve_the_group_protocol_is_no_outage(classic: Place) -> None:
    told = classic.commands.run("consumers.journey", code=1)
    assert '"group.protocol" = "classic" and "partition.assignment.strategy" = "cooperative-sticky" in [kafka]' in told
    classic.set('group.protocol = "classic"\npartition.assignment.strategy = "cooperative-sticky"')
    classic.commands.run("consumers.journey", "--until-caught-up")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_two_consumers_with_one_instance_id_are_no_outage(tmp_path: Path, protocol: str) -> None:
    with ExitStack() as parts:
        place = Place(tmp_path, parts)
        eager = 'group.protocol = "classic"\n' if protocol == "classic" else ""
        place.set(f'{eager}group.instance.id = "one"')
        first = Watched(place.commands.start("consumers.journey"))
        wait_for(lambda: first.says("assigned"))
        second = Watched(place.commands.start("consumers.journey"))
        processes = [first.running.process, second.running.process]
        wait_for(lambda: any(process.poll() is not None for process in processes))
        ended = next(one for one in (first, second) if one.running.process.poll() is not None)
        assert ended.running.process.returncode == 1
        wait_for(lambda: ended.says("Give each consumer a group.instance.id of its own in [kafka], or none."))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Place]:
    """A broker on which one user may read everything and write nowhere."""
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{login} user_{READER}="{PASSWORD}";',
    }
    with ExitStack() as parts:
        place = Place(tmp_path, parts, listeners={SASL: SASL}, properties=properties)
        allow_reading(place.settings)
        place.commands.variables["KAFKAJOURNEY_BOOTSTRAP_SERVERS"] = place.kafka.addresses(SASL)
        credentials = f'sasl.mechanism = "PLAIN"\nsasl.username = "{READER}"\nsasl.password = "{PASSWORD}"'
        place.set(f'security.protocol = "{SASL}"\n{credentials}')
        yield place


def allow_reading(settings: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    rules = [
        AclBinding(kind, "*", ResourcePatternType.LITERAL, f"User:{READER}", "*", operation, AclPermissionType.ALLOW)
        for kind in (ResourceType.TOPIC, ResourceType.GROUP)
        for operation in (AclOperation.READ, AclOperation.DESCRIBE)
    ]
    for done in admin.create_acls(rules).values():
        done.result(timeout=30)


def test_a_user_who_may_write_no_dead_letter_is_told_so(guarded: Place) -> None:
    producer = Producer({"bootstrap.servers": guarded.settings.bootstrap_servers})
    producer.produce(guarded.settings.topic, key=b"ada", value=b"poison")
    assert producer.flush(30) == 0
    told = guarded.commands.run("consumers.journey", "--until-caught-up", code=1)
    assert "Topic user-journey.journey.dlq does not take a dead letter: " in told
    assert "Allow the user to write to it" in told
    assert PASSWORD not in told


def test_a_producer_whose_user_may_not_write_is_told_so(guarded: Place) -> None:
    told = guarded.commands.run("producer", "--rate", "0", "--count", "10", code=1)
    assert "Allow the user to write to user-journey" in told
    assert PASSWORD not in told
