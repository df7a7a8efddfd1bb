"""The pipeline as users run it: real processes against the embedded stack over TCP."""

import json
import signal
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from consumers.journey.table import journey_events
from kafkajourney.embedded.broker import embedded_broker
from kafkajourney.settings import ENVIRONMENT, Settings
from tests.support.pipeline import rows, store_all, verified
from tests.support.processes import ROOT, Commands, wait_for

pytestmark = pytest.mark.stack

VISITS = ROOT.parent / "shared" / "data" / "real-visits.ndjson"


def test_events_are_stored_once_and_counted_once_however_often_the_consumers_run(
    stack: Settings, commands: Commands
) -> None:
    assert "produced 2000 events" in commands.run("producer", "--rate", "0", "--count", "2000", "--seed", "7")
    store_all(commands)
    verdict = commands.run("kafkajourney", "verify")
    assert "produced 2000, stored 2000, missing 0, duplicates 0, unexpected 0" in verdict
    totals = rows(stack, "SELECT * FROM video_plays ORDER BY user_id")
    stored = rows(stack, "SELECT COUNT(*), MAX(stored_at) FROM journey_events")
    store_all(commands)
    assert rows(stack, "SELECT * FROM video_plays ORDER BY user_id") == totals
    assert rows(stack, "SELECT COUNT(*), MAX(stored_at) FROM journey_events") == stored
    assert sum(plays for _topic, _user, plays, _last in totals) > 0


@pytest.mark.skipif(not VISITS.exists(), reason=f"{VISITS} is not part of the repository")
def test_real_visits_are_stored_in_the_order_of_the_file(stack: Settings, commands: Commands) -> None:
    assert "produced 4736 events" in commands.run("producer", "--input", str(VISITS))
    store_all(commands)
    assert "verified" in commands.run("kafkajourney", "verify")
    produced: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in VISITS.read_text().splitlines():
        visit = json.loads(line)
        produced[visit["user_id"]].append((visit["type"], visit["page_url"]))
    stored: dict[str, list[tuple[str, str]]] = defaultdict(list)
    query = 'SELECT user_id, event_type, page_url FROM journey_events ORDER BY "partition", "offset"'
    for user, kind, url in rows(stack, query):
        stored[user].append((kind, url))
    assert stored == produced


def test_a_bad_line_is_reported_and_the_others_are_produced(
    stack: Settings, commands: Commands, tmp_path: Path
) -> None:
    good = {"type": "UrlClicked", "user_id": "u", "session_id": "s", "page_url": "p", "target_url": "t"}
    lines = [json.dumps(good | {"occurred_at": f"2026-01-01T00:00:0{n}Z"}) for n in range(3)]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join([lines[0], "garbage", lines[1], "{}", lines[2]]))
    output = commands.run("producer", "--input", str(path), code=1)
    assert "line 2: not JSON" in output
    assert "line 4: `type` is missing" in output
    assert "produced 3 events" in output
    assert "2 lines were not produced" in output
    commands.run("consumers.journey", "--until-caught-up")
    assert rows(stack, "SELECT COUNT(*) FROM journey_events") == [(3,)]


def test_partitions_are_shared_among_the_members_of_a_group_and_handed_on(stack: Settings, commands: Commands) -> None:
    journeys = [commands.start("consumers.journey", "--echo") for _ in range(3)]
    for journey in journeys:
        journey.read_until("assigned")
    wait_for_one_partition_each(journeys)
    fourth = commands.start("consumers.journey", "--echo")
    assert "idle" in fourth.read_until("idle")
    analytics = [commands.start("consumers.analytic") for _ in range(2)]
    for analytic in analytics:
        analytic.read_until("assigned")
    commands.run("producer", "--rate", "0", "--count", "1000", "--users", "50")
    wait_for(lambda: rows(stack, "SELECT COUNT(*) FROM journey_events") == [(1000,)])
    journeys[0].process.send_signal(signal.SIGTERM)
    journeys[0].end(130)
    fourth.read_until("assigned")
    commands.run("producer", "--rate", "0", "--count", "1000", "--users", "50")
    verified(commands)
    for consumer in [*journeys[1:], fourth, *analytics]:
        consumer.process.send_signal(signal.SIGINT)
        consumer.end(130)


def wait_for_one_partition_each(journeys: list[Any]) -> None:
    """Wait until the first member has given up two of the three partitions that it began with."""
    begun = journeys[0].lines[-1]
    if "[0, 1, 2]" in begun:
        journeys[0].read_until("revoked")


def test_consumers_that_are_killed_lose_nothing_and_double_nothing(stack: Settings, commands: Commands) -> None:
    producer = commands.start("producer", "--rate", "1000", "--count", "4000", "--users", "30")
    for _ in range(3):
        for group in ("journey", "analytic"):
            consumer = commands.start(f"consumers.{group}", "--echo", "--batch-size", "50")
            consumer.read_until(f"{group} [")
            consumer.process.kill()
            consumer.end(-signal.SIGKILL)
    assert "produced 4000 events" in producer.end()
    store_all(commands)
    verdict = commands.run("kafkajourney", "verify")
    assert "produced 4000, stored 4000, missing 0, duplicates 0, unexpected 0" in verdict


DIES = """
import os, runpy, sys
from kafkajourney.consuming.loop import ConsumeLoop
{patch}
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""

DEATHS = {
    "between commit and store": "ConsumeLoop._store_offsets = lambda *_: os._exit(9)",
    "between write and commit": """
