"""Together with others: records that others read and write, their partitions, their transactions, their assignors."""

import io
import json
import signal
import struct
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import avro.io
import avro.schema
import pytest
from confluent_kafka import ConsumerGroupType, Message, Producer
from confluent_kafka.schema_registry import topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from kafkajourney.avro.catalogue import SchemaVersion, load
from kafkajourney.kafka import clients, reading
from kafkajourney.registry.client import Registry
from kafkajourney.registry.encoder import Encoder
from kafkajourney.settings import TOML_FILE, Settings
from producer.simulator import simulate
from tests.stack import Missing, RealStack
from tests.stack.download import java, java_serdes
from tests.support.pipeline import rows, store_all, verified
from tests.support.processes import Commands, Running, missing_part, wait_for

pytestmark = pytest.mark.stack

COUNT = 300
JAVA_DEADLINE = 60.0
NAMESPACE = "kafkajourney.events."

Place = tuple[int, int]
Fields = dict[str, Any]


@pytest.fixture
def settings(real: RealStack, request: pytest.FixtureRequest) -> Iterator[Settings]:
    yield real.fresh(f"others-{uuid4().hex[:12]}")
    print(real.last_lines())  # shown where the test fails


def stored(settings: Settings) -> dict[Place, Fields]:
    """Return what is stored: each event's type and fields by its place."""
    columns = '"partition", "offset", event_type, event_id, user_id, session_id, page_url, occurred_at, payload'
    return {
        (partition, offset): {
            "type": kind,
            "event_id": event_id,
            "user_id": user_id,
            "session_id": session_id,
            "page_url": page_url,
            "occurred_at": milliseconds(datetime.fromisoformat(occurred_at).replace(tzinfo=UTC)),
            **json.loads(payload),
        }
        for partition, offset, kind, event_id, user_id, session_id, page_url, occurred_at, payload in rows(
            settings, f"SELECT {columns} FROM journey_events"
        )
    }


def untyped(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name != "type"}


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def version(event_type: str, number: int) -> SchemaVersion:
    return load()[event_type].versions[number - 1]


def schema_id(settings: Settings, subject: str, number: int) -> int:
    registry = Registry(settings)
    with registry.client as client:
        return int(client.get_version(subject, number).schema_id or 0)


# --- others read what our producer wrote ----------------------------------------------------------------------------


def test_java_reads_what_our_producer_wrote(
    real: RealStack, settings: Settings, real_commands: Commands, tmp_path: Path
) -> None:
    real_commands.run("producer", "--rate", "0", "--count", str(COUNT))
    real_commands.run("consumers.journey", "--until-caught-up")
    read: dict[Place, Fields] = {}
    for line in run_java(real, settings, tmp_path, "read", str(COUNT)):
        partition, offset, key, name, fields = line.split("\t")
        found = {"type": name.removeprefix(NAMESPACE), **json.loads(fields)}
        assert key == found["user_id"]
        read[int(partition), int(offset)] = found
    assert read == stored(settings)
    assert len(read) == COUNT


def test_confluent_s_deserializer_reads_what_our_producer_wrote(settings: Settings, real_commands: Commands) -> None:
    real_commands.run("producer", "--rate", "0", "--count", str(COUNT))
    real_commands.run("consumers.journey", "--until-caught-up")
    registry = Registry(settings)
    with registry.client as client:
        deserialize = AvroDeserializer(client)
        context = SerializationContext(settings.topic, MessageField.VALUE)
        read = {place(message): as_stored(deserialize(message.value(), context)) for message in all_records(settings)}
    assert read == {place: untyped(fields) for place, fields in stored(settings).items()}
    assert len(read) == COUNT


def place(message: Message) -> Place:
    return message.partition() or 0, message.offset() or 0


def as_stored(fields: Any) -> Fields:
    assert isinstance(fields["event_id"], UUID)
    return {**fields, "event_id": str(fields["event_id"]), "occurred_at": milliseconds(fields["occurred_at"])}


def all_records(settings: Settings) -> list[Message]:
    reader = clients.reader(settings)
    try:
        return [
            message
            for partition, end in reading.end_offsets(settings).items()
            for message in reading.records(reader, settings.topic, partition, 0, end)
        ]
    finally:
        reader.close()


# --- our consumers read what others wrote ---------------------------------------------------------------------------


