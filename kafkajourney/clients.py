"""How this project's Kafka clients are set up: the properties that the delivery promise stands on, and why.

The one place that makes producers, consumers and admin clients. Properties of the ``[kafka]`` table are passed on
unchanged; ``settings.PROMISED`` are refused there.
"""

import contextlib
import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._metadata import TopicMetadata

from kafkajourney.errors import BrokerAwayError, SettingsError, StopError
from kafkajourney.logs import Seldom
from kafkajourney.settings import TOML_FILE, Settings
from kafkajourney.tls import certificate_complaint

C = TypeVar("C")

DEAD_LETTER_BYTES = 2 * 1024 * 1024
"""What a dead letter may measure: by default a topic takes records of about half of that."""

APIVERSION = "state APIVERSION_QUERY"
"""In librdkafka's reason where a broker closed the connection at the first word: it expects another protocol."""

CLIENT_CERTIFICATE = ("ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location")
"""Properties, one of which a client has that shows a certificate of its own."""

PROBE_TIMEOUT = 3.0
"""Seconds to find out why no broker can be reached."""

READ_TIMEOUT = 30.0
"""Seconds without a record that should be there before reading a topic is given up."""

REACH_TIMEOUT = 5.0
"""Seconds to wait for an answer of the broker before it counts as unreachable."""

STATISTICS_EVERY_MS = 5000
"""Milliseconds between two statistics of a client, where somebody listens and the settings do not say otherwise."""

OnStatistics = Callable[[str], None]
"""Takes librdkafka's statistics, a JSON text, on the thread that polls."""

log = logging.getLogger("kafkajourney.librdkafka")
connection_log = logging.getLogger("kafkajourney.connection")
"""A log of its own: that of librdkafka is silent without ``--debug``."""

MEMBERSHIP = ("group.", "session.timeout", "heartbeat.", "max.poll.", "partition.assignment.")
"""Beginnings of the properties of a group's members."""

READ_AHEAD = {
    "queued.min.messages": "20000",  # ten batches; the default of 100,000 is more memory than all the rest
    "queued.max.messages.kbytes": "16384",
    "fetch.queue.backoff.ms": "10",  # with the default of a second, a fast consumer waits for the next fetch
}
"""How far a consumer fetches ahead of what it processes."""

CONSUMER_ONLY = (*MEMBERSHIP, "fetch.", "queued.", "isolation.")
PRODUCER_ONLY = (
    "queue.buffering.",
    "linger.ms",
    "batch.",
    "compression.",
    "partitioner",
    "message.timeout",
    "delivery.",
)


def consumer(settings: Settings, group: str, on_statistics: OnStatistics | None = None) -> Consumer:
    """Return a consumer of this group that stores no offset by itself and starts where it is told."""
    return _made(
        Consumer,
        _properties(settings, PRODUCER_ONLY, {"group.protocol": "consumer"} | READ_AHEAD, on_statistics)
        | {
            "group.id": group,
            # An offset is stored by hand after its event was committed (store_offsets); librdkafka commits
            # what is stored. With automatic storing, whatever poll() returned would count as done.
            "enable.auto.offset.store": False,
            "enable.auto.commit": True,
            # The start comes from the database; where the topic has it no more, that is an error, not a jump.
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        },
    )


def reader(settings: Settings, group: str = "kafkajourney-reader") -> Consumer:
    """Return a consumer that only looks: it joins no group and commits nothing; it may ask what ``group`` committed."""
    return _made(
        Consumer,
        _properties(settings, (*PRODUCER_ONLY, *MEMBERSHIP), {})
        # A fetch that waits for records at one partition's end would hold up the next partition.
        | {"fetch.wait.max.ms": 10, "enable.partition.eof": True}
        | {"group.id": group, "enable.auto.commit": False},
    )


def producer(
    settings: Settings,
    on_statistics: OnStatistics | None = None,
    on_failure: Callable[[KafkaError | None, Any], None] | None = None,
) -> Producer:
    """Return an idempotent producer: retries neither double nor reorder.

    With ``on_failure`` that is told of each delivery that fails, and nobody of the others: a tenth of an event's time.
    """
    reports = {"delivery.report.only.error": True, "on_delivery": on_failure} if on_failure is not None else {}
    return _made(
        Producer,
        # Java's partitioner, so that a user's events meet in one partition whatever client produced them.
        _properties(
            settings,
            CONSUMER_ONLY,
            {"partitioner": "murmur2_random", "compression.type": "lz4", "linger.ms": 20},
            on_statistics,
        )
        | reports
        | {"enable.idempotence": True, "acks": "all"},
    )


