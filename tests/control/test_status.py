"""`kafkajourney status`: what it shows is counted, on the embedded stack and on the real one."""

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer
from rich.console import Console
from sqlalchemy import text

from kafkajourney.control.group_state import Group, Partition, Status, status_of
from kafkajourney.control.lookout import Look, Member, Problem, Stored
from kafkajourney.control.status import screen
from kafkajourney.database import engines
from kafkajourney.settings import ENVIRONMENT, Settings
from tests.stack import RealStack
from tests.support.pipeline import store_all
from tests.support.processes import ROOT, Commands, Running, wait_for

STATUS = ("kafkajourney", "status", "--interval", "0.1")
NOWHERE = {
    "database": {ENVIRONMENT["database_url"]: "sqlite:////no/such/folder/journey.db"},
    "broker": {ENVIRONMENT["bootstrap_servers"]: "127.0.0.1:1"},
    "registry": {ENVIRONMENT["schema_registry_url"]: "http://127.0.0.1:1"},
    "topic": {ENVIRONMENT["topic"]: "nothing"},
}


def status(commands: Commands, code: int = 0, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    output = commands.run(*STATUS, "--json", code=code, variables=variables)
    (line,) = (line for line in output.splitlines() if line.startswith("{"))
    told: dict[str, Any] = json.loads(line)
    return told


def group(told: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (group for group in told["groups"] if group["group"] == name)
    return dict(found)


def each(group: dict[str, Any], name: str) -> list[Any]:
    """Return a field of all partitions, in their order."""
    return [partition[name] for partition in group["partitions"]]


def parts(told: dict[str, Any]) -> list[str]:
    return [problem["part"] for problem in told["problems"]]


def produce(stack: Settings, partition: int, ages: list[int]) -> None:
    """Produce records that were made so many seconds ago; they are none that could be stored."""
    producer = Producer({"bootstrap.servers": stack.bootstrap_servers})
    for age in ages:
        producer.produce(stack.topic, b"garbage", b"k", partition, timestamp=int((time.time() - age) * 1000))
    assert producer.flush(30) == 0


def execute(stack: Settings, statement: str) -> None:
    with engines.disposed(engines.engine(stack)) as engine, engine.begin() as connection:
        assert connection.execute(text(statement)).rowcount == 1


# --- counted ------------------------------------------------------------------------------------------------------


@pytest.mark.stack
def test_of_an_empty_topic_nothing_is_unstored(stack: Settings, commands: Commands) -> None:
    told = status(commands)
    assert (told["topic"], told["problems"]) == (stack.topic, [])
    for name in ("journey", "analytic"):
        found = group(told, name)
        assert (found["lag_records"], found["records_per_second"], found["oldest_unstored_seconds"]) == (0, 0.0, None)
        assert (found["dead_letters_open"], found["dead_letters_replayed"]) == (0, 0)
        assert each(found, "partition") == [0, 1, 2]
        assert each(found, "end_offset") == each(found, "lag_records") == [0, 0, 0]
        assert each(found, "next_offset") == each(found, "committed_offset") == [None, None, None]


@pytest.mark.stack
def test_lag_and_age_are_those_of_what_the_database_does_not_have(stack: Settings, commands: Commands) -> None:
    began = time.time()
    produce(stack, 0, [3600, 600, 60])
    produce(stack, 1, [30])
    found = group(status(commands), "journey")
    assert found["lag_records"] == 4
    assert each(found, "lag_records") == [3, 1, 0]
    assert each(found, "next_offset") == [None, None, None]
    oldest = each(found, "oldest_unstored_seconds")
    assert oldest[0] == pytest.approx(3600, abs=time.time() - began)
    assert oldest[1] == pytest.approx(30, abs=time.time() - began)
    assert (oldest[2], found["oldest_unstored_seconds"]) == (None, oldest[0])

    commands.run("consumers.journey", "--until-caught-up")
    told = status(commands)
    found = group(told, "journey")
    assert (found["lag_records"], found["oldest_unstored_seconds"]) == (0, None)
    assert each(found, "next_offset") == each(found, "end_offset") == [3, 1, 0]
    assert each(found, "committed_offset")[:2] == [3, 1]
    assert (found["dead_letters_open"], found["dead_letters_replayed"]) == (4, 0)
    assert (group(told, "analytic")["lag_records"], group(told, "analytic")["dead_letters_open"]) == (4, 0)

    place = "consumer_group = 'journey' AND \"partition\" = 0"
    execute(stack, f"UPDATE consumer_progress SET next_offset = 1 WHERE {place}")
    execute(stack, f'UPDATE dead_letters SET replayed_at = set_aside_at WHERE {place} AND "offset" = 0')
    found = group(status(commands), "journey")
    assert each(found, "lag_records") == [2, 0, 0]
    assert each(found, "committed_offset")[0] == 3
    assert found["oldest_unstored_seconds"] == pytest.approx(600, abs=time.time() - began)
    assert (found["dead_letters_open"], found["dead_letters_replayed"]) == (3, 1)


@pytest.mark.stack
def test_events_are_counted_exactly(stack: Settings, commands: Commands) -> None:
    commands.run("producer", "--rate", "0", "--count", "1234")
    told = status(commands)
    assert [group["lag_records"] for group in told["groups"]] == [1234, 1234]
    store_all(commands)
    told = status(commands)
    assert [group["lag_records"] for group in told["groups"]] == [0, 0]
    assert sum(each(group(told, "analytic"), "next_offset")) == 1234


@pytest.mark.stack
def test_members_are_shown_with_their_partitions_where_the_broker_tells_them(
    stack: Settings, commands: Commands
) -> None:
    consumers = [commands.start("consumers.journey") for _ in range(3)]
    for consumer in consumers:
        consumer.read_until("assigned")
    if stack.embedded:
        told = status(commands)
        assert group(told, "journey")["members"] is None
        assert each(group(told, "journey"), "member_id") == [None, None, None]
        assert "The members of journey are not known: this broker does not tell them" in told["notes"][0]
        return
    idle = commands.start("consumers.journey")
    idle.read_until("idle")
    wait_for(lambda: shares(commands) == [[], [0], [1], [2]], 60)
    found = group(status(commands), "journey")
    owners = {p: member["member_id"] for member in found["members"] for p in member["partitions"]}
    assert each(found, "member_id") == [owners[0], owners[1], owners[2]]
    assert {member["host"] for member in found["members"]} == {"127.0.0.1"}
    assert "4 (1 idle)" in commands.run(*STATUS)
    for consumer in (idle, consumers[0], consumers[1]):
        consumer.process.send_signal(signal.SIGTERM)
        consumer.end(130)
    wait_for(lambda: shares(commands) == [[0, 1, 2]], 60)


def shares(commands: Commands) -> list[list[int]]:
    """Return the partitions of each member of the group journey; killed ones of another test are still among them."""
    return sorted(member["partitions"] for member in group(status(commands), "journey")["members"] or [])


@pytest.mark.stack
def test_the_rate_is_what_is_stored_while_it_looks(stack: Settings, commands: Commands) -> None:
    commands.start("consumers.journey").read_until("assigned")
    producing = commands.start("producer", "--rate", "100", "--echo")
    producing.read_until("producer [")

    def is_stored() -> bool:
        told = json.loads(commands.run("kafkajourney", "status", "--json"))
        assert group(told, "analytic")["records_per_second"] == 0.0
        return bool(20 < group(told, "journey")["records_per_second"] < 500)

    wait_for(is_stored)
    producing.process.kill()


# --- a part is away -----------------------------------------------------------------------------------------------


@pytest.mark.stack
def test_what_is_away_is_said_and_the_rest_is_shown(
    stack: Settings, commands: Commands, tmp_path_factory: pytest.TempPathFactory
) -> None:
    produce(stack, 0, [60, 50])
    commands.run("consumers.journey", "--until-caught-up")
    produce(stack, 0, [40])
    # Elsewhere than in the folder of the stack, which is used whole or not at all.
    elsewhere = Commands(tmp_path_factory.mktemp("elsewhere"), commands.variables)
    told = {part: status(elsewhere, 1, where) for part, where in NOWHERE.items()}
    assert {part: parts(status) for part, status in told.items()} == {part: [part] for part in NOWHERE}
    found = {part: group(status, "journey") for part, status in told.items()}

    assert each(found["database"], "end_offset") == [3, 0, 0]
    assert each(found["database"], "committed_offset")[0] == 2
    assert each(found["database"], "next_offset") == each(found["database"], "lag_records") == [None, None, None]
    assert found["database"]["lag_records"] is found["database"]["dead_letters_open"] is None
    assert found["database"]["records_per_second"] is None

    assert each(found["broker"], "next_offset") == [2, 0, 0]
    assert each(found["broker"], "end_offset") == each(found["broker"], "lag_records") == [None, None, None]
    assert (found["broker"]["lag_records"], found["broker"]["dead_letters_open"]) == (None, 2)
    assert found["broker"]["members"] is None

    assert (found["registry"]["lag_records"], found["registry"]["dead_letters_open"]) == (1, 2)
    assert found["topic"]["partitions"] == []
    assert found["topic"]["lag_records"] is None


@pytest.mark.stack
def test_the_screen_says_what_is_away_in_one_sentence_each(lone_commands: Commands) -> None:
    secret = {
        ENVIRONMENT["database_url"]: "postgresql://ada:geheim@127.0.0.1:1/journey",
        ENVIRONMENT["schema_registry_url"]: "http://ada:geheim@127.0.0.1:1",
    }
    output = lone_commands.run(*STATUS, code=1, variables=secret)
    no_database, no_broker, no_registry = (line for line in output.splitlines() if line.startswith("✗"))
    assert no_database.startswith("✗ database  No database answers at postgresql://ada:***@127.0.0.1:1/journey")
    assert no_database.endswith("Start it, or set KAFKAJOURNEY_DATABASE_URL.")
    assert no_broker.startswith("✗ broker    No Kafka broker answers at 127.0.0.1:1")
    assert no_registry.startswith("✗ registry  No schema registry answers at http://***@127.0.0.1:1")
    assert output.endswith("Error: Something is not well (database, broker, registry), see above.\n")
    assert "WARNING" not in output
    assert "geheim" not in output + lone_commands.run(*STATUS, "--json", code=1, variables=secret)


@pytest.mark.stack
def test_progress_that_the_topic_does_not_have_is_said(stack: Settings, commands: Commands) -> None:
    produce(stack, 2, [5])
    commands.run("consumers.journey", "--until-caught-up")
    execute(
        stack, "UPDATE consumer_progress SET next_offset = 9 WHERE \"partition\" = 2 AND consumer_group = 'journey'"
    )
    told = status(commands, 1)
    assert parts(told) == ["progress"]
    assert "journey goes on at offset 9 of partition 2, but the topic has 0 to 1" in told["problems"][0]["text"]
    assert group(told, "journey")["lag_records"] == 0


@pytest.mark.stack
def test_tables_that_do_not_exist_are_said(lone_commands: Commands) -> None:
    (lone_commands.folder / "empty.db").touch()
    told = status(lone_commands, 1)
    assert parts(told) == ["database", "broker", "registry"]
    assert "no such table" in told["problems"][0]["text"]


@pytest.mark.stack
@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        ((), {ENVIRONMENT["topic"]: "no spaces"}, "is no topic name"),
        (("--interval", "0"), {}, "Invalid value for '--interval'"),
    ],
)
def test_wrong_settings_are_refused(
    lone_commands: Commands, arguments: tuple[str, ...], variables: dict[str, str], words: str
) -> None:
    assert words in lone_commands.run("kafkajourney", "status", *arguments, code=2, variables=variables)