def event(event_type: str, user: str, **own: object) -> Fields:
    """Return an event as a record of Avro's logical types."""
    common = {"event_id": uuid4(), "user_id": user, "session_id": "s", "page_url": "https://example.com/ü"}
    return {"type": event_type, **common, "occurred_at": datetime(2026, 3, 14, 9, 26, 53, 589_000, UTC), **own}


OF_VERSION_1 = partial(event, "VideoPlayed", "zoë", video_id="tour", position_seconds=12.5)
EVENTS = [
    (1, OF_VERSION_1()),
    (2, OF_VERSION_1(playback_rate=1.75)),
    (1, event("PageViewed", "漢字", title="Straße", referrer=None)),
    (1, event("FormSubmitted", "ada", form_id="order", fields=["name", "größe"])),
    (1, event("SearchPerformed", "ada", query="käse", results=7)),
]
"""Events, each with the version of the schema by which it is written."""


def expected() -> list[Fields]:
    """Return the events as they have to be stored: by the newest version of their type."""
    defaults = {"VideoPlayed": {"playback_rate": 1.0}}
    return [{**defaults.get(fields["type"], {}), **as_stored(fields)} for _, fields in EVENTS]


def require_stored(settings: Settings, commands: Commands) -> None:
    store_all(commands)
    assert sorted(stored(settings).values(), key=by_id) == sorted(expected(), key=by_id)
    assert rows(settings, "SELECT user_id, plays FROM video_plays") == [("zoë", 2)]
    commands.run("kafkajourney", "verify")


def by_id(fields: Fields) -> str:
    return str(fields["event_id"])


def test_what_java_wrote_is_stored(
    real: RealStack, settings: Settings, real_commands: Commands, tmp_path: Path
) -> None:
    lines = [java_line(tmp_path, number, fields) for number, fields in EVENTS]
    assert len(run_java(real, settings, tmp_path, "write", lines=lines)) == len(EVENTS)
    require_stored(settings, real_commands)


def java_line(folder: Path, number: int, fields: Fields) -> str:
    """Return a line for the Java program: key, schema file, and the event as Avro writes it in JSON."""
    wanted = version(fields["type"], number)
    path = folder / f"{wanted.name}-{number}.avsc"
    path.write_text(wanted.text, encoding="utf-8")
    values = untyped(as_stored(fields))
    if isinstance(values.get("title"), str):
        values["title"] = {"string": values["title"]}
    return "\t".join([fields["user_id"], str(path), json.dumps(values)])


def test_what_apache_s_python_writer_wrote_is_stored(settings: Settings, real_commands: Commands) -> None:
    def encoded(number: int, fields: Fields) -> bytes:
        wanted = version(fields["type"], number)
        body = io.BytesIO()
        values = {**untyped(fields), "event_id": str(fields["event_id"])}  # this writer takes no UUID object
        avro.io.DatumWriter(avro.schema.parse(wanted.text)).write(values, avro.io.BinaryEncoder(body))
        return struct.pack(">bI", 0, schema_id(settings, wanted.subject, number)) + body.getvalue()

    produce(settings, [(fields["user_id"], encoded(number, fields)) for number, fields in EVENTS])
    require_stored(settings, real_commands)


def test_what_was_written_by_the_topic_s_union_is_stored(settings: Settings, real_commands: Commands) -> None:
    registry = Registry(settings)
    with registry.client as client:
        union = client.get_latest_version(f"{settings.topic}-value").schema
        names = {"auto.register.schemas": False, "subject.name.strategy": topic_subject_name_strategy}
        serialize = AvroSerializer(client, union, conf=names)
        context = SerializationContext(settings.topic, MessageField.VALUE)

        def encoded(fields: Fields) -> bytes:
            value = serialize((NAMESPACE + fields["type"], untyped(fields)), context)
            assert isinstance(value, bytes)
            return value

        # The union knows the newest version of each type: what is missing takes its default.
        produce(settings, [(fields["user_id"], encoded(fields)) for _, fields in EVENTS])
    require_stored(settings, real_commands)


def produce(settings: Settings, records: Iterable[tuple[str, bytes]]) -> None:
    producer = clients.producer(settings)
    for key, value in records:
        producer.produce(settings.topic, key=key.encode(), value=value)
    assert producer.flush(30) == 0


# --- keys -----------------------------------------------------------------------------------------------------------


