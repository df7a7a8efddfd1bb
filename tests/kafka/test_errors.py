"""What each error code means: all that librdkafka has are sorted, and each kind is what the consumer makes of it."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from kafkajourney.errors import BrokerAwayError, ClientLostError, PartitionError, StopError
from kafkajourney.kafka.errors import KINDS, NAMES, SORTED, Kind, cause_of, kind_of, sorted_error

CODES = {name for name in dir(KafkaError) if isinstance(getattr(KafkaError, name), int)}


def test_every_code_that_librdkafka_has_is_sorted_once() -> None:
    assert KINDS.keys() == CODES
    assert sorted(name for name, _kind in SORTED) == sorted(CODES)  # a name in two kinds is in KINDS only once
    assert sum(len(text.split("\n")) for text in NAMES.values()) < 90  # it stays a table to be read


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("_TRANSPORT", Kind.RETRY),
        ("LEADER_NOT_AVAILABLE", Kind.RETRY),
        ("KAFKA_STORAGE_ERROR", Kind.RETRY),
        ("_MAX_POLL_EXCEEDED", Kind.RETRY),
        ("_BAD_MSG", Kind.PARTITION),
        ("OFFSET_OUT_OF_RANGE", Kind.RETRY),
        ("_LOG_TRUNCATION", Kind.PARTITION),
        ("MSG_SIZE_TOO_LARGE", Kind.RECORD),
        ("TOPIC_AUTHORIZATION_FAILED", Kind.STOP),
        ("FENCED_INSTANCE_ID", Kind.STOP),
        ("_FATAL", Kind.STOP),
        ("_PARTITION_EOF", Kind.NONE),
    ],
)
def test_what_a_code_means(name: str, kind: Kind) -> None:
    assert kind_of(KafkaError(getattr(KafkaError, name))) is kind


def test_an_error_that_calls_itself_fatal_stops_and_an_unknown_one_is_tried_again() -> None:
    assert kind_of(KafkaError(KafkaError._TRANSPORT, "x", fatal=True)) is Kind.STOP
    assert kind_of(KafkaError(9999)) is Kind.RETRY


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (KafkaError._TIMED_OUT, BrokerAwayError, "the broker reports: Local: Timed out"),
        (KafkaError._BAD_COMPRESSION, PartitionError, r"t \[3\] cannot be read on at offset 7: Local: Invalid compr"),
        (KafkaError.MSG_SIZE_TOO_LARGE, PartitionError, r"t \[3\] cannot be read on at offset 7: Broker: Message size"),
        (KafkaError.UNSUPPORTED_VERSION, StopError, '"group.protocol" = "classic"'),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, StopError, "Create it: kafkajourney topic create"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, StopError, "or its ACLs"),
        (KafkaError.FENCED_INSTANCE_ID, StopError, "a group.instance.id of its own"),
        (KafkaError._CRIT_SYS_RESOURCE, StopError, "run: kafkajourney doctor"),
    ],
)
def test_what_a_consumer_makes_of_an_error(code: int, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        raise sorted_error(KafkaError(code), "t", 3, 7)


def test_a_fatal_error_that_is_the_brokers_own_fault_asks_for_another_client() -> None:
    text = "Fatal error: Unknown broker error: ConsumerGroupHeartbeat fatal error: Unknown broker error"
    lost = sorted_error(KafkaError(KafkaError._FATAL, text, fatal=True), "t")
    assert type(lost) is ClientLostError
    assert str(lost) == f"The broker has failed on this consumer's membership ({text}); its log says why."
    assert type(sorted_error(KafkaError(KafkaError.UNKNOWN), "t")) is BrokerAwayError


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("Broker: API version not supported", '"group.protocol" = "classic"'),
        ("Broker: Static consumer fenced by other consumer with same group.instance.id", "of its own in"),
        ("Broker: Group authorization failed", "or its ACLs"),
        ("something else", "something else. See what it says"),
    ],
)
def test_a_fatal_error_is_told_by_its_cause(cause: str, words: str) -> None:
    with pytest.raises(StopError, match=words):
        raise sorted_error(KafkaError(KafkaError._FATAL, f"Fatal error: {cause}"), "t", -1, -1)


def test_the_cause_of_what_a_producer_raises_is_found_also_where_it_is_hidden() -> None:
    denied = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "denied", fatal=True)
    hidden = SystemError("returned a result with an exception set")
    hidden.__cause__ = KafkaException(denied)
    assert cause_of(KafkaException(denied)) is denied
    assert cause_of(hidden) is denied
    assert cause_of(SystemError("nothing behind it")).fatal()