# --- watching -----------------------------------------------------------------------------------------------------


def lines(running: Running) -> Iterator[dict[str, Any]]:
    """Yield what a watching command tells, as it comes; it is killed, and its lines end, after a deadline."""
    assert running.process.stdout is not None
    deadline = threading.Timer(60, running.process.kill)
    deadline.start()
    try:
        yield from map(json.loads, running.process.stdout)
    finally:
        deadline.cancel()


def interrupt(running: Running) -> None:
    running.process.send_signal(signal.SIGTERM)  # SIGINT is ignored where the tests run in the background
    assert "Traceback" not in running.end(130)


@pytest.mark.stack
def test_watching_tells_a_line_each_time_until_ctrl_c(stack: Settings, commands: Commands) -> None:
    watching = commands.start(*STATUS, "--watch", "--json")
    told = lines(watching)
    assert group(next(told), "journey")["records_per_second"] is None
    assert group(next(told), "journey")["records_per_second"] == 0.0
    produce(stack, 0, [7])
    assert next(line for line in told if group(line, "journey")["lag_records"])["groups"][0]["lag_records"] == 1
    interrupt(watching)


@pytest.mark.stack
def test_on_a_terminal_the_screen_is_drawn_in_the_same_place(stack: Settings, commands: Commands) -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", *STATUS, "--watch"],
        cwd=commands.folder,
        env={**commands.variables, "TERM": "xterm"},
        stdin=end,
        stdout=end,
        stderr=end,
        text=True,
    )
    commands.running.append(process)
    os.close(end)
    shown, deadline = b"", time.monotonic() + 60
    while shown.count(b"stored/s") < 3:
        assert select.select([terminal], [], [], deadline - time.monotonic())[0], shown
        shown += os.read(terminal, 65536)
    assert shown.count(b"\x1b[1A") > 10, "the cursor goes up over the screen before"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    os.close(terminal)


