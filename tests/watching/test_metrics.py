"""What a process measures of itself: each figure as it should be, at rest, in an outage and through a rebalance."""

import json
import os
import re
import signal
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from kafkajourney.database import engines
from kafkajourney.errors import (
    BrokerAwayError,
    DatabaseAwayError,
    DecodeError,
    FencedError,
    PartitionError,
    TransientError,
)
from kafkajourney.events import Decoded, Move, Record
from kafkajourney.kafka import clients, reading
from kafkajourney.producing.publish import Publisher
from kafkajourney.settings import Settings
from kafkajourney.watching.consumer_metrics import ConsumerMetrics, by_type, oldest
from kafkajourney.watching.health import Health, Probe
from kafkajourney.watching.observer import Stored
from kafkajourney.watching.producer_metrics import LATENCIES, ProducerMetrics
from schemas.events import UrlClicked
from tests.stack import RealStack
from tests.support.observed import Figures, Observed, collected, lag_is_right, stored_progress
from tests.support.processes import ROOT, Commands, wait_for

TOPIC = "journeys"
OPERATIONS = ROOT / "docs" / "operations.md"

# --- pure -------------------------------------------------------------------------------------------------------


class Message:
    """What the metrics read of a ``confluent_kafka.Message``."""

    def __init__(self, size: int = 10, produced: float | None = None) -> None:
        self.size = size
        self.produced = produced

    def __len__(self) -> int:
        return self.size

    def timestamp(self) -> tuple[int, int]:
        return (0, 0) if self.produced is None else (1, int(self.produced * 1000))

    def latency(self) -> float:
        return 0.02


def event(occurred: float = 0.0) -> UrlClicked:
    return UrlClicked(UUID(int=1), "ada", "s", "p", datetime.fromtimestamp(occurred, UTC), "t")


def record(partition: int, offset: int, message: Message | None = None, occurred: float = 0.0) -> Record:
    decoded = Decoded("UrlClicked", event(occurred), {})
    return Record(TOPIC, partition, offset, decoded, message or Message())


