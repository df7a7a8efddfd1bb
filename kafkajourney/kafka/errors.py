"""What each error that librdkafka hands out means for the one who gets it. Pure.

The codes are those of ``rd_kafka_resp_err_t`` (https://github.com/confluentinc/librdkafka/blob/master/src/rdkafka.h);
the positive ones are the protocol's, with whether trying again helps (https://kafka.apache.org/protocol#protocol_error_codes).
"""

import re
from enum import Enum

from confluent_kafka import KafkaError, KafkaException

from kafkajourney.errors import BrokerAwayError, ClientLostError, PartitionError, StopError, TransientError


class Kind(Enum):
    """What whoever gets an error does."""

    RETRY = "an outage, or a state that passes: try again"
    PARTITION = "one partition cannot be read on: it stops, the others go on"
    RECORD = "one record cannot be produced: the others can"
    STOP = "the deployment is wrong: trying again does not help"
    NONE = "no error, or never handed out to what this project asks for"


NAMES = {
    Kind.RETRY: """
        # The connection, and who leads what just now.
        _TRANSPORT _RESOLVE _ALL_BROKERS_DOWN _TIMED_OUT _TIMED_OUT_QUEUE _MSG_TIMED_OUT _WAIT_COORD _WAIT_CACHE
        _NODE_UPDATE _UNKNOWN_BROKER _FAIL _INTR _RETRY _PARTIAL _DESTROY_BROKER _QUEUE_FULL _IN_PROGRESS
        _PREV_IN_PROGRESS _OUTDATED _NO_OFFSET _PURGE_QUEUE _PURGE_INFLIGHT _ISR_INSUFF _STATE _NOENT
        LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION REQUEST_TIMED_OUT BROKER_NOT_AVAILABLE REPLICA_NOT_AVAILABLE
        NETWORK_EXCEPTION KAFKA_STORAGE_ERROR NOT_CONTROLLER LISTENER_NOT_FOUND FENCED_LEADER_EPOCH
        UNKNOWN_LEADER_EPOCH OFFSET_NOT_AVAILABLE PREFERRED_LEADER_NOT_AVAILABLE ELIGIBLE_LEADERS_NOT_AVAILABLE
        STALE_CTRL_EPOCH STALE_BROKER_EPOCH REASSIGNMENT_IN_PROGRESS FETCH_SESSION_ID_NOT_FOUND
        INVALID_FETCH_SESSION_EPOCH THROTTLING_QUOTA_EXCEEDED UNKNOWN NOT_ENOUGH_REPLICAS
        NOT_ENOUGH_REPLICAS_AFTER_APPEND REBOOTSTRAP_REQUIRED UNKNOWN_TOPIC_ID INCONSISTENT_TOPIC_ID
        # The topic may not have the offset any more: where the partition is settled anew, that is told in full.
        OFFSET_OUT_OF_RANGE _AUTO_OFFSET_RESET
        # The group: librdkafka joins again by itself.
        _MAX_POLL_EXCEEDED _ASSIGNMENT_LOST COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR
        ILLEGAL_GENERATION UNKNOWN_MEMBER_ID REBALANCE_IN_PROGRESS MEMBER_ID_REQUIRED FENCED_MEMBER_EPOCH
        STALE_MEMBER_EPOCH UNSTABLE_OFFSET_COMMIT GROUP_MAX_SIZE_REACHED
        # The idempotent producer: what has no remedy comes as _FATAL.
        OUT_OF_ORDER_SEQUENCE_NUMBER UNKNOWN_PRODUCER_ID DUPLICATE_SEQUENCE_NUMBER CONCURRENT_TRANSACTIONS
    """,
    Kind.PARTITION: """
        # What is stored cannot be read: a checksum, a compression, a batch that is larger than a fetch may be.
        _BAD_MSG _BAD_COMPRESSION _UNDERFLOW _INCONSISTENT _NOT_IMPLEMENTED INVALID_MSG INVALID_MSG_SIZE
        UNSUPPORTED_COMPRESSION_TYPE UNSUPPORTED_FOR_MESSAGE_FORMAT
        # The topic does not have the partition, or what was read of it is no longer there.
        _UNKNOWN_PARTITION _LOG_TRUNCATION
    """,
    Kind.RECORD: """
        MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE INVALID_RECORD _INVALID_DIFFERENT_RECORD INVALID_TIMESTAMP
        _KEY_SERIALIZATION _VALUE_SERIALIZATION _KEY_DESERIALIZATION _VALUE_DESERIALIZATION
    """,
    Kind.STOP: """
        # Somebody has to change a setting, a right, or the topic.
        _FATAL _CRIT_SYS_RESOURCE _FS _INVALID_ARG _UNKNOWN_TOPIC _UNKNOWN_GROUP _SSL _AUTHENTICATION
        _UNSUPPORTED_FEATURE _UNKNOWN_PROTOCOL _NOT_CONFIGURED _READ_ONLY _FENCED _CONFLICT _EXISTING_SUBSCRIPTION
        _INVALID_TYPE _GAPLESS_GUARANTEE _APPLICATION UNKNOWN_TOPIC_OR_PART TOPIC_EXCEPTION INVALID_REQUIRED_ACKS
        INCONSISTENT_GROUP_PROTOCOL INVALID_GROUP_ID INVALID_SESSION_TIMEOUT INVALID_COMMIT_OFFSET_SIZE
        OFFSET_METADATA_TOO_LARGE TOPIC_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED
        TRANSACTIONAL_ID_AUTHORIZATION_FAILED UNSUPPORTED_SASL_MECHANISM ILLEGAL_SASL_STATE SASL_AUTHENTICATION_FAILED
        SECURITY_DISABLED UNSUPPORTED_VERSION INVALID_REQUEST INVALID_PARTITIONS INVALID_REPLICATION_FACTOR
        INVALID_REPLICA_ASSIGNMENT INVALID_CONFIG TOPIC_ALREADY_EXISTS POLICY_VIOLATION INVALID_PRODUCER_EPOCH
        PRODUCER_FENCED LOG_DIR_NOT_FOUND FENCED_INSTANCE_ID UNRELEASED_INSTANCE_ID UNSUPPORTED_ASSIGNOR
        INVALID_REGULAR_EXPRESSION MISMATCHED_ENDPOINT_TYPE UNSUPPORTED_ENDPOINT_TYPE
        PRINCIPAL_DESERIALIZATION_FAILURE INVALID_PRINCIPAL_TYPE TOPIC_DELETION_DISABLED NON_EMPTY_GROUP
        GROUP_ID_NOT_FOUND GROUP_SUBSCRIBED_TO_TOPIC OPERATION_NOT_ATTEMPTED UNACCEPTABLE_CREDENTIAL
        RESOURCE_NOT_FOUND DUPLICATE_RESOURCE
    """,
    Kind.NONE: """
        # Answers that are no errors, and events of librdkafka's own.
        NO_ERROR _PARTITION_EOF _ASSIGN_PARTITIONS _REVOKE_PARTITIONS _NOOP _DESTROY
        # Transactions, tokens, elections, features, voters, telemetry, share and streams groups: not used.
        INVALID_TXN_STATE INVALID_PRODUCER_ID_MAPPING INVALID_TRANSACTION_TIMEOUT TRANSACTION_ABORTABLE
        TRANSACTION_COORDINATOR_FENCED DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_NOT_FOUND
        DELEGATION_TOKEN_OWNER_MISMATCH DELEGATION_TOKEN_REQUEST_NOT_ALLOWED DELEGATION_TOKEN_EXPIRED
        DELEGATION_TOKEN_AUTHORIZATION_FAILED ELECTION_NOT_NEEDED NO_REASSIGNMENT_IN_PROGRESS INCONSISTENT_VOTER_SET
        INVALID_UPDATE_VERSION FEATURE_UPDATE_FAILED INVALID_REGISTRATION INVALID_VOTER_KEY DUPLICATE_VOTER
        VOTER_NOT_FOUND UNKNOWN_CONTROLLER_ID UNKNOWN_SUBSCRIPTION_ID TELEMETRY_TOO_LARGE INVALID_RECORD_STATE
        SHARE_SESSION_NOT_FOUND INVALID_SHARE_SESSION_EPOCH FENCED_STATE_EPOCH SHARE_SESSION_LIMIT_REACHED
        STREAMS_INVALID_TOPOLOGY STREAMS_INVALID_TOPOLOGY_EPOCH STREAMS_TOPOLOGY_FENCED
    """,
}
"""The names of ``KafkaError`` by what they mean; behind a ``#`` stands why."""

