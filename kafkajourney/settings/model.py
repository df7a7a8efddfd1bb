"""What the settings are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import make_url

from kafkajourney.settings.masking import masked

DEFAULTS = {
    "bootstrap_servers": "localhost:9092",
    "schema_registry_url": "http://localhost:8081",
    "database_url": "mssql+pyodbc://sa:Kafka-Journey-1@localhost:1433/kafkajourney"
    "?driver=ODBC+Driver+18+for+SQL+Server&TrustServerCertificate=yes",
    "topic": "user-journey",
    "group_prefix": "",
}
"""What holds where nothing else is set: the services of ``docker-compose.yml``."""

ADDRESSES = ("bootstrap_servers", "schema_registry_url", "database_url")
"""The settings that say where things are: of a running embedded stack all are used, or none."""

ENVIRONMENT = {name: f"KAFKAJOURNEY_{name.upper()}" for name in DEFAULTS}
"""The environment variable of each setting."""

TOML_FILE = "kafkajourney.toml"
"""The file of the settings; a table ``[application]`` in it makes its folder an application."""

DIALECTS = ("mssql", "postgresql", "sqlite")

DEFAULT = "the default"
"""Where a value comes from that nothing sets."""


@dataclass(frozen=True)
class Settings:
    """Where things are. What may hold a secret is left out of ``repr``."""

    bootstrap_servers: str
    schema_registry_url: str = field(repr=False)
    database_url: str = field(repr=False)
    topic: str
    group_prefix: str = ""
    """Before the name of each consumer group, as the broker and the dead-letter topics have it; not in the database."""
    kafka: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Any librdkafka property, by its name."""
    schema_registry: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Any property of confluent-kafka's registry client, by its name."""
    embedded: bool = False
    """Whether the broker is the embedded stack of this folder."""
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Where each value comes from, by the setting's name or ``kafka`` or ``schema_registry`` with the property's."""

    @property
    def safe_database_url(self) -> str:
        """Return the database URL with its passwords masked."""
        url = make_url(self.database_url)
        query = {name: masked(name, str(value)) for name, value in url.query.items()}
        return url.set(query=query).render_as_string(hide_password=True).replace("%2A", "*")

    @property
    def safe_schema_registry_url(self) -> str:
        """Return the registry's URL, or URLs with commas between them, without user and password."""
        return ",".join(re.sub(r"^(\w+://)?.*@", r"\1***@", url) for url in self.schema_registry_url.split(","))

    def group_id(self, group: str) -> str:
        """Return a consumer group's name as the broker has it."""
        return self.group_prefix + group

    def hint(self, name: str) -> str:
        """Return what to know first where nothing answers at this address: that nobody has set it."""
        if self.sources.get(name) != DEFAULT:
            return ""
        return f"No embedded stack runs in this folder (kafkajourney up starts one), and nothing sets {name}. "
