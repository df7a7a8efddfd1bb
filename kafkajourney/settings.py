"""Settings: read once, validated once, frozen, passed on.

In order of weight: command-line option, environment variable, ``.env``, ``kafkajourney.toml`` in the working
folder, the running embedded stack of this folder, the default.
"""

import re
import tomllib
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kafkajourney.errors import SettingsError
from kafkajourney.state import EMBEDDED, STATE_FOLDER, running_stack

DEFAULTS = {
    "bootstrap_servers": "localhost:9092",
    "schema_registry_url": "http://localhost:8081",
    "database_url": "mssql+pyodbc://sa:Kafka-Journey-1@localhost:1433/kafkajourney"
    "?driver=ODBC+Driver+18+for+SQL+Server&TrustServerCertificate=yes",
    "topic": "user-journey",
}
"""What holds where nothing else is set: the services of ``docker-compose.yml``."""

ENVIRONMENT = {name: f"KAFKAJOURNEY_{name.upper()}" for name in DEFAULTS}
"""The environment variable of each setting."""

TOML_FILE = "kafkajourney.toml"
"""The file of the settings; a table ``[application]`` in it makes its folder an application."""

DIALECTS = ("mssql", "postgresql", "sqlite")

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


@dataclass(frozen=True)
class Settings:
    """Where things are. What may hold a secret is left out of ``repr``."""

    bootstrap_servers: str
    schema_registry_url: str = field(repr=False)
    database_url: str = field(repr=False)
    topic: str
    kafka: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Any librdkafka property, by its name."""
    schema_registry: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Any property of confluent-kafka's registry client, by its name."""
    embedded: bool = False
    """Whether the broker is the embedded stack of this folder."""

    @property
    def safe_database_url(self) -> str:
        """Return the database URL with its passwords masked."""
        url = make_url(self.database_url)
        masked = {name: _masked(name, str(value)) for name, value in url.query.items()}
        return url.set(query=masked).render_as_string(hide_password=True).replace("%2A", "*")

    @property
    def safe_schema_registry_url(self) -> str:
        """Return the registry's URL, or URLs with commas between them, without user and password."""
        return ",".join(re.sub(r"^(\w+://)?.*@", r"\1***@", url) for url in self.schema_registry_url.split(","))


def load(options: Mapping[str, str | None], environ: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings for a command that runs in ``folder``.

    Raises SettingsError where a value is malformed or would break the delivery promise.
    """
    toml = _read_toml(folder / TOML_FILE)
    stack = running_stack(folder / STATE_FOLDER) or {}
    layers: list[Mapping[str, Any]] = [
        {name: value for name, value in options.items() if value is not None},
        _from_variables(environ),
        _from_variables(_read_dotenv(folder / ".env")),
        {name: value for name, value in toml.items() if name in DEFAULTS},
        stack,
        DEFAULTS,
    ]
    values: Mapping[str, Any] = ChainMap(*layers)  # type: ignore[arg-type] # ChainMap asks for mutable maps, only to write
    settings = Settings(
        **{name: str(values[name]) for name in DEFAULTS},
        kafka={ALIASES.get(name, name): _property_text(value) for name, value in _flat(toml.get("kafka", {}))},
        schema_registry=dict(_flat(toml.get("schema_registry", {}))),
        embedded=stack.get("kind") == EMBEDDED and values["bootstrap_servers"] == stack["bootstrap_servers"],
    )
    _validate(settings)
    return settings


def _from_variables(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, key in ENVIRONMENT.items() if (value := variables.get(key))}


def _read_dotenv(path: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}. Correct it, or remove it.") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}. Correct it, or remove it.") from None
    known = [*DEFAULTS, "kafka", "schema_registry", "application"]
    if unknown := sorted(set(content) - set(known)):
        raise SettingsError(f"{path}: unknown {', '.join(unknown)}. Known are: {', '.join(known)}.")
    if wrong := [name for name in DEFAULTS if not isinstance(content.get(name, ""), str)]:
        raise SettingsError(f"{path}: {wrong[0]} has to be text in quotes; several brokers have commas between them.")
    for table in ("kafka", "schema_registry", "application"):
        if not isinstance(content.get(table, {}), dict):
            raise SettingsError(f"{path}: {table} has to be a table: [{table}], then one property a line.")
    return content


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the properties of a table by their dotted names: TOML nests them where they are written without quotes."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _masked(name: str, value: str) -> str:
    """Return a part of a database URL's query without the password that it is or has (an ODBC connection string)."""
    if name.lower() in ("pwd", "password"):
        return "***"
    return re.sub(r"(?i)\b(pwd|password)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)", r"\1=***", value)


def _property_text(value: object) -> str:
    """Return a TOML value as librdkafka writes it: booleans are ``true`` and ``false``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _validate(settings: Settings) -> None:
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
        raise SettingsError(f"{TOML_FILE}: [schema_registry] url is refused: set it as schema_registry_url instead.")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", settings.topic) or settings.topic in (".", ".."):
        raise SettingsError(f"Topic {settings.topic!r} is no topic name: up to 249 letters, digits, '.', '_' and '-'.")
    _validate_database_url(settings.database_url)
    _validate_kafka(settings.kafka)


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


def _validate_kafka(properties: Mapping[str, str]) -> None:
    for name, value in properties.items():
        promised, reason = PROMISED.get(name, (value, ""))
        if value.lower() != promised.lower() and not (name == "acks" and value == "-1"):
            raise SettingsError(
                f"{TOML_FILE}: [kafka] {name} = {value} is refused: {reason}. Leave it out (it is {promised})."
            )
        if name == "partitioner" and not value.startswith("murmur2"):
            raise SettingsError(
                f"{TOML_FILE}: [kafka] partitioner = {value} is refused: a user's events have to share a partition, "
                "whatever client produced them. Leave it out (it is murmur2_random)."
            )
        if name in OWN_PROPERTIES:
            raise SettingsError(f"{TOML_FILE}: [kafka] {name} is refused: {OWN_PROPERTIES[name]}.")