@pytest.mark.stack
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_watching_outlasts_the_database(real: RealStack, real_commands: Commands, how: str) -> None:
    server = real.database
    away, back = (server.kill, server.start) if how == "stopped" else (server.freeze, server.wake)
    watching = real_commands.start(*STATUS, "--watch", "--json")
    told = lines(watching)
    assert next(line for line in told if not line["problems"])
    away()
    try:
        line = next(line for line in told if line["problems"])
        assert parts(line) == ["database"]
        assert how == "stopped" or "has not answered for 5 s" in line["problems"][0]["text"]
        assert each(group(line, "journey"), "end_offset") == [0, 0, 0]
    finally:
        back()
    assert group(next(line for line in told if not line["problems"]), "journey")["lag_records"] == 0
    interrupt(watching)


# --- what is not seen on a stack ----------------------------------------------------------------------------------

NOW = datetime(2026, 3, 14, 9, 26, 53, 589000, tzinfo=UTC)
STORED = Stored(12.5, {"journey": {0: 30, 1: 5}}, {"journey": (7, 3)}, {})
LOOK = Look(
    at=NOW,
    stored=STORED,
    bounds={0: (0, 31), 1: (2, 5)},
    topic_id=None,
    members={"journey": [Member("member-a", "kafkajourney", "10.0.0.1", [0, 1])]},
    committed={"journey": {0: 29}},
    oldest={"journey": {0: int(NOW.timestamp() * 1000) - 90_500}},
    problems=[],
    notes=[],
    groups=("journey", "analytic"),
)


