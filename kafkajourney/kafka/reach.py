"""Why no broker can be reached, as a sentence: a probe connects anew and listens to what librdkafka says."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import (
    KafkaError,
    KafkaException,
)
from confluent_kafka.admin import AdminClient

from kafkajourney.errors import BrokerAwayError, StopError
from kafkajourney.kafka.clients import CONSUMER_ONLY, PRODUCER_ONLY, properties_of
from kafkajourney.settings import Settings
from kafkajourney.tls import certificate_complaint

APIVERSION = "state APIVERSION_QUERY"
"""In librdkafka's reason where a broker closed the connection at the first word: it expects another protocol."""


CLIENT_CERTIFICATE = ("ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location")
"""Properties, one of which a client has that shows a certificate of its own."""


PROBE_TIMEOUT = 3.0
"""Seconds to find out why no broker can be reached."""


REACH_TIMEOUT = 5.0
"""Seconds to wait for an answer of the broker before it counts as unreachable."""


def reach(call: Callable[[], Any], settings: Settings) -> Any:
    """Return what the call to the broker returns.

    Raises BrokerAwayError where none answers, StopError where that is for what only a person can correct.
    """
    try:
        return call()
    except KafkaException as error:
        raise _why_unreachable(settings, error.args[0]) from error


def _why_unreachable(settings: Settings, error: KafkaError) -> StopError | BrokerAwayError:
    """Return what keeps the brokers from being reached, and what to correct."""
    at = settings.bootstrap_servers
    code, reason = _cause(settings) or (error.code(), error.str())
    if code == KafkaError._AUTHENTICATION:
        return StopError(
            f"The broker at {at} refuses the credentials: {reason}. Correct sasl.mechanism, sasl.username and "
            "sasl.password in [kafka]."
        )
    if code == KafkaError._SSL or "SSL" in reason:
        return StopError(_why_no_tls(at, _without_advice(reason), settings))
    if APIVERSION in reason:
        return StopError(
            f"The broker at {at} closes the connection at once ({reason}). Correct security.protocol in [kafka]."
        )
    return BrokerAwayError(
        f"{settings.hint('bootstrap_servers')}No Kafka broker answers at {at} ({reason}). Start one "
        "(kafkajourney up, or docker compose up -d), or set KAFKAJOURNEY_BOOTSTRAP_SERVERS."
    )


def _why_no_tls(at: str, reason: str, settings: Settings) -> str:
    no_connection = f"There is no TLS connection to the broker at {at}"
    has_certificate = any(name in settings.kafka for name in CLIENT_CERTIFICATE)
    if complaint := certificate_complaint(reason, has_certificate=has_certificate):
        return f"{no_connection}: {complaint} ({reason}). Set ssl.certificate.location and ssl.key.location in [kafka]."
    properties = "ssl.ca.location, ssl.certificate.location or security.protocol"
    return f"{no_connection}: {reason}. Correct {properties} in [kafka]."


def _cause(settings: Settings) -> tuple[int, str] | None:
    """Return code and text of the first telling error of a new connection: calls fail without it."""
    told: list[tuple[int, str]] = []
    listener = logging.Logger("probe")
    listener.addHandler(_Listener(told))
    properties = properties_of(settings, (*CONSUMER_ONLY, *PRODUCER_ONLY), {})
    probe = AdminClient(
        properties | {"logger": listener, "error_cb": lambda error: told.append((error.code(), error.str()))}
    )
    deadline = time.monotonic() + PROBE_TIMEOUT
    while time.monotonic() < deadline:
        probe.poll(0.1)
        for code, text in told:
            if code in (KafkaError._AUTHENTICATION, KafkaError._SSL) or "SSL" in text or APIVERSION in text:
                return code, text.rstrip(".")
    return None


class _Listener(logging.Handler):
    """Keeps what librdkafka logs: that a connection was closed at once stands only there."""

    def __init__(self, told: list[tuple[int, str]]) -> None:
        super().__init__()
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append((KafkaError.NO_ERROR, record.getMessage().rpartition("]: ")[2]))


def _without_advice(reason: str) -> str:
    """Return librdkafka's reason without its hint to switch the verification of certificates off."""
    return re.sub(r"[;:,]?\s*\(?[^():;]*ssl\.endpoint\.identification\.algorithm[^()]*\)?", "", reason)
