"""What an error that the Kafka client reports means to a consumer. Pure."""

from confluent_kafka import KafkaError

from kafkajourney.errors import BrokerAwayError, StopError, TransientError

_DENIED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
)
_TOO_OLD = (KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE)


def sorted_error(error: KafkaError, topic: str) -> StopError | TransientError:
    """Return whether an error that ``consume`` reports is an outage or the end."""
    code, reason = error.code(), error.str()
    if code in _TOO_OLD:
        return StopError(
            f"The broker does not know the group protocol of KIP-848 ({reason}); it came with Kafka 4.0. Set "
            '"group.protocol" = "classic" and "partition.assignment.strategy" = "cooperative-sticky" in [kafka].'
        )
    if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
        return StopError(f"Topic {topic!r} does not exist any more ({reason}). Create it: kafkajourney topic create")
    if code in _DENIED:
        return StopError(f"The broker refuses access to {topic!r}: {reason}. Correct the [kafka] settings or its ACLs.")
    if error.fatal():
        return StopError(f"The Kafka client cannot go on: {reason}")
    return BrokerAwayError(f"the broker reports: {reason}")