def dead_letter_producer(settings: Settings) -> Producer:
    """Return a producer of dead letters: a record of the largest size and the headers that are added to it."""
    larger = {"message.max.bytes": str(DEAD_LETTER_BYTES)} | dict(settings.kafka)
    return producer(replace(settings, kafka=larger))


def admin(settings: Settings) -> AdminClient:
    """Return a client for topics and groups."""
    return _made(AdminClient, _properties(settings, (*CONSUMER_ONLY, *PRODUCER_ONLY), {}))


def asker(settings: Settings) -> AdminClient:
    """Return a client that only asks whether the broker answers, and sees soon that it does again.

    It is silent: nobody polls it, and what it would say would pile up.
    """
    often = {"reconnect.backoff.max.ms": "1000"}
    properties = _properties(settings, (*CONSUMER_ONLY, *PRODUCER_ONLY), often)
    silent = {name: value for name, value in properties.items() if name not in ("logger", "error_cb")}
    return _made(AdminClient, silent | {"log_level": 0})


def _made(client: Callable[[dict[str, Any]], C], properties: dict[str, Any]) -> C:
    """Return a client with these properties; raise SettingsError where librdkafka refuses one."""
    try:
        return client(properties)
    except KafkaException as error:
        raise SettingsError(f"{TOML_FILE}: [kafka] is refused: {error.args[0].str()}") from error
    except TypeError as error:
        raise SettingsError(f"{TOML_FILE}: [kafka] is refused: {error}") from error


def _properties(
    settings: Settings,
    foreign: tuple[str, ...],
    defaults: dict[str, Any],
    on_statistics: OnStatistics | None = None,
) -> dict[str, Any]:
    """Return the properties of one client; those of another kind of client are left out (librdkafka warns of them)."""
    chosen = {name: value for name, value in settings.kafka.items() if not name.startswith(foreign)}
    own = {"bootstrap.servers": settings.bootstrap_servers, "client.id": "kafkajourney", "logger": log}
    told = {"stats_cb": on_statistics, "statistics.interval.ms": STATISTICS_EVERY_MS} if on_statistics else {}
    return defaults | own | told | {"error_cb": _ErrorLog()} | chosen


class _ErrorLog:
    """Tells why a client's connections fail, each reason once a minute: librdkafka tries many times a second.

    Informational: librdkafka goes on by itself. What matters to a call comes as its error.
    """

    def __init__(self) -> None:
        self._seldom = Seldom()

    def __call__(self, error: KafkaError) -> None:
        reason = re.sub(r" \(after \d+ms in state \w+\)$", "", error.str())
        if self._seldom.lets(reason):
            connection_log.warning("no connection to the broker, trying on: %s", reason)


def is_incremental(settings: Settings) -> bool:
    """Return whether rebalances take and give single partitions (KIP-848, cooperative) and not all at once."""
    classic = settings.kafka.get("group.protocol", "consumer").lower() == "classic"
    return not classic or "cooperative" in settings.kafka.get("partition.assignment.strategy", "")


def partitions_of(client: Consumer | AdminClient | Producer, settings: Settings) -> list[int]:
    """Return the topic's partition numbers.

    Raises StopError where no broker answers or the topic does not exist.
    """
    topic = topics(client, settings).get(settings.topic)
    if topic is None or topic.error is not None:
        raise StopError(
            f"There is no topic {settings.topic!r} at {settings.bootstrap_servers}. "
            "Create it (kafkajourney topic create), or name another with --topic."
        )
    return sorted(topic.partitions)


def require_topic(client: Consumer, settings: Settings) -> None:
    """Raise StopError where the topic does not exist (any more), BrokerAwayError where no broker answers."""
    try:
        existing = client.list_topics(timeout=REACH_TIMEOUT).topics
    except KafkaException as error:
        raise BrokerAwayError(f"the broker does not tell its topics: {error.args[0].str()}") from error
    if settings.topic not in existing:
        raise StopError(f"Topic {settings.topic!r} does not exist any more. Create it: kafkajourney topic create")


def topics(client: Consumer | AdminClient | Producer, settings: Settings) -> dict[str, TopicMetadata]:
    """Return all topics of the cluster; raise StopError where no broker answers."""
    # Never with a topic's name: to ask for one by name can create it.
    found: dict[str, TopicMetadata] = reach(lambda: client.list_topics(timeout=REACH_TIMEOUT), settings).topics
    return found


