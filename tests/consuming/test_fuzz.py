"""A hundred thousand broken records through both consumers: each is stored or a dead letter, and no process ends."""

import re
from collections import Counter
from itertools import islice

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema

from kafkajourney.avro.catalogue import load
from kafkajourney.consuming import dead_letters
from kafkajourney.kafka import clients
from kafkajourney.registry.client import Registry
from kafkajourney.settings import Settings
from tests.support.fuzz import records
from tests.support.pipeline import rows
from tests.support.processes import FULL, Commands

pytestmark = pytest.mark.stack

NUMBER = 100_000 if FULL else 20_000
SEED = 20_260_101


def produce(settings: Settings) -> None:
    registry = Registry(settings)
    with registry.client:
        newest = {t.name: (t.subject, Schema(t.newest.text, "AVRO")) for t in load().values()}
        ids = {name: registry.register(*schema) for name, schema in newest.items()}
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 20, "compression.type": "lz4"})
    for record in islice(records(SEED, ids), NUMBER):
        while True:
            try:
                producer.produce(settings.topic, key=record.key, value=record.value, headers=list(record.headers))
            except BufferError:
                producer.poll(0.1)
            else:
                break
    assert producer.flush(120) == 0


@pytest.mark.parametrize("stack", ["real"], indirect=True)  # the embedded broker keeps too little for so many
def test_every_record_is_stored_or_a_dead_letter(stack: Settings, commands: Commands) -> None:
    produce(stack)
    for group in ("journey", "analytic"):
        commands.run(f"consumers.{group}", "--until-caught-up", "--max-dead-letters", str(NUMBER))
    verified = commands.run("kafkajourney", "verify")
    tombstones = int(re.search(r"tombstones +(\d+)", verified)[1])  # type: ignore[index]
    assert f"produced {NUMBER - tombstones}," in verified
    assert NUMBER * 0.01 < tombstones < NUMBER * 0.1

    [(stored,)] = rows(stack, "SELECT COUNT(*) FROM journey_events")
    noted = dict(rows(stack, "SELECT consumer_group, COUNT(*) FROM dead_letters GROUP BY consumer_group"))
    assert stored + noted["journey"] + tombstones == NUMBER
    assert stored > NUMBER * 0.3
    assert noted["journey"] > NUMBER * 0.3

    reader = clients.reader(stack)
    kept = dict(dead_letters.kept(reader, stack, "journey"))
    reader.close()
    assert len(kept) == noted["journey"]
    reasons = Counter(dict(m.headers())["kafkajourney.reason"].split(b" ")[0] for m in kept.values())
    assert b"" not in reasons