def test_java_puts_the_same_users_into_the_same_partitions(real: RealStack, settings: Settings, tmp_path: Path) -> None:
    users = [f"{name}-{number}" for number in range(40) for name in ("user", "zoë", "Straße", "漢字", "🙂")]
    theirs = [int(partition) for partition in run_java(real, settings, tmp_path, "keys", lines=users)]
    produce(settings, [(user, b"") for user in users])
    ours = {message.key(): message.partition() for message in all_records(settings) if message.value() == b""}
    assert [ours[user.encode()] for user in users] == theirs
    assert set(theirs) == {0, 1, 2}


# --- transactions ---------------------------------------------------------------------------------------------------


def transactional(settings: Settings) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "transactional.id": f"test-{uuid4().hex}",
            "transaction.timeout.ms": 60_000,
        }
    )
    producer.init_transactions(30)
    return producer


def put(producer: Producer, settings: Settings, count: int, seed: int) -> None:
    """Produce simulated events in a transaction of their own, which stays open."""
    producer.begin_transaction()
    registry = Registry(settings)
    with registry.client:
        encode = Encoder(registry, load(), settings.topic)
        for made in islice(simulate(20, seed), count):
            producer.produce(settings.topic, key=made.user_id.encode(), value=encode(made))
    assert producer.flush(30) == 0


def xfail_on_the_embedded_stack(stack: Settings, request: pytest.FixtureRequest) -> None:
    if stack.embedded:
        reason = "librdkafka's mock cluster shows the records of aborted transactions"
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))


def test_only_committed_events_are_stored(stack: Settings, commands: Commands, request: pytest.FixtureRequest) -> None:
    xfail_on_the_embedded_stack(stack, request)
    producer = transactional(stack)
    for seed in range(4):
        put(producer, stack, 50, seed)
        (producer.abort_transaction if seed % 2 else producer.commit_transaction)(30)
    store_all(commands)  # the last records on the topic are aborted ones, and markers of transactions
    assert rows(stack, "SELECT COUNT(*) FROM journey_events") == [(100,)]
    assert "produced 100, stored 100, missing 0" in commands.run("kafkajourney", "verify")
    commands.run("producer", "--rate", "0", "--count", "100")
    store_all(commands)
    assert "produced 200, stored 200, missing 0" in commands.run("kafkajourney", "verify")


def test_an_open_transaction_is_neither_stored_nor_waited_for(settings: Settings, real_commands: Commands) -> None:
    producer = transactional(settings)
    put(producer, settings, 50, 1)
    producer.commit_transaction(30)
    put(producer, settings, 50, 2)
    store_all(real_commands)
    assert "produced 50, stored 50, missing 0" in real_commands.run("kafkajourney", "verify")
    producer.commit_transaction(30)
    store_all(real_commands)
    assert "produced 100, stored 100, missing 0" in real_commands.run("kafkajourney", "verify")


# --- assignors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("assignor", ["cooperative-sticky", "range"])
def test_the_classic_protocol_works_by_settings(
    settings: Settings, real_commands: Commands, tmp_path: Path, assignor: str
) -> None:
    properties = {
        "group.protocol": "classic",
        "partition.assignment.strategy": assignor,
        "session.timeout.ms": "6000",
        "heartbeat.interval.ms": "1000",
    }
    lines = [f'"{name}" = "{value}"' for name, value in properties.items()]
    (tmp_path / TOML_FILE).write_text("\n".join(["[kafka]", *lines]))
    producer = real_commands.start("producer", "--rate", "200", "--count", "4000", "--users", "50")
    members = [start_member(real_commands) for _ in range(3)]  # each one joins under load
    analytic = real_commands.start("consumers.analytic")
    assert assignor_of("journey", settings) == assignor
    leave(members.pop())
    members.pop().process.kill()
    require_progress(settings)
    members.append(start_member(real_commands))
    assert "produced 4000 events" in producer.end()
    verified(real_commands)
    for consumer in [*members, analytic]:
        leave(consumer)


def assignor_of(group: str, settings: Settings) -> str:
    """Return the assignor by which the group's members share the partitions."""
    admin = clients.admin(settings)  # kept: without it the answer never comes
    found = admin.describe_consumer_groups([group])[group].result(timeout=30)
    assert found.type == ConsumerGroupType.CLASSIC
    return str(found.partition_assignor)