class Bench:
    """The metrics of a consumer of two partitions that go on at 5 and 7, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ends: Mapping[int, int] | None = {0: 5, 1: 10}
        self.metrics = ConsumerMetrics("journey", TOPIC, self.ask, lambda: self.now)
        self.metrics.assigned([0, 1])
        self.metrics.settled({0: 5, 1: 7})

    def ask(self, partitions: Collection[int]) -> Mapping[int, int]:
        if self.ends is None:
            raise BrokerAwayError("away")
        return {partition: self.ends[partition] for partition in partitions}

    @property
    def figures(self) -> Figures:
        return collected(self.metrics.registry)


def test_lag_is_the_end_less_the_progress() -> None:
    bench = Bench()
    assert bench.figures["progress_offset"] == {("0",): 5, ("1",): 7}
    assert bench.figures["lag_records"] == {("0",): 0, ("1",): 3}
    bench.metrics.stored(Stored([record(1, 7)], {1: Move(7, 8)}, 0.1, 0.1))
    assert bench.figures["lag_records"] == {("0",): 0, ("1",): 2}


def test_lag_goes_on_with_what_was_heard_last_while_the_broker_is_away() -> None:
    bench = Bench()
    assert bench.figures["lag_records"][("1",)] == 3
    bench.ends = None
    assert bench.figures["lag_records"][("1",)] == 3
    bench.metrics.on_statistics({"topics": {TOPIC: {"partitions": {"1": {"hi_offset": 20}}}}})
    assert bench.figures["lag_records"][("1",)] == 13


def test_of_a_partition_that_is_taken_nothing_is_shown() -> None:
    bench = Bench()
    bench.metrics.revoked([1], lost=True)
    assert set(bench.figures["lag_records"]) == set(bench.figures["paused"]) == {("0",)}
    bench.metrics.stored(Stored([], {1: Move(7, 8)}, 0.1, 0.1))
    assert set(bench.figures["progress_offset"]) == {("0",)}
    assert bench.figures["rebalances_total"] == {("assigned",): 1, ("revoked",): 0, ("lost",): 1}


def test_a_partition_that_is_not_settled_yet_has_no_lag() -> None:
    bench = Bench()
    bench.metrics.assigned([2])
    assert ("2",) not in bench.figures["lag_records"]
    assert bench.figures["paused"][("2",)] == 1


def test_a_pause_counts_from_its_begin_and_keeps_the_progress() -> None:
    bench = Bench()
    bench.now = 2000.0
    bench.metrics.failed(DatabaseAwayError("away"), [0, 1], 1.0)
    bench.now = 3000.0
    bench.metrics.failed(DatabaseAwayError("away"), [0, 1], 1.0)
    assert bench.figures["paused_since_timestamp_seconds"] == {("0",): 2000, ("1",): 2000}
    assert bench.figures["lag_records"] == {("0",): 0, ("1",): 3}
    bench.metrics.settled({0: 5, 1: 7})
    assert bench.figures["paused"] == {("0",): 0, ("1",): 0}
    assert "paused_since_timestamp_seconds" not in bench.figures


def test_an_outage_of_one_partition_pauses_that_one() -> None:
    bench = Bench()
    bench.metrics.failed(DatabaseAwayError("away"), [1], 1.0)
    bench.metrics.stored(Stored([record(0, 5)], {0: Move(5, 6)}, 0.1, 0.0))
    assert bench.figures["progress_offset"] == {("0",): 6, ("1",): 7}
    assert bench.figures["paused"] == {("0",): 0, ("1",): 1}


def test_while_an_answer_is_waited_for_all_are_paused() -> None:
    bench = Bench()
    bench.metrics.waiting(5.0)
    assert bench.figures["paused"] == {("0",): 1, ("1",): 1}
    bench.metrics.answered({0: 5})  # the other one was taken meanwhile, or fails
    assert bench.figures["paused"] == {("0",): 0, ("1",): 1}


def test_a_stopped_partition_is_one_that_is_paused_until_it_is_settled() -> None:
    bench = Bench()
    assert bench.figures["stopped"] == {("0",): 0, ("1",): 0}
    bench.metrics.stopped(1, PartitionError("corrupt"))
    assert bench.figures["stopped"] == bench.figures["paused"] == {("0",): 0, ("1",): 1}
    bench.metrics.settled({1: 9})
    assert bench.figures["stopped"] == bench.figures["paused"] == {("0",): 0, ("1",): 0}


@pytest.mark.parametrize(
    ("error", "cause"),
    [(DatabaseAwayError("x"), "database"), (FencedError("x"), "fenced"), (TransientError("x"), "other")],
)
def test_retries_are_counted_by_what_is_away(error: TransientError, cause: str) -> None:
    bench = Bench()
    bench.metrics.failed(error, [0], 1.0)
    assert {of for (of,), times in bench.figures["retries_total"].items() if times} == {cause}


def test_a_dead_letter_is_counted_by_its_class_whatever_its_reason_says() -> None:
    bench = Bench()
    for number in range(5):
        bench.metrics.dead_lettered(Message(), DecodeError(f"reason {number}"))
    assert bench.figures["dead_letters_total"] == {("DecodeError",): 5, ("RefusedError",): 0}


def test_delays_are_those_of_the_oldest_of_each_partition() -> None:
    bench = Bench()
    records = [
        record(0, 5, Message(10, produced=990), occurred=980),
        record(1, 7, Message(20, produced=999), occurred=998),
        record(0, 6, Message(30, produced=1000), occurred=1000),
    ]
    bench.metrics.stored(Stored(records, {0: Move(5, 7), 1: Move(7, 8)}, 0.2, 0.003))
    found = bench.figures
    assert (found["produced_to_stored_seconds_count"][()], found["produced_to_stored_seconds_sum"][()]) == (2, 11)
    assert (found["occurred_to_stored_seconds_count"][()], found["occurred_to_stored_seconds_sum"][()]) == (2, 22)
    assert found["stored_events_total"] == {("UrlClicked",): 3}
    assert found["stored_bytes_total"] == {("UrlClicked",): 60}
    assert found["processed_offsets_total"] == {(): 3}
    assert found["batch_events_sum"] == {(): 3}
    assert found["database_seconds_sum"] == {(): 0.2}
    assert found["commit_to_store_seconds_sum"] == {(): 0.003}


def test_a_record_without_a_time_or_an_event_has_no_delay() -> None:
    bench = Bench()
    bench.metrics.stored(Stored([Record(TOPIC, 0, 5, None, Message(), reason="bad")], {0: Move(5, 6)}, 0.1, 0.1))
    assert bench.figures["produced_to_stored_seconds_count"] == {(): 0}
    assert bench.figures["occurred_to_stored_seconds_count"] == {(): 0}
    assert "stored_events_total" not in bench.figures


def test_clocks_that_differ_make_no_negative_delay() -> None:
    bench = Bench()
    bench.metrics.stored(Stored([record(0, 5, Message(10, 2000), 2000)], {0: Move(5, 6)}, 0.1, 0.1))
    assert bench.figures["produced_to_stored_seconds_sum"] == {(): 0}


def test_records_are_grouped_without_dead_letters() -> None:
    records = [record(0, 1, Message(3)), Record(TOPIC, 1, 1, None, Message(), reason="bad"), record(1, 2, Message(4))]
    assert by_type(records) == {"UrlClicked": (2, 7)}
    assert [(r.partition, r.offset) for r in oldest(records)] == [(0, 1), (1, 1)]


@pytest.mark.parametrize("statistics", [{}, {"topics": {}, "brokers": {}}])
def test_statistics_with_nothing_in_them_change_nothing(statistics: dict[str, Any]) -> None:
    bench = Bench()
    bench.metrics.on_statistics(statistics)
    assert bench.figures["lag_records"] == {("0",): 0, ("1",): 3}


def test_round_trips_are_in_seconds_and_those_of_brokers_that_answered() -> None:
    metrics = ProducerMetrics()
    window = {"avg": 1500, "p99": 20000}
    one, two = {"name": "one", "rtt": window | {"cnt": 3}}, {"name": "two", "rtt": window | {"cnt": 0}}
    metrics.on_statistics({"brokers": {"a": one, "b": two}})
    found = collected(metrics.registry)
    assert found["broker_round_trip_seconds"] == {("one",): 0.0015}
    assert found["broker_round_trip_p99_seconds"] == {("one",): 0.02}


def test_a_producer_shows_what_its_publisher_counts() -> None:
    metrics = ProducerMetrics()
    assert collected(metrics.registry)["queue_events"] == {(): 0}
    publisher: Any = Publisher(lambda **_: [1, 2, 3], lambda _event: b"", TOPIC)  # type: ignore[arg-type] # only its length counts
    publisher.failed = 2
    metrics.watch(publisher)
    metrics.on_delivered(event(), Message(11))
    found = collected(metrics.registry)
    assert found["produced_events_total"] == {("UrlClicked",): 1}
    assert found["produced_bytes_total"] == {("UrlClicked",): 11}
    assert found["delivery_failures_total"] == {(): 2}
    assert found["queue_events"] == {(): 3}
    latency = {float(le): number for (le,), number in found["delivery_latency_seconds_bucket"].items()}
    assert latency == {bound: float(bound >= 0.02) for bound in (*LATENCIES, float("inf"))}
    assert found["delivery_latency_seconds_sum"] == {(): 0.02}


# --- what is documented -----------------------------------------------------------------------------------------


def rows(*registries: CollectorRegistry) -> dict[str, str]:
    """Return for each metric its row in the table of docs/operations.md."""
    found = {}
    for registry in registries:
        for family in registry.collect():
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
            found[name] = f"| `{name}` | {', '.join(labels) or '-'} | {family.documentation} |"
    return found


def everything() -> dict[str, str]:
    """Return the rows of all metrics that there are, each with a sample to have its labels from."""
    bench, producer = Bench(), ProducerMetrics()
    bench.metrics.stored(Stored([record(0, 5)], {0: Move(5, 6)}, 0.1, 0.1))
    bench.metrics.failed(DatabaseAwayError("away"), [0], 1.0)
    producer.on_delivered(event(), Message())
    producer.watch(Publisher(lambda **_: [], lambda _event: b"", TOPIC))  # type: ignore[arg-type]
    for metrics in (bench.metrics, producer):
        metrics.on_statistics({"brokers": {"a": {"name": "a", "rtt": {"cnt": 1, "avg": 1, "p99": 1}}}})
    registry = CollectorRegistry()
    registry.register(Health([Probe("database", lambda: None)]))
    return rows(bench.metrics.registry, producer.registry, registry)


def test_operations_lists_every_metric_and_no_other() -> None:
    documented = re.findall(r"^\| `kafkajourney_.*$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(everything().values())


def test_names_and_units_are_those_of_prometheus() -> None:
    registries = Bench().metrics.registry, ProducerMetrics().registry
    for family in (family for registry in registries for family in registry.collect()):
        assert re.fullmatch(r"kafkajourney_[a-z][a-z0-9_]*", family.name)
        assert not re.search(r"_(ms|millis|microseconds|count|total)$", family.name)
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_events"))


# --- the real thing ---------------------------------------------------------------------------------------------


@pytest.mark.stack
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_through_an_outage_of_the_database_each_figure_is_right(
    real: RealStack, settings: Settings, real_commands: Commands, how: str
) -> None:
    consumer = Observed(real_commands, "consumers.journey")
    wait_for(consumer.is_ready)
    real_commands.run("producer", "--rate", "0", "--count", "200")
    poison(settings)
    wait_for(lambda: consumer.total("processed_offsets_total") == 201)
    found = consumer.figures
    assert found["stored_events_total"] == stored_by_type(settings)
    assert sum(found["stored_bytes_total"].values()) == value_bytes(settings) - len(POISON)
    assert found["batch_events_sum"] == {(): 201}
    assert found["dead_letters_total"] == {("DecodeError",): 1, ("RefusedError",): 0}
    assert found["lag_records"] == {("0",): 0, ("1",): 0, ("2",): 0}
    assert sum(found["progress_offset"].values()) == 201
    assert sum(found["retries_total"].values()) == 0
    assert set(found["paused"].values()) == {0}
    assert found["reachable"] == {("database",): 1, ("registry",): 1, ("broker",): 1}
    assert 0 < found["produced_to_stored_seconds_sum"][()] / found["produced_to_stored_seconds_count"][()] < 30
    wait_for(lambda: consumer.figures.get("broker_round_trip_seconds"))
    progress, began = stored_progress(settings), time.time()

    (real.database.kill if how == "stopped" else real.database.freeze)()
    wait_for(lambda: consumer.is_held_up_by("database"), 10)  # though no event comes
    real_commands.run("producer", "--rate", "0", "--count", "50")
    wait_for(lambda: consumer.figures["paused"] == {("0",): 1, ("1",): 1, ("2",): 1})
    for since in consumer.figures["paused_since_timestamp_seconds"].values():
        assert began <= since <= time.time()
    assert consumer.figures["reachable"] == {("database",): 0, ("registry",): 1, ("broker",): 1}
    assert consumer.figures["ready"] == {(): 0}
    assert lag_is_right(settings, progress, [consumer])
    real_commands.run("producer", "--rate", "0", "--count", "50")  # nothing is fetched of a paused partition
    assert lag_is_right(settings, progress, [consumer])
    assert consumer.total("lag_records") == 100
    if how == "stopped":
        assert consumer.figures["retries_total"][("database",)] >= 1
    assert consumer.is_held_up_by("database")

    (real.database.start if how == "stopped" else real.database.wake)()
    wait_for(consumer.is_ready, 10)
    wait_for(lambda: consumer.total("processed_offsets_total") == 301, 60)
    assert consumer.total("lag_records") == consumer.total("paused") == 0
    assert consumer.figures["stored_events_total"] == stored_by_type(settings)
    retries = consumer.figures["retries_total"][("database",)]
    assert retries >= 1 if how == "stopped" else retries == 0  # an answer that comes late is no outage
    assert "paused_since_timestamp_seconds" not in consumer.figures
    assert consumer.total("rebalances_total") == 1


@pytest.mark.stack
def test_through_a_rebalance_each_partition_is_told_of_by_its_owner(
    settings: Settings, real_commands: Commands
) -> None:
    first = Observed(real_commands, "consumers.journey")
    wait_for(lambda: first.partitions() == {0, 1, 2})
    real_commands.run("producer", "--rate", "0", "--count", "100")
    second = Observed(real_commands, "consumers.journey")
    wait_for(lambda: second.partitions() and first.partitions() | second.partitions() == {0, 1, 2})
    wait_for(lambda: len(first.partitions()) + len(second.partitions()) == 3)
    assert first.figures["rebalances_total"][("revoked",)] >= 1
    real_commands.run("producer", "--rate", "0", "--count", "100")
    wait_for(lambda: first.total("progress_offset") + second.total("progress_offset") == 200)
    assert lag_is_right(settings, stored_progress(settings), [first, second])
    assert first.total("stored_events_total") + second.total("stored_events_total") == 200
    first.running.process.send_signal(signal.SIGTERM)
    wait_for(lambda: second.partitions() == {0, 1, 2})
    real_commands.run("producer", "--rate", "0", "--count", "100")
    wait_for(lambda: second.total("progress_offset") == 300)
    assert lag_is_right(settings, stored_progress(settings), [second])
    assert second.figures["rebalances_total"][("assigned",)] >= 2


@pytest.mark.stack
def test_a_producer_tells_of_its_deliveries_also_while_the_broker_is_away(
    real: RealStack, settings: Settings, real_commands: Commands, tmp_path: Path
) -> None:
    pipe = tmp_path / "events"
    os.mkfifo(pipe)
    producer = Observed(real_commands, "producer", "--rate", "50", "--input", str(pipe))
    with pipe.open("w") as lines:  # while it is open the producer goes on
        lines.write(LINE * 600)
        lines.flush()
        follow_deliveries(real, settings, producer)


LINE = (
    json.dumps(
        {"type": "UrlClicked", "user_id": "ada", "session_id": "s", "page_url": "p", "target_url": "t"}
        | {"occurred_at": "2026-01-01T00:00:00Z"}
    )
    + "\n"
)


def follow_deliveries(real: RealStack, settings: Settings, producer: Observed) -> None:
    wait_for(lambda: producer.total("produced_events_total") > 100)
    found = producer.figures
    assert set(found["produced_bytes_total"]) == set(found["produced_events_total"])
    assert found["delivery_latency_seconds_count"][()] > 100
    real.kafka.brokers[0].kill()
    wait_for(lambda: producer.is_held_up_by("broker"), 10)
    wait_for(lambda: producer.total("queue_events") > 50)
    real.kafka.brokers[0].start()
    wait_for(producer.is_ready, 10)
    wait_for(lambda: producer.total("produced_events_total") == 600)
    found = producer.figures
    assert sum(found["produced_bytes_total"].values()) == value_bytes(settings)
    assert found["delivery_failures_total"] == {(): 0}
    wait_for(lambda: producer.figures["queue_events"] == {(): 0})  # the last report is told before it is taken off
    assert found["delivery_latency_seconds_count"] == {(): 600}


POISON = b"no avro"


def poison(settings: Settings) -> None:
    """Produce a record that nobody can decode."""
    kafka = Producer({"bootstrap.servers": settings.bootstrap_servers})
    kafka.produce(settings.topic, key=b"ada", value=POISON)
    kafka.flush()


def stored_by_type(settings: Settings) -> dict[tuple[str, ...], float]:
    query = text("SELECT event_type, COUNT(*) FROM journey_events GROUP BY event_type")
    with engines.disposed(engines.engine(settings)) as engine, engine.connect() as connection:
        return {(row[0],): row[1] for row in connection.execute(query)}


def value_bytes(settings: Settings) -> int:
    """Return how many bytes the values on the topic have."""
    reader = clients.reader(settings)
    ends = reading.end_offsets(settings)
    sizes = (len(m.value()) for p, end in ends.items() for m in reading.records(reader, settings.topic, p, 0, end))
    total = sum(sizes)
    reader.close()
    return total