def test_the_rate_is_what_was_stored_since_the_look_before() -> None:
    before = Stored(10.0, {"journey": {0: 10}}, {}, {})
    journey, analytic = status_of("t", LOOK, before).groups
    assert journey.records_per_second == 9.2  # 20 of partition 0, 3 of partition 1 that begins at 2, in 2.5 s
    assert analytic.records_per_second == 0.0
    assert [group.records_per_second for group in status_of("t", LOOK, None).groups] == [None, None]


def test_a_look_says_where_the_group_is() -> None:
    told = status_of("t", LOOK, None)
    journey, analytic = told.groups
    assert told.at == "2026-03-14T09:26:53.589Z"
    assert journey.partitions == [
        Partition(0, "member-a", 0, 31, 30, 29, 1, 90.5),
        Partition(1, "member-a", 2, 5, 5, None, 0, None),
    ]
    assert (journey.lag_records, journey.oldest_unstored_seconds) == (1, 90.5)
    assert (journey.dead_letters_open, journey.dead_letters_replayed) == (4, 3)
    assert [p.lag_records for p in analytic.partitions] == [31, 3]


def test_a_record_from_a_clock_that_is_ahead_has_no_negative_age() -> None:
    ahead = LOOK._replace(oldest={"journey": {0: int(NOW.timestamp() * 1000) + 5000}})
    assert status_of("t", ahead, None).groups[0].oldest_unstored_seconds == 0.0


def test_dropped_records_are_a_gap() -> None:
    told = status_of("t", LOOK._replace(bounds={0: (31, 40), 1: (0, 5)}), None)
    assert [problem.part for problem in told.problems] == ["progress"]
    assert "journey goes on at offset 30 of partition 0, but the topic has 31 to 40" in told.problems[0].text


@pytest.mark.parametrize("width", [80, 160])
def test_the_screen_cuts_no_number(width: int) -> None:
    far = LOOK._replace(
        bounds={0: (0, 9_876_543_210)}, stored=STORED._replace(progress={"journey": {0: 1_234_567_890}})
    )
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        console.print(screen(status_of("t", far, None)))
    shown = captured.get()
    for number in ("9876543210", "1234567890", "8641975320"):
        assert number in shown, shown


def test_nothing_asks_what_can_end_the_process() -> None:
    # https://github.com/confluentinc/librdkafka/issues/5040: a race at the start of a cluster, met once in five times.
    users = [
        path.name for path in ROOT.glob("kafkajourney/**/*.py") if ".list_consumer_group_offsets(" in path.read_text()
    ]
    assert users == []


def test_the_document_names_every_field() -> None:
    document = (ROOT / "docs" / "status.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)`", document, re.MULTILINE)
    assert documented == [f.name for cls in (Status, Group, Partition, Member, Problem) for f in fields(cls)]