def reach(call: Callable[[], Any], settings: Settings) -> Any:
    """Return what the call to the broker returns; raise StopError where none answers."""
    try:
        return call()
    except KafkaException as error:
        raise StopError(_why_unreachable(settings, error.args[0])) from error


def _why_unreachable(settings: Settings, error: KafkaError) -> str:
    """Return what keeps the brokers from being reached, and what to correct."""
    at = settings.bootstrap_servers
    code, reason = _cause(settings) or (error.code(), error.str())
    if code == KafkaError._AUTHENTICATION:
        return (
            f"The broker at {at} refuses the credentials: {reason}. Correct sasl.mechanism, sasl.username and "
            "sasl.password in [kafka]."
        )
    if code == KafkaError._SSL or "SSL" in reason:
        return _why_no_tls(at, _without_advice(reason), settings)
    if APIVERSION in reason:
        return f"The broker at {at} closes the connection at once ({reason}). Correct security.protocol in [kafka]."
    return (
        f"No Kafka broker answers at {at} ({reason}). Start one (kafkajourney up, or docker compose up -d), or set "
        "KAFKAJOURNEY_BOOTSTRAP_SERVERS."
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
    properties = _properties(settings, (*CONSUMER_ONLY, *PRODUCER_ONLY), {})
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


def end_offsets(settings: Settings) -> dict[int, int]:
    """Return the end offset of each of the topic's partitions; raise StopError or BrokerAwayError."""
    client = reader(settings)
    try:
        return {p: watermarks(client, settings.topic, p)[1] for p in partitions_of(client, settings)}
    finally:
        client.close()


def ends_told(client: AdminClient, topic: str, partitions: Collection[int], timeout: float) -> dict[int, int]:
    """Return the end offset of each of these partitions; raise BrokerAwayError where one is not told in time."""
    end = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    places = {TopicPartition(topic, partition): end for partition in partitions}
    committed = IsolationLevel.READ_COMMITTED  # as the consumers read
    try:
        asked = client.list_offsets(places, isolation_level=committed, request_timeout=timeout) if places else {}
        return {place.partition: answer.result().offset for place, answer in asked.items()}
    except KafkaException as error:
        # This kind of client never renews by itself what it knows of leaders: after an election all would be refused.
        with contextlib.suppress(KafkaException):
            client.list_topics(timeout=timeout)
        raise BrokerAwayError(f"the broker does not tell the ends of {topic}: {error.args[0].str()}") from error


def watermarks(client: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the partition's first offset and its end offset (one after the last); raise BrokerAwayError."""
    try:
        low, high = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=REACH_TIMEOUT)
    except KafkaException as error:
        raise BrokerAwayError(f"the broker does not tell the offsets of {topic} [{partition}]: {error}") from error
    return low, high


def records(reader: Consumer, topic: str, partition: int, low: int, high: int) -> Iterator[Any]:
    """Yield the records of a partition from ``low`` to before ``high``; raise StopError where they do not come."""
    if low >= high:
        return
    reader.assign([TopicPartition(topic, partition, low)])
    deadline = time.monotonic() + READ_TIMEOUT
    while True:
        messages = reader.consume(1000, 0.1)
        if messages:
            deadline = time.monotonic() + READ_TIMEOUT
        elif time.monotonic() > deadline:
            raise StopError(f"The broker sends nothing of {topic} [{partition}] for {READ_TIMEOUT:.0f} s. Is it well?")
        for message in messages:
            offset, error = message.offset(), message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise StopError(f"{topic} [{partition}] cannot be read: {error.str()}.")
            if offset is None or offset >= high or error is not None:
                return
            yield message
            if offset == high - 1:
                return


def timestamps(reader: Consumer, topic: str, starts: Mapping[int, int]) -> dict[int, int]:
    """Return when the first record of each partition from its start on was made, in milliseconds since the epoch.

    A partition of which nothing comes in time, or whose record has no time, is left out.
    """
    found: dict[int, int] = {}
    missing = set(starts)
    reader.assign([TopicPartition(topic, partition, offset) for partition, offset in starts.items()])
    deadline = time.monotonic() + REACH_TIMEOUT
    while missing and time.monotonic() < deadline:
        for message in reader.consume(100, 0.1):
            partition = message.partition()
            if partition in missing:  # the first of it: a record, or the end, where nothing but markers is left
                missing.remove(partition)
                reader.pause([TopicPartition(topic, partition)])
                kind, moment = message.timestamp()
                if message.error() is None and kind != TIMESTAMP_NOT_AVAILABLE:
                    found[partition] = moment
    reader.unassign()
    return found