SORTED = [(name, kind) for kind, text in NAMES.items() for name in re.sub("#.*", "", text).split()]
"""Each code's name with what it means."""

KINDS = dict(SORTED)
"""What each code means, by its name."""

_OF_CODES = {getattr(KafkaError, name): kind for name, kind in KINDS.items() if hasattr(KafkaError, name)}


def kind_of(error: KafkaError) -> Kind:
    """Return what an error means; one that a newer librdkafka has added is an outage unless it calls itself fatal."""
    return Kind.STOP if error.fatal() else _OF_CODES.get(error.code(), Kind.RETRY)


def cause_of(error: KafkaException | SystemError, last_words: str = "") -> KafkaError:
    """Return the error of a client's call, also where confluent-kafka hides it.

    It sets a fatal error of a producer as an exception within ``poll`` and ``flush``; the next callback in Python fails
    on that with a SystemError, which mostly has it as its cause. ``last_words``: what the client logged as it failed.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KafkaException) and isinstance(cause.args[0], KafkaError):
            return cause.args[0]
        cause = cause.__cause__ or cause.__context__
    return KafkaError(KafkaError._FATAL, last_words or "the producer has failed for good", fatal=True)


def is_denied(error: KafkaError) -> bool:
    """Whether the user may not do what was asked for."""
    return _is_one_of(error, _DENIED)


def is_end(error: KafkaError) -> bool:
    """Whether this is only the end of a partition."""
    return bool(error.code() == KafkaError._PARTITION_EOF)


_DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
}
_TOO_OLD = {KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE}
_SAME_INSTANCE = {KafkaError.FENCED_INSTANCE_ID, KafkaError.UNRELEASED_INSTANCE_ID}
_BROKERS_FAULT = {KafkaError.UNKNOWN}
_GONE = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}


def sorted_error(
    error: KafkaError, topic: str, partition: int | None = None, offset: int | None = None
) -> StopError | PartitionError | TransientError:
    """Return what an error means to a consumer that reads this topic, there where it came up."""
    reason = error.str()
    match kind_of(error):
        case Kind.STOP if _is_one_of(error, _BROKERS_FAULT):
            return ClientLostError(f"The broker has failed on this consumer's membership ({reason}); its log says why.")
        case Kind.STOP:
            return StopError(_why_stopped(error, topic, reason))
        case Kind.PARTITION | Kind.RECORD:
            return PartitionError(
                f"{topic} [{partition}] cannot be read on at offset {offset}: {reason}. Nothing of it was skipped. "
                "Look at the broker's disk and replicas; where the records are lost, accept the gap by setting "
                "next_offset in consumer_progress by hand to the offset behind them."
            )
    return BrokerAwayError(f"the broker reports: {reason}")


def _why_stopped(error: KafkaError, topic: str, reason: str) -> str:
    if _is_one_of(error, _TOO_OLD):
        return (
            f"The broker does not serve the group protocol of KIP-848 ({reason}); it came with Kafka 4.0. Set "
            '"group.protocol" = "classic" and "partition.assignment.strategy" = "cooperative-sticky" in [kafka].'
        )
    if _is_one_of(error, _GONE):
        return f"Topic {topic!r} does not exist any more ({reason}). Create it: kafkajourney topic create"
    if _is_one_of(error, _DENIED):
        return f"The broker refuses access to {topic!r}: {reason}. Correct the [kafka] settings or its ACLs."
    if _is_one_of(error, _SAME_INSTANCE):
        return (
            f"Another consumer has the same group.instance.id ({reason}). "
            "Give each consumer a group.instance.id of its own in [kafka], or none."
        )
    return f"The Kafka client cannot go on: {reason}. See what it says of [kafka], and run: kafkajourney doctor"


def _is_one_of(error: KafkaError, codes: set[int]) -> bool:
    """Whether an error is one of these, or a fatal one for such a cause, which only its text says."""
    if error.code() != KafkaError._FATAL:
        return error.code() in codes
    return any(KafkaError(code).str() in error.str() for code in codes)
