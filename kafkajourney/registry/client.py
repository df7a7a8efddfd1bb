"""The seam to the schema registry: confluent-kafka's client, with its failures sorted into this project's errors."""

from collections.abc import Callable
from typing import TypeVar

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

from kafkajourney.errors import RegistryAwayError, SettingsError, StopError, TransientError
from kafkajourney.settings import TOML_FILE, Settings
from kafkajourney.tls import certificate_complaint

R = TypeVar("R")

NOT_FOUND = 404
CONFLICT = 409
_BUSY = (408, 429, 500, 502, 503, 504)
_DENIED = (401, 403)


class NotRegisteredError(StopError):
    """The registry does not have this subject, version or schema."""


class IncompatibleError(StopError):
    """The registry refuses the schema: it would break a reader or writer of an earlier version."""


class Registry:
    """A schema registry with the Confluent API.

    Every method raises TransientError while the registry is away, NotRegisteredError for what it does not have, and
    StopError for anything else that it refuses.
    """

    def __init__(self, settings: Settings, *, max_retries: int = 1) -> None:
        self._address = settings.safe_schema_registry_url
        self._hint = settings.hint("schema_registry_url")
        self._has_certificate = "ssl.certificate.location" in settings.schema_registry
        timeout = settings.schema_registry.get("timeout", 10)
        if not isinstance(timeout, int | float):
            raise SettingsError(f"{TOML_FILE}: [schema_registry] timeout = {timeout!r} has to be a number of seconds.")
        # The client's own default is to wait for ever.
        properties = {"timeout": 10, "max.retries": max_retries, "retries.wait.ms": 200} | dict(
            settings.schema_registry
        )
        try:
            self.client = SchemaRegistryClient.new_client(properties | {"url": settings.schema_registry_url})
        except (ValueError, TypeError, AttributeError, OSError) as error:
            raise SettingsError(f"{TOML_FILE}: [schema_registry] is refused: {error}.") from None

    def schema(self, schema_id: int) -> Schema:
        """Return the schema of this id."""
        return self._call(lambda: self.client.get_schema(schema_id))

    def referenced(self, reference: SchemaReference) -> Schema:
        """Return the schema that another one refers to."""
        subject, version = str(reference.subject), int(reference.version or 0)
        return self._call(lambda: self.client.get_version(subject, version, deleted=True)).schema

    def lookup(self, subject: str, schema: Schema) -> int:
        """Return the version under which the subject has this very schema."""
        return int(self._call(lambda: self.client.lookup_schema(subject, schema)).version or 0)

    def register(self, subject: str, schema: Schema) -> int:
        """Register the schema where it is not yet; return its id."""
        return int(self._call(lambda: self.client.register_schema(subject, schema)))

    def subjects(self) -> list[str]:
        """Return the names of all subjects."""
        return sorted(self._call(self.client.get_subjects))

    def versions(self, subject: str) -> list[int]:
        """Return the version numbers of a subject, none where there is no such subject."""
        try:
            return sorted(self._call(lambda: self.client.get_versions(subject)))
        except NotRegisteredError:
            return []

    def version(self, subject: str, number: int) -> Schema:
        """Return one version of a subject."""
        return self._call(lambda: self.client.get_version(subject, number)).schema

    def accepts(self, subject: str, schema: Schema) -> bool:
        """Whether the schema would be taken as the subject's next version, by the level that it has now."""
        return bool(self._call(lambda: self.client.test_compatibility_all_versions(subject, schema)))

    def level(self, subject: str) -> str | None:
        """Return the compatibility level of a subject, None where it has none of its own."""
        try:
            return str(self._call(lambda: self.client.get_compatibility(subject)))
        except NotRegisteredError:
            return None

    def set_level(self, subject: str, level: str) -> None:
        """Set the compatibility level of a subject."""
        self._call(lambda: self.client.set_compatibility(subject, level))

    def _call(self, call: Callable[[], R]) -> R:
        try:
            return call()
        except httpx2.TransportError as error:
            if "certificate" in str(error).lower() or "[SSL" in str(error):
                raise StopError(self._why_no_tls(str(error))) from error
            raise RegistryAwayError(
                f"{self._hint}No schema registry answers at {self._address} ({error or type(error).__name__}). "
                "Start one (kafkajourney up, or docker compose up -d), or set KAFKAJOURNEY_SCHEMA_REGISTRY_URL."
            ) from error
        except SchemaRegistryError as error:
            raise self._sorted(error) from error
        except OAuthTokenError as error:
            raise RegistryAwayError(
                f"The token for the schema registry at {self._address} cannot be had: {error}"
            ) from error
        except ValueError as error:  # a page that is no JSON: some other web server
            raise StopError(f"What answers at {self._address} is no schema registry ({error}).") from error

    def _why_no_tls(self, reason: str) -> str:
        no_connection = f"There is no TLS connection to the schema registry at {self._address}"
        table = f"in the [schema_registry] table of {TOML_FILE}"
        if complaint := certificate_complaint(reason, has_certificate=self._has_certificate):
            return (
                f"{no_connection}: {complaint} ({reason}). Set ssl.certificate.location and ssl.key.location {table}."
            )
        return f"{no_connection}: {reason}. Correct ssl.ca.location or ssl.certificate.location {table}."

    def _sorted(self, error: SchemaRegistryError) -> StopError | TransientError:
        status, text = (
            error.http_status_code,
            f"{error.error_message} (HTTP {error.http_status_code}, {error.error_code})",
        )
        if status in _BUSY:
            return RegistryAwayError(f"The schema registry at {self._address} cannot answer: {text}")
        if status in _DENIED:
            return StopError(
                f"The schema registry at {self._address} refuses the credentials (HTTP {status}). Set "
                f"basic.auth.user.info or a certificate in the [schema_registry] table of {TOML_FILE}."
            )
        if error.error_code == SchemaRegistryError.UNKNOWN or error.error_code is None:
            return StopError(f"What answers at {self._address} is no schema registry (HTTP {status}). Correct the URL.")
        if status == NOT_FOUND:
            return NotRegisteredError(f"{text} at {self._address}")
        if status == CONFLICT:
            return IncompatibleError(f"The schema registry at {self._address} refuses the schema: {text}")
        return StopError(f"The schema registry at {self._address} refuses the call: {text}")
