"""What a setting may be: malformed values, and those that would break the delivery promise, are refused."""

import re
from urllib.parse import urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kafkajourney.errors import SettingsError
from kafkajourney.settings.model import DIALECTS, Settings

PROMISED = {
    "enable.auto.offset.store": (
        "false",
        "an offset is stored only after its event was committed to the database",
    ),
    "enable.auto.commit": ("true", "librdkafka commits the offsets that were stored"),
    "enable.partition.eof": ("true", "the consumers tell from it that they have caught up"),
    "auto.offset.reset": ("error", "nothing may jump silently over a gap"),
    "check.crcs": ("true", "a record that a disk has changed must not be stored as if it had been sent so"),
    "enable.idempotence": ("true", "a retry must neither double nor reorder events"),
    "isolation.level": ("read_committed", "events of aborted transactions never happened"),
    "acks": ("all", "an event counts as produced only when all in-sync replicas have it"),
}
"""Kafka properties that the delivery promise stands on: the value, and why it cannot be another."""

ALIASES = {
    "metadata.broker.list": "bootstrap.servers",
    "request.required.acks": "acks",
    "auto.commit.enable": "enable.auto.commit",
}
"""librdkafka's other names of properties that are refused."""

OWN_PROPERTIES = {
    "bootstrap.servers": "set it as bootstrap_servers (KAFKAJOURNEY_BOOTSTRAP_SERVERS) instead",
    "group.id": "a group's name is the application's (consumers/__init__.py)",
    "transactional.id": "the producer uses no transactions",
    "delivery.report.only.error": "the producer sets it itself",
}


def validate(settings: Settings) -> None:
    """Raise SettingsError where a value cannot be used."""
    for server in settings.bootstrap_servers.split(","):
        address = re.sub(r"^\w+://", "", server.strip())
        if not re.fullmatch(r"([^\s:/]+|\[[0-9a-fA-F:]+\])(:\d+)?", address) or not _is_url(f"kafka://{address}"):
            raise SettingsError(f"Kafka address {server.strip()!r} is malformed. Write host:port, several with commas.")
    for url in settings.schema_registry_url.split(","):
        if not url.strip().startswith(("http://", "https://")) or not _is_url(url.strip()):
            raise SettingsError(
                f"Registry URL {settings.safe_schema_registry_url!r} is malformed. Write http://host:port or https://..."
            )
    if "url" in settings.schema_registry:
        place = settings.sources.get("schema_registry url", "url")
        raise SettingsError(f"{place} is refused: set it as schema_registry_url instead.")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", settings.topic) or settings.topic in (".", ".."):
        raise SettingsError(f"Topic {settings.topic!r} is no topic name: up to 249 letters, digits, '.', '_' and '-'.")
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,100}", settings.group_prefix):
        raise SettingsError(
            f"Group prefix {settings.group_prefix!r} cannot be used: up to 100 letters, digits, '.', '_' and '-'."
        )
    _validate_database_url(settings.database_url)
    _validate_kafka(settings)


def _is_url(text: str) -> bool:
    """Whether the text is a URL with a host and, if any, a port that exists."""
    try:
        url = urlsplit(text)
        return bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return False


def _validate_database_url(text: str) -> None:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text is not shown: where the URL is malformed, nothing tells which part is the password.
        raise SettingsError(
            "The database URL is malformed. Write dialect+driver://user:password@host:port/database, with special "
            "characters in the password percent-encoded, or sqlite:///file.db."
        ) from None
    if url.get_backend_name() not in DIALECTS:
        raise SettingsError(
            f"Database {url.get_backend_name()!r} is not supported. Supported are: {', '.join(DIALECTS)}."
        )


def _validate_kafka(settings: Settings) -> None:
    for name, value in settings.kafka.items():
        place = settings.sources.get(f"kafka {name}", name)
        promised, reason = PROMISED.get(name, (value, ""))
        if value.lower() != promised.lower() and not (name == "acks" and value == "-1"):
            raise SettingsError(f"{place} = {value} is refused: {reason}. Leave it out (it is {promised}).")
        if name == "partitioner" and not value.startswith("murmur2"):
            raise SettingsError(
                f"{place} = {value} is refused: a user's events have to share a partition, "
                "whatever client produced them. Leave it out (it is murmur2_random)."
            )
        if name in OWN_PROPERTIES:
            raise SettingsError(f"{place} is refused: {OWN_PROPERTIES[name]}.")
