"""The embedded broker: librdkafka's mock cluster, from the library inside the confluent-kafka wheel.

It speaks the Kafka protocol over TCP on the loopback interface, so that other processes use it like any broker.
It keeps everything in memory, at most 5 MiB or 100,000 batches a partition, and drops the oldest beyond that
(``rd_kafka_mock_partition_new`` in librdkafka's rdkafka_mock.c). See docs/decisions/0004-embedded-default.md.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files

from kafkajourney.errors import StopError

_PRODUCER = 0  # RD_KAFKA_PRODUCER: the mock cluster hangs on a client, of any kind
_SESSION_TIMEOUT_MS = 3_000
_HEARTBEAT_INTERVAL_MS = 500


@contextmanager
def embedded_broker(topic: str, partitions: int) -> Iterator[str]:
    """Run a broker with one topic until the block ends; yield its ``host:port``.

    Raises StopError where the wheel has no such library.
    """
    library = _load_library()
    client = _new_client(library)
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    try:
        # Without these a killed consumer's partitions would wait 30 s for another owner.
        library.rd_kafka_mock_set_group_consumer_session_timeout_ms(cluster, _SESSION_TIMEOUT_MS)
        library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(cluster, _HEARTBEAT_INTERVAL_MS)
        if library.rd_kafka_mock_topic_create(cluster, topic.encode(), partitions, 1):
            raise StopError(f"The embedded broker could not create topic {topic!r} with {partitions} partitions.")
        yield library.rd_kafka_mock_cluster_bootstraps(cluster).decode()
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)


def _new_client(library: ctypes.CDLL) -> int:
    reason = ctypes.create_string_buffer(512)
    properties = library.rd_kafka_conf_new()
    # Errors only: the client itself connects to nobody, and says so at a lower level.
    library.rd_kafka_conf_set(properties, b"log_level", b"3", None, 0)
    client = library.rd_kafka_new(_PRODUCER, properties, reason, len(reason))
    if not client:
        raise StopError(f"The embedded broker could not start: {reason.value.decode()}.")
    return int(client)


def _load_library() -> ctypes.CDLL:
    """Return the wheel's librdkafka with the signatures of what is used of it (rdkafka.h, rdkafka_mock.h)."""
    paths = [
        f.locate() for f in files("confluent-kafka") or () if f.name.startswith("librdkafka") and f.suffix != ".py"
    ]
    if not paths:
        raise StopError(
            "The embedded broker needs the librdkafka inside confluent-kafka's wheel; this installation has none. "
            "Install the wheel (pip install --only-binary :all: confluent-kafka), or use a real broker."
        )
    library = ctypes.CDLL(str(paths[0]))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_set_group_consumer_session_timeout_ms", None, [pointer, number]),
        ("rd_kafka_mock_set_group_consumer_heartbeat_interval_ms", None, [pointer, number]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
