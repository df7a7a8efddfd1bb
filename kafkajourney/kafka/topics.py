"""Creating the topic and the groups' dead-letter topics."""

from collections.abc import Sequence
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from kafkajourney.errors import StopError
from kafkajourney.kafka import clients, reach, reading
from kafkajourney.settings import Settings

BROKER_DEFAULT = -1
FOR_EVER = -1


def dead_letter_topic(topic: str, group: str) -> str:
    """Return the name of a group's dead-letter topic."""
    return f"{topic}.{group}.dlq"


def kept(milliseconds: int) -> dict[str, str]:
    """Return what keeps records for so long, whatever the broker's defaults: they may bound the bytes, or compact."""
    return {"retention.ms": str(milliseconds), "retention.bytes": str(FOR_EVER), "cleanup.policy": "delete"}


def create(
    settings: Settings,
    groups: Sequence[str],
    partitions: int,
    replication: int = BROKER_DEFAULT,
    retention_hours: float | None = None,
) -> list[str]:
    """Create what is missing of the topic and the groups' dead-letter topics; return a sentence about each.

    ``replication`` is the number of copies. ``retention_hours`` is for the topic, 0 for ever, None the broker's
    default; dead letters are kept for ever. Raises StopError where the broker refuses, or where the topic exists with
    fewer partitions than asked for.
    """
    retention = {} if retention_hours is None else kept(int(retention_hours * 3_600_000) or FOR_EVER)
    letters = {"max.message.bytes": str(clients.DEAD_LETTER_BYTES)} | kept(FOR_EVER)
    admin = clients.admin(settings)
    existing = reading.topics(admin, settings)
    letter_topics = [dead_letter_topic(settings.topic, settings.group_id(group)) for group in groups]
    wanted = {settings.topic: partitions} | dict.fromkeys(letter_topics, 1)
    sentences = []
    for name, number in wanted.items():
        found = existing.get(name)
        if found is None:
            config = retention if name == settings.topic else letters
            _create(admin, NewTopic(name, number, replication, config=config))
            sentences.append(f"topic {name} created with {number} partitions")
        elif name == settings.topic and len(found.partitions) < number:
            raise StopError(
                f"Topic {name} has {len(found.partitions)} partitions, fewer than {number}. Adding some moves users to "
                "other partitions, and their order is kept only within one; if that is acceptable, add them with "
                f"kafka-topics --alter --topic {name} --partitions {number}."
            )
        else:
            sentences.append(f"topic {name} exists with {len(found.partitions)} partitions")
    return sentences


def _create(admin: AdminClient, topic: NewTopic) -> None:
    created: Future[None] = admin.create_topics([topic], operation_timeout=reach.REACH_TIMEOUT)[topic.topic]
    try:
        created.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another one was quicker
            raise StopError(f"The broker does not create topic {topic.topic}: {error.args[0].str()}.") from error


def configuration(admin: AdminClient, topic: str) -> dict[str, str]:
    """Return the configuration of a topic as it holds now; raise StopError where the broker does not tell it."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    try:
        told = admin.describe_configs([resource], request_timeout=reach.REACH_TIMEOUT)[resource].result()
    except KafkaException as error:
        raise StopError(f"The broker does not tell how topic {topic} is set up: {error.args[0].str()}.") from error
    return {name: entry.value for name, entry in told.items()}