def start_member(commands: Commands) -> Running:
    member = commands.start("consumers.journey")
    member.read_until("assigned")
    return member


def leave(member: Running) -> None:
    member.process.send_signal(signal.SIGTERM)
    member.end(130)


def require_progress(settings: Settings) -> None:
    """Wait until what is on the topic now is stored."""
    ends = reading.end_offsets(settings)
    query = "SELECT \"partition\", next_offset FROM consumer_progress WHERE consumer_group = 'journey'"
    wait_for(lambda: all(dict(rows(settings, query)).get(p, 0) >= end for p, end in ends.items()))


# --- Java -----------------------------------------------------------------------------------------------------------


def run_java(
    real: RealStack, settings: Settings, folder: Path, *arguments: str, lines: Iterable[str] = ()
) -> list[str]:
    """Run the Java program below with these lines as its input; return the lines that it prints."""
    try:
        program, options = java(), ["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", f"{java_serdes()}/*"]
    except Missing as missing:
        missing_part(missing)
    source = folder / "Others.java"
    source.write_text(OTHERS, encoding="utf-8")
    registry = real.registry.url.replace("/apis/ccompat/v7", "/apis/registry/v2")
    command, *rest = arguments
    done = subprocess.run(
        [program, *options, str(source), command, settings.bootstrap_servers, registry, settings.topic, *rest],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=JAVA_DEADLINE,
        check=False,
    )
    if "jdk.compiler" in done.stderr:
        missing_part(Missing("Java is there without its compiler (apt install default-jdk-headless)."))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


OTHERS = """
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Reads and writes a topic with Java's own client, and with Apicurio's serializers in Confluent's format. */
class Others {
  static final String AVRO = "io.apicurio.registry.serde.avro.";
  static final String STRING = "org.apache.kafka.common.serialization.String";

  public static void main(String[] arguments) throws Exception {
    String topic = arguments[3];
    Map<String, Object> properties = new HashMap<>(Map.of(
        "bootstrap.servers", arguments[1],
        "key.serializer", STRING + "Serializer",
        "key.deserializer", STRING + "Deserializer",
        "apicurio.registry.url", arguments[2],
        "apicurio.registry.as-confluent", "true",
        "apicurio.registry.use-id", "contentId",
        "apicurio.registry.headers.enabled", "false",
        "apicurio.registry.auto-register", "false",
        "apicurio.registry.artifact-resolver-strategy", AVRO + "strategy.QualifiedRecordIdStrategy"));
    properties.put("value.deserializer", AVRO + "AvroKafkaDeserializer");
    switch (arguments[0]) {
      case "read" -> read(properties, topic, Integer.parseInt(arguments[4]));
      case "write" -> write(properties, AVRO + "AvroKafkaSerializer", topic);
      case "keys" -> write(properties, STRING + "Serializer", topic);
    }
  }

  /** Prints partition, offset, key, type and fields of so many records. */
  static void read(Map<String, Object> properties, String topic, int count) {
    try (var consumer = new KafkaConsumer<String, GenericRecord>(properties)) {
      var all = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(all);
      consumer.seekToBeginning(all);
      for (int found = 0; found < count; ) {
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          found++;
          GenericRecord value = record.value();
          System.out.println(String.join("\\t", "" + record.partition(), "" + record.offset(), record.key(),
              value.getSchema().getFullName(), value.toString()));
        }
      }
    }
  }

  /** Produces lines of a key alone, or of a key, the file of a schema and JSON; prints the partition of each. */
  static void write(Map<String, Object> properties, String ofValues, String topic) throws Exception {
    properties.put("value.serializer", ofValues);
    try (var producer = new KafkaProducer<String, Object>(properties);
        var lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"))) {
      for (String line; (line = lines.readLine()) != null; ) {
        String[] columns = line.split("\\t");
        Object value = columns.length == 1 ? line : parse(Path.of(columns[1]), columns[2]);
        System.out.println(producer.send(new ProducerRecord<>(topic, columns[0], value)).get().partition());
      }
    }
  }

  static Object parse(Path file, String json) throws Exception {
    Schema schema = new Schema.Parser().parse(file.toFile());
    return new GenericDatumReader<GenericRecord>(schema).read(null, DecoderFactory.get().jsonDecoder(schema, json));
  }
}
"""
