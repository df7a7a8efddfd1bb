"""How this project's Kafka clients are set up: the properties that the delivery promise stands on, and why.

The one place that makes producers, consumers and admin clients. Properties of the ``[kafka]`` table are passed on
unchanged; ``settings.PROMISED`` are refused there.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
)
from confluent_kafka.admin import AdminClient

from kafkajourney.command.logs import Seldom
from kafkajourney.errors import SettingsError
from kafkajourney.kafka.errors import cause_of
from kafkajourney.settings import TOML_FILE, Settings

C = TypeVar("C")
R = TypeVar("R")


DEAD_LETTER_BYTES = 2 * 1024 * 1024
"""What a dead letter may measure: by default a topic takes records of about half of that."""


STATISTICS_EVERY_MS = 2000
"""Milliseconds between two statistics of a client, where somebody listens and the settings do not say otherwise."""


OnStatistics = Callable[[Mapping[str, Any]], None]
"""Takes librdkafka's statistics, on the thread that polls."""


log = logging.getLogger("kafkajourney.librdkafka")


class LastWords(logging.Handler):
    """Keeps what a client logged last as it failed for good: its exceptions do not always say."""

    def __init__(self) -> None:
        super().__init__(logging.CRITICAL)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's text."""
        self.text = record.getMessage().rpartition("]: ")[2]


last_words = LastWords()
log.addHandler(last_words)


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


def consumer(settings: Settings, group: str, *on_statistics: OnStatistics) -> Consumer:
    """Return a consumer of this group that stores no offset by itself and starts where it is told."""
    return _made(
        Consumer,
        properties_of(settings, PRODUCER_ONLY, {"group.protocol": "consumer"} | READ_AHEAD, *on_statistics)
        | {
            "group.id": group,
            # An offset is stored by hand after its event was committed (store_offsets); librdkafka commits
            # what is stored. With automatic storing, whatever poll() returned would count as done.
            "enable.auto.offset.store": False,
            "enable.auto.commit": True,
            # The start comes from the database; where the topic has it no more, that is an error, not a jump.
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            # Off by default: a bit that changed on a disk would be stored as if it had been sent so.
            "check.crcs": True,
        },
    )


def reader(settings: Settings, group: str = "kafkajourney-reader") -> Consumer:
    """Return a consumer that only looks: it joins no group and commits nothing; it may ask what ``group`` committed."""
    return _made(
        Consumer,
        properties_of(settings, (*PRODUCER_ONLY, *MEMBERSHIP), {})
        # A fetch that waits for records at one partition's end would hold up the next partition.
        | {"fetch.wait.max.ms": 10, "enable.partition.eof": True, "check.crcs": True}
        # Where retention overtakes it, it would jump to the end and miss all between.
        | {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "error"},
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
        properties_of(
            settings,
            CONSUMER_ONLY,
            {"partitioner": "murmur2_random", "compression.type": "lz4", "linger.ms": 20},
            *([on_statistics] if on_statistics else []),
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
    return _made(AdminClient, properties_of(settings, (*CONSUMER_ONLY, *PRODUCER_ONLY), {}))


def asker(settings: Settings) -> AdminClient:
    """Return a client that only asks whether the broker answers, and sees soon that it does again.

    It is silent: nobody polls it, and what it would say would pile up.
    """
    often = {"reconnect.backoff.max.ms": "1000"}
    properties = properties_of(settings, (*CONSUMER_ONLY, *PRODUCER_ONLY), often)
    silent = {name: value for name, value in properties.items() if name not in ("logger", "error_cb")}
    return _made(AdminClient, silent | {"log_level": 0})


def called(call: Callable[[], R]) -> R:
    """Return what a producer's call returns; raise KafkaException with the cause, also where the client hides it."""
    try:
        return call()
    except (KafkaException, SystemError) as error:
        raise KafkaException(cause_of(error, last_words.text)) from error


def _made(client: Callable[[dict[str, Any]], C], properties: dict[str, Any]) -> C:
    """Return a client with these properties; raise SettingsError where librdkafka refuses one."""
    try:
        return client(properties)
    except KafkaException as error:
        raise SettingsError(f"{TOML_FILE}: [kafka] is refused: {error.args[0].str()}") from error
    except TypeError as error:
        raise SettingsError(f"{TOML_FILE}: [kafka] is refused: {error}") from error


def properties_of(
    settings: Settings,
    foreign: tuple[str, ...],
    defaults: dict[str, Any],
    *on_statistics: OnStatistics,
) -> dict[str, Any]:
    """Return the properties of one client; those of another kind of client are left out (librdkafka warns of them)."""
    chosen = {name: value for name, value in settings.kafka.items() if not name.startswith(foreign)}
    own = {"bootstrap.servers": settings.bootstrap_servers, "client.id": "kafkajourney", "logger": log}
    told = {"stats_cb": _parsed(on_statistics), "statistics.interval.ms": STATISTICS_EVERY_MS} if on_statistics else {}
    return defaults | own | told | {"error_cb": _ErrorLog()} | chosen


def _parsed(listeners: Sequence[OnStatistics]) -> Callable[[str], None]:
    def tell(text: str) -> None:
        statistics = json.loads(text)
        for listener in listeners:
            listener(statistics)

    return tell


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
