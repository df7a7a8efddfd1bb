"""One partition at fault on real Kafka: it stops or backs off alone, says so, and goes on when it is mended."""

import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from consumers import GROUPS
from consumers.journey.table import journey_events
from kafkajourney.avro.catalogue import load
from kafkajourney.database import engines
from kafkajourney.database.tables import consumer_progress
from kafkajourney.embedded.stack import environment
from kafkajourney.kafka import reading, topics
from kafkajourney.registry.client import Registry
from kafkajourney.schemas.register import register
from kafkajourney.settings import TOML_FILE, Settings
from tests.stack import RealStack
from tests.stack.kafka import Broker
from tests.support.observed import Observed
from tests.support.pipeline import verified
from tests.support.processes import FULL, Commands, end_all, wait_for
from tests.support.watched import count, progress_of

pytestmark = pytest.mark.stack

LOOKED_AT_AGAIN = 150.0
"""Seconds within which a partition that stopped was looked at again: it is each minute."""


@pytest.fixture
def hundred(real: RealStack, tmp_path: Path) -> Iterator[tuple[Settings, Commands]]:
    """A topic with 100 partitions, and commands for it."""
    topic = f"hundred-{uuid.uuid4().hex[:8]}"
    settings = replace(real.empty_database(topic, on_postgres=True), topic=topic)
    topics.create(settings, [group.name for group in GROUPS], 100)
    registry = Registry(settings)
    with registry.client:
        for _ in register(registry, load(), topic):
            pass
    made = Commands(tmp_path, environment(settings))
    yield settings, made
    end_all(made)


CLASSIC = """\
[kafka]
"group.protocol" = "classic"
"partition.assignment.strategy" = "range"
"""


@pytest.mark.parametrize(
    "toml",
    [
        pytest.param("", id="consumer"),
        pytest.param(
            CLASSIC, id="classic", marks=pytest.mark.skipif(not FULL, reason="in the full form: a minute more")
        ),
    ],
)
def test_a_corrupt_batch_stops_its_partition_alone_until_it_is_mended(
    real: RealStack, settings: Settings, real_commands: Commands, toml: str
) -> None:
    (real_commands.folder / TOML_FILE).write_text(toml)
    real_commands.run("producer", "--rate", "0", "--count", "300")
    broker = real.kafka.brokers[0]
    segment = segment_of(broker, settings.topic, 0)
    broker.stop()
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])  # one bit of a record
    broker.start()

    journey = Observed(real_commands, "consumers.journey")
    wait_for(lambda: journey.says(f"stopped: {settings.topic} [0] cannot be read on at offset "))
    ends = reading.end_offsets(settings)
    wait_for(lambda: {p: progress_of(settings, "journey").get(p) for p in (1, 2)} == {p: ends[p] for p in (1, 2)})
    status, reason = journey.get("/readyz")
    assert (status, f"{settings.topic} [0] cannot be read on" in reason) == (503, True)
    assert journey.is_alive()
    assert journey.figures["stopped"] == {("0",): 1, ("1",): 0, ("2",): 0}
    told = real_commands.run("consumers.analytic", "--until-caught-up", code=1)
    assert f"{settings.topic} [0] cannot be read on at offset " in told
    assert "CRC" in told

    broker.stop()
    segment.write_bytes(whole)
    broker.start()
    wait_for(lambda: count(settings, "journey_events") == 300, LOOKED_AT_AGAIN)
    assert journey.running.process.poll() is None
    real_commands.run("consumers.analytic", "--until-caught-up")
    verified(real_commands)
    assert count(settings, "dead_letters") == 0


def segment_of(broker: Broker, topic: str, partition: int) -> Path:
    return broker.folder / "data" / f"{topic}-{partition}" / "00000000000000000000.log"


def test_of_two_consumers_of_a_hundred_partitions_one_ends(hundred: tuple[Settings, Commands]) -> None:
    settings, commands = hundred
    stays, goes = Observed(commands, "consumers.journey"), Observed(commands, "consumers.journey")
    wait_for(lambda: len(stays.partitions()) == len(goes.partitions()) == 50)
    producer = commands.start("producer", "--rate", "500", "--count", "6000", "--users", "2000")
    wait_for(lambda: count(settings, "journey_events") > 1000)
    began = time.monotonic()
    goes.running.process.send_signal(signal.SIGTERM)
    assert goes.running.process.wait(60) == 130
    ended = time.monotonic() - began
    wait_for(lambda: len(stays.partitions()) == 100)
    assert "produced 6000 events" in producer.end()
    commands.run("consumers.analytic", "--until-caught-up")
    verified(commands)
    pause = longest_delay(settings)
    print(f"SIGTERM took {ended:.2f} s, the longest delay of an event was {pause:.2f} s")


def longest_delay(settings: Settings) -> float:
    """Return the longest time between an event's moment and that of its storing, in seconds."""
    columns = journey_events.c
    with engines.disposed(engines.engine(settings)) as engine, engine.connect() as connection:
        moments = connection.execute(select(columns.occurred_at, columns.stored_at)).all()
    return max(float((stored - occurred).total_seconds()) for occurred, stored in moments)


def test_a_database_behind_the_topic_is_told_also_by_who_waits_to_have_caught_up(
    settings: Settings, real_commands: Commands
) -> None:
    real_commands.run("producer", "--rate", "0", "--count", "50")
    real_commands.run("consumers.journey", "--until-caught-up")
    ends = reading.end_offsets(settings)
    set_progress(settings, 0, ends[0] + 5)
    told = real_commands.run("consumers.journey", "--until-caught-up", code=1)
    assert f"goes on at offset {ends[0] + 5} of {settings.topic} [0], but the topic ends at {ends[0]}" in told


def set_progress(settings: Settings, partition: int, offset: int) -> None:
    change = update(consumer_progress).where(consumer_progress.c.partition == partition).values(next_offset=offset)
    with engines.disposed(engines.engine(settings)) as engine, engine.begin() as connection:
        connection.execute(change)
