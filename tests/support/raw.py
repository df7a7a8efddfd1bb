"""A record as clients in other languages can make it, and Python's cannot: with any bytes as the name of a header."""

import ctypes
from importlib.metadata import files

from kafkajourney.settings import Settings

# Of rd_kafka_vtype_t and rd_kafka_type_t in rdkafka.h.
TOPIC, PARTITION, VALUE, KEY = 1, 3, 4, 5
HEADERS, END = 10, 0
PRODUCER = 0


def produce_with_header(settings: Settings, partition: int, key: bytes, value: bytes, name: bytes) -> None:
    (path,) = [f.locate() for f in files("confluent-kafka") or () if f.name.startswith("librdkafka-")]
    library = ctypes.CDLL(str(path))
    for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, function).restype = ctypes.c_void_p
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(conf, b"bootstrap.servers", settings.bootstrap_servers.encode(), None, ctypes.c_size_t(0))
    producer = ctypes.c_void_p(library.rd_kafka_new(PRODUCER, conf, None, ctypes.c_size_t(0)))
    headers = ctypes.c_void_p(library.rd_kafka_headers_new(ctypes.c_size_t(1)))
    size = ctypes.c_ssize_t
    library.rd_kafka_header_add(headers, ctypes.c_char_p(name), size(len(name)), b"x", size(1))
    topic = ctypes.c_char_p(settings.topic.encode())
    error = library.rd_kafka_producev(
        *(producer, TOPIC, topic, PARTITION, ctypes.c_int32(partition)),
        *(VALUE, ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(KEY, ctypes.c_char_p(key), ctypes.c_size_t(len(key))),
        *(HEADERS, headers, END),
    )
    assert error == 0
    assert library.rd_kafka_flush(producer, 30_000) == 0
    library.rd_kafka_destroy(producer)
