"""The doctor: looks at everything a command needs, in the order in which it is needed, and says what to do."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from confluent_kafka.schema_registry import Schema

from kafkajourney import application
from kafkajourney.avro.catalogue import load
from kafkajourney.database import engines, revisions
from kafkajourney.errors import KafkaJourneyError
from kafkajourney.kafka import clients, reach, reading, topics
from kafkajourney.registry.client import NotRegisteredError, Registry
from kafkajourney.settings import TOML_FILE, Settings
from kafkajourney.settings.masking import is_secret, masked
from kafkajourney.settings.variables import variable_of


class Finding(NamedTuple):
    """What was found of one part."""

    part: str
    well: bool | None
    """None for what is shown and not judged."""
    text: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each part; of parts that need one another, the first that is not well is the last."""
    yield from settings_shown(settings)
    chains: tuple[dict[str, Callable[[Settings], str]], ...] = (
        {"broker": _broker, "topic": _topic, "dead letters": _dead_letters},
        {"registry": _registry, "schemas": _schemas},
        {"driver": _driver, "database": _database, "revision": _revision},
    )
    for chain in chains:
        for part, look in chain.items():
            try:
                yield Finding(part, well=True, text=look(settings))
            except KafkaJourneyError as error:
                yield Finding(part, well=False, text=str(error))
                break


def settings_shown(settings: Settings) -> Iterator[Finding]:
    """Yield each setting and property with where it comes from, secrets masked."""
    for name, source in sorted(settings.sources.items(), key=lambda item: item[0].rpartition(" ")[2]):
        yield Finding("setting", well=None, text=_setting(settings, name, source))


def _setting(settings: Settings, name: str, source: str) -> str:
    """Return a value with where it comes from, secrets masked."""
    table, _, key = name.partition(" ")
    if not key:
        value = getattr(settings, f"safe_{name}", None) or getattr(settings, name)
        return f"{name} = {value or 'none'} ({source})"
    value = masked(key, str(getattr(settings, table)[key]))
    if is_secret(key) and source.startswith(TOML_FILE):
        source += f"; a secret: move it to {variable_of(table, key)} in .env, which git ignores"
    return f"{key} = {value} ({source})"


def _broker(settings: Settings) -> str:
    metadata = reach.reach(lambda: clients.admin(settings).list_topics(timeout=reach.REACH_TIMEOUT), settings)
    kind = "the embedded one of this folder" if settings.embedded else f"{len(metadata.brokers)} in the cluster"
    return f"answers at {settings.bootstrap_servers} ({kind})"


def _topic(settings: Settings) -> str:
    client = clients.admin(settings)
    partitions = reading.partitions_of(client, settings)
    metadata = reading.topics(client, settings)[settings.topic].partitions
    ill = [p for p in partitions if metadata[p].leader < 0 or len(metadata[p].isrs) < len(metadata[p].replicas)]
    if ill:
        raise KafkaJourneyError(
            f"Partitions {ill} of {settings.topic} have no leader or too few replicas in sync. Look at the brokers."
        )
    return f"{settings.topic} has {len(partitions)} partitions"


def _dead_letters(settings: Settings) -> str:
    """Look whether the broker keeps dead letters for ever, which its own defaults may not."""
    names = [
        topics.dead_letter_topic(settings.topic, settings.group_id(group)) for group in application.current().groups
    ]
    if settings.embedded:
        return "are kept until the embedded broker ends"
    client = clients.admin(settings)
    existing = reading.topics(client, settings)
    if absent := [name for name in names if name not in existing]:
        raise KafkaJourneyError(f"There is no topic {', '.join(absent)}. Run: kafkajourney topic create")
    for name in names:
        found = topics.configuration(client, name)
        if differs := [
            f"{key} = {found[key]}" for key, value in topics.kept(topics.FOR_EVER).items() if found[key] != value
        ]:
            raise KafkaJourneyError(
                f"Topic {name} has {', '.join(differs)}: its dead letters go before they are replayed. Set with "
                f"kafka-configs --alter --topic {name} --add-config "
                + ",".join(f"{key}={value}" for key, value in topics.kept(topics.FOR_EVER).items())
            )
    return f"{', '.join(names)} keep them for ever"


def _registry(settings: Settings) -> str:
    return f"answers at {settings.safe_schema_registry_url} ({len(Registry(settings).subjects())} subjects)"


def _schemas(settings: Settings) -> str:
    registry = Registry(settings)
    versions = [version for event_type in load().values() for version in event_type.versions]
    missing = []
    for version in versions:
        try:
            registry.lookup(version.subject, Schema(version.text, "AVRO"))
        except NotRegisteredError:
            missing.append(f"{version.subject} version {version.version}")
    if missing:
        raise KafkaJourneyError(f"Not registered: {', '.join(missing)}. Run: python -m schemas register")
    return f"all {len(versions)} versions are registered"


def _driver(settings: Settings) -> str:
    engine = engines.engine(settings)
    odbc = engine.url.query.get("driver")
    return engine.url.drivername + (f" with {odbc!r}" if odbc else "")


def _database(settings: Settings) -> str:
    with engines.reached(settings), engines.engine(settings).connect():
        return f"answers at {settings.safe_database_url}"


def _revision(settings: Settings) -> str:
    revisions.require_revisions(engines.engine(settings), settings)
    return "the tables are at the newest revision"