from kafkajourney.database.store import Store
make = Store.__init__
def make_dying(self, engine, settings, group, write):
    make(self, engine, settings, group, lambda *batch: (write(*batch), os._exit(9)))
Store.__init__ = make_dying
""",
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_consumer_that_dies_at_the_worst_moment_leaves_no_gap_and_no_duplicate(
    stack: Settings, commands: Commands, tmp_path: Path, death: str
) -> None:
    (tmp_path / "dies.py").write_text(DIES.format(patch=DEATHS[death]))
    commands.run("producer", "--rate", "0", "--count", "400")
    for group in ("journey", "analytic"):
        for _ in range(2):
            dying = commands.start("dies", f"consumers.{group}", "--until-caught-up", "--batch-size", "50")
            dying.end(9)
    store_all(commands)
    verdict = commands.run("kafkajourney", "verify")
    assert "produced 400, stored 400, missing 0, duplicates 0, unexpected 0" in verdict


def test_a_restored_backup_is_refilled(stack: Settings, commands: Commands) -> None:
    commands.run("producer", "--rate", "0", "--count", "500")
    store_all(commands)
    database = stack.database_url.removeprefix("sqlite:///")
    backup = sqlite3.connect(database).execute("VACUUM INTO ?", (f"{database}.backup",)).connection
    backup.close()
    commands.run("producer", "--rate", "0", "--count", "500")
    store_all(commands)
    for suffix in ("", "-wal", "-shm"):
        Path(database + suffix).unlink(missing_ok=True)
    Path(f"{database}.backup").rename(database)
    assert "missing 0" in commands.run("kafkajourney", "verify", code=1)
    store_all(commands)
    assert "produced 1000, stored 1000" in commands.run("kafkajourney", "verify")


def test_a_topic_that_was_made_anew_under_an_old_database_is_an_error(
    stack: Settings, commands: Commands, tmp_path_factory: pytest.TempPathFactory
) -> None:
    commands.run("producer", "--rate", "0", "--count", "100")
    commands.run("consumers.journey", "--until-caught-up")
    with embedded_broker(stack.topic, 3) as address:
        # Elsewhere than in the folder of the stack, which is used whole or not at all.
        elsewhere = Commands(tmp_path_factory.mktemp("elsewhere"), commands.variables)
        output = elsewhere.run("consumers.journey", code=1, variables={ENVIRONMENT["bootstrap_servers"]: address})
    assert "the topic ends at 0" in output
    assert "Nothing was skipped" in output


@pytest.mark.parametrize("damage", ["DELETE", "UPDATE", "INSERT", "ALTER", "PAYLOAD", "BACK", "FORTH", "TOTAL"])
def test_verify_finds_what_was_damaged(stack: Settings, commands: Commands, damage: str) -> None:
    commands.run("producer", "--rate", "0", "--count", "300", "--seed", "1")
    store_all(commands)
    place, after = '"partition" = 0 AND "offset" = 5', '"partition" = 0 AND "offset" = 6'
    others = ", ".join(c.name for c in journey_events.columns if c.name not in ("topic", "partition", "offset"))
    statements = {
        "DELETE": (f"DELETE FROM journey_events WHERE {place}", "missing 1"),
        "UPDATE": (
            f"UPDATE journey_events SET event_id = (SELECT event_id FROM journey_events WHERE {after}) WHERE {place}",
            "duplicates 1",
        ),
        "INSERT": (
            f'INSERT INTO journey_events SELECT topic, "partition", 9999, {others} FROM journey_events WHERE {place}',
            "ahead: 1 rows",
        ),
        "ALTER": (f"UPDATE journey_events SET page_url = 'elsewhere' WHERE {place}", "another page_url"),
        "PAYLOAD": (f"UPDATE journey_events SET payload = '[1]' WHERE {place}", "another payload"),
        "BACK": (
            "UPDATE consumer_progress SET next_offset = 0 WHERE \"partition\" = 0 AND consumer_group = 'journey'",
            "ahead",
        ),
        "FORTH": (
            "UPDATE consumer_progress SET next_offset = 9999 WHERE \"partition\" = 0 AND consumer_group = 'journey'",
            "beyond",
        ),
        "TOTAL": ("UPDATE video_plays SET plays = plays + 1 WHERE user_id = 'user-0001'", "1 totals wrong"),
    }
    statement, words = statements[damage]
    with sqlite3.connect(stack.database_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute(statement).rowcount == 1
    connection.close()
    assert words in commands.run("kafkajourney", "verify", code=1)


def test_doctor_finds_everything_well(commands: Commands) -> None:
    output = commands.run("kafkajourney", "doctor")
    assert output.count("✓") == 8


def test_a_poison_record_is_set_aside_and_verify_accounts_for_it(stack: Settings, commands: Commands) -> None:
    commands.run("producer", "--rate", "0", "--count", "20")
    poison = Producer({"bootstrap.servers": stack.bootstrap_servers})
    poison.produce(stack.topic, key=b"k", value=b"not avro", partition=1)
    poison.flush()
    commands.run("producer", "--rate", "0", "--count", "20")
    assert "dead letter" in commands.run("consumers.journey", "--until-caught-up")
    commands.run("consumers.analytic", "--until-caught-up")
    output = commands.run("kafkajourney", "verify")
    assert "dead letters  1" in output
    assert "produced 41, stored 40, missing 0" in output
