"""The log: JSON lines for machines, sentences for people, few lines about an outage, no payload and no secret."""

import json
import logging
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kafkajourney.command import logs
from kafkajourney.command.logs import JsonFormatter, Sparing, TextFormatter, event, without_credentials
from kafkajourney.embedded.stack import embedded_stack, environment
from kafkajourney.errors import (
    BrokerAwayError,
    DatabaseAwayError,
    DecodeError,
    FencedError,
    RefusedError,
    RegistryAwayError,
    TransientError,
    without_row,
    without_values,
)
from kafkajourney.events import Decoded, Move, Record
from kafkajourney.settings import ENVIRONMENT, Settings
from kafkajourney.state import STATE_FOLDER
from kafkajourney.watching.loop_log import LoopLog, Reminders
from kafkajourney.watching.observer import Stored
from tests.support.loop import Message
from tests.support.pipeline import verified
from tests.support.processes import COMMAND_DEADLINE, Commands, end_all, wait_for
from tests.support.watched import Watched

AUTO = {"KAFKAJOURNEY_LOG_FORMAT": "auto"}
SECRET = "geheim"


def record(message: str, *args: object, name: str = "kafkajourney.consumer", **more: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, more.pop("path", "f.py"), 1, message, args, more.pop("exc", None))
    vars(made).update(more)
    return made


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the objects of a log, each line of which has to be one."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert list(line)[:3] == ["time", "level", "event"]
        assert list(line)[-1] in ("message", "traceback")
    return lines


# --- the two formats -------------------------------------------------------------------------------------------------


def test_a_json_line_has_the_time_the_event_and_its_fields() -> None:
    made = record("dead letter: [%d] %d", 2, 7, **event("dead_letter", partition=2, offset=7), created=1795427337.8084)
    assert json.loads(JsonFormatter(group="journey").format(made)) == {
        "time": "2026-11-23T09:48:57.808Z",
        "level": "WARNING",
        "event": "dead_letter",
        "group": "journey",
        "partition": 2,
        "offset": 7,
        "message": "dead letter: [2] 7",
    }


def test_a_json_line_is_one_line_whatever_it_says() -> None:
    line = JsonFormatter().format(record("a\nb\u2028\udc80", exc=raised()))
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert json.loads(line)["message"] == "a\nb\u2028\udc80"
    assert "ValueError: oh" in json.loads(line)["traceback"]


def test_a_json_line_of_another_library_is_named_for_its_logger() -> None:
    assert json.loads(JsonFormatter().format(record("x", name="urllib3.connectionpool")))["event"] == "connectionpool"


def test_a_json_line_says_when_it_was_written() -> None:
    told = datetime.fromisoformat(json.loads(JsonFormatter().format(record("x")))["time"])
    assert abs((datetime.now(UTC) - told).total_seconds()) < 5


def test_what_is_for_the_person_at_the_keyboard_is_not_in_json() -> None:
    made = record("line %d: %s", 3, "got 12.5", **event("refused", line=3, message="line 3"))
    assert json.loads(JsonFormatter().format(made))["message"] == "line 3"
    assert TextFormatter().format(made).endswith("WARNING line 3: got 12.5")


def test_in_text_an_error_that_ends_a_command_stands_alone() -> None:
    made = record("No broker answers.", **event("error"), exc=raised())
    first, *traceback = TextFormatter().format(made).splitlines()
    assert first == "Error: No broker answers."
    assert traceback[-1] == "ValueError: oh"
    assert TextFormatter(coloured=True).format(made).startswith("\x1b[31mError: No broker answers.\x1b[0m")


def raised() -> Any:
    try:
        raise ValueError("oh")
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize(
    ("chosen", "where", "formatter"),
    [
        ("auto", "terminal", TextFormatter),
        ("auto", "file", JsonFormatter),
        ("json", "terminal", JsonFormatter),
        ("text", "file", TextFormatter),
    ],
)
def test_the_format_follows_the_terminal_unless_it_is_chosen(
    monkeypatch: pytest.MonkeyPatch, root_as_it_was: None, chosen: str, where: str, formatter: type
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: where == "terminal", raising=False)
    logs.set_up(chosen)
    assert isinstance(logging.getLogger().handlers[-1].formatter, formatter)
    assert logs.is_json() is (formatter is JsonFormatter)


def test_the_log_is_set_up_anew_not_twice(root_as_it_was: None, capsys: pytest.CaptureFixture[str]) -> None:
    for chosen in ("text", "json", "json"):
        logs.set_up(chosen, group="journey")
    logging.getLogger("kafkajourney.consumer").warning("once", extra=event("idle"))
    assert [(line["event"], line["group"]) for line in parsed(capsys.readouterr().err)] == [("idle", "journey")]


@pytest.fixture
def root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:]
    yield
    root.handlers[:] = before
    logging.captureWarnings(capture=False)


def test_another_library_is_heard_once_a_minute_for_each_of_its_lines() -> None:
    now = 0.0
    sparing = Sparing(clock=lambda: now)
    mine, theirs, other = (
        record("x"),
        record("y", name="opentelemetry.x", path="a.py"),
        record("z", name="opentelemetry.x", path="b.py"),
    )
    assert [sparing.filter(one) for one in (mine, mine, theirs, theirs, other)] == [True, True, True, False, True]
    now = 60.0
    assert sparing.filter(theirs)


# --- nothing of a record, no secret ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "cut"),
    [
        ("schema id 9 is not in the registry: Schema 9 not found", ""),
        ("occurred_at", " 'geheim' is no timestamp-millis"),
        ("VideoPlayed.position_seconds: expected a number", ", got 12.5"),
        ("VideoPlayed.user_id: expected text", ', got {"a": 1}'),
        (
            "[Microsoft][SQL Server]String or binary data would be truncated in table",
            " 'a.b'. Truncated value: 'geheim'.",
        ),
        ("the database refuses the row: null value", " DETAIL: Failing row contains (geheim)"),
    ],
)
def test_a_reason_is_told_without_what_stood_in_the_record(kept: str, cut: str) -> None:
    assert without_values(kept + cut) == (f"{kept} …" if cut else kept)


def test_a_database_s_reason_is_told_without_the_row() -> None:
    assert without_row('busy: duplicate key "pk" DETAIL: Key (user_id)=(ada) exists.') == 'busy: duplicate key "pk" …'
    assert without_row("The duplicate key value is (ada).") == " …"
    assert without_row('connection to server at "::1" failed') == 'connection to server at "::1" failed'


def test_credentials_in_urls_are_masked_wherever_they_come_from() -> None:
    assert without_credentials("at http://ada:geheim@host:1/x, https://b:2") == "at http://***@host:1/x, https://b:2"
    for formatter in (JsonFormatter(), TextFormatter()):
        assert "geheim" not in formatter.format(record("at %s", "kafka://ada:geheim@host"))


def test_a_dead_letter_is_told_with_its_place_and_without_its_values(caplog: pytest.LogCaptureFixture) -> None:
    LoopLog("t").dead_lettered(Message(2, 7), DecodeError("occurred_at 'geheim' is no timestamp-millis"))
    LoopLog("t").dead_lettered(Message(0, 8), RefusedError("refused DETAIL: (geheim)"))
    assert caplog.messages == ["dead letter: [2] 7: occurred_at …", "dead letter: [0] 8: refused …"]
    assert fields(caplog, "dead_letter")[0] == {"partition": 2, "offset": 7, "error": "DecodeError"}


# --- the loop's log --------------------------------------------------------------------------------------------------


def fields(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """Return the fields of the lines of this event."""
    found = [dict(vars(line).get("fields", {})) for line in caplog.records]
    return [line for line in found if line.pop("event", "") == name]


def told_at(reminders: Reminders, cause: str, moments: range) -> list[int]:
    return [now for now in moments if reminders.is_due(cause, now)]


def test_an_outage_is_told_at_growing_intervals() -> None:
    reminders = Reminders()
    assert told_at(reminders, "database", range(3600)) == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030]


def test_another_cause_is_told_at_once_and_the_next_outage_from_the_beginning() -> None:
    reminders = Reminders()
    assert told_at(reminders, "database", range(35)) == [0, 10, 30]
    assert told_at(reminders, "registry", range(35, 80)) == [35, 75]
    assert reminders.over(80) == 80
    assert reminders.over(81) is None
    assert told_at(reminders, "registry", range(100, 120)) == [100, 110]


class Story:
    """An outage told to a log, on a clock that is set by hand."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 0.0
        self.log = LoopLog("t", clock=lambda: self.now)
        caplog.set_level("INFO", "kafkajourney")

    def failures(self, error: TransientError, *moments: float, partitions: Collection[int] = (0, 1)) -> None:
        for self.now in moments:
            self.log.failed(error, partitions, 4.0)


def test_an_outage_that_grows_is_told_anew_and_a_hundred_partitions_are_no_hundred_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    story = Story(caplog)
    for partition in range(100):
        story.failures(BrokerAwayError("no leader"), partition / 1000, partitions=[partition])
    story.failures(BrokerAwayError("no leader"), 3, 4, 5, partitions=[0])
    story.failures(BrokerAwayError("no leader"), 6, partitions=[200])
    assert [line["partitions"] for line in fields(caplog, "failed")] == [[0], [*range(100)], [*range(100), 200]]
    assert [line["seconds"] for line in fields(caplog, "failed")] == [0, 3, 6]


def test_an_outage_of_a_minute_is_a_handful_of_lines(caplog: pytest.LogCaptureFixture) -> None:
    story = Story(caplog)
    story.failures(DatabaseAwayError("the database is away"), 0, 0.5, 1.5, 3, 7, 15, 31, 59)
    story.now = 61.25
    story.log.recovered({0: 61.25, 1: 61.25})
    assert caplog.messages == [
        "waiting, next try in 4.0 s: the database is away (t [0, 1])",
        "waiting for 15 s, next try in 4.0 s: the database is away (t [0, 1])",
        "waiting for 59 s, next try in 4.0 s: the database is away (t [0, 1])",
        "going on after 61.2 s",
    ]
    assert fields(caplog, "failed")[1] == {
        "cause": "database",
        "seconds": 15.0,
        "retry_in": 4.0,
        "partitions": [0, 1],
    }
    assert fields(caplog, "recovered") == [{"seconds": 61.2}]


def test_each_cause_of_one_outage_is_told_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    story = Story(caplog)
    for moment, error in enumerate(
        (DatabaseAwayError, DatabaseAwayError, RegistryAwayError, BrokerAwayError, FencedError)
    ):
        story.failures(error(f"{moment}"), moment)
    assert [line["cause"] for line in fields(caplog, "failed")] == ["database", "registry", "broker", "fenced"]


def test_a_database_that_always_answers_late_is_one_outage(caplog: pytest.LogCaptureFixture) -> None:
    story = Story(caplog)
    for began in (0, 9, 18):
        story.now = began
        story.log.waiting(5)
        story.now = began + 1
        story.log.answered({0: 5})
        story.log.polled()
    for story.now in (28.9, 29, 30):
        story.log.polled()
    assert caplog.messages == [
        "waiting: the database has not answered for 5 s; polling goes on",
        "waiting for 18 s: the database has not answered for 5 s; polling goes on",
        "going on after 19.0 s",
    ]


def test_an_outage_of_one_partition_has_its_own_beginning_and_end(caplog: pytest.LogCaptureFixture) -> None:
    story = Story(caplog)
    story.failures(DatabaseAwayError("away"), 0)
    story.failures(BrokerAwayError("no leader"), 3, partitions=[1])
    story.now = 4
    story.log.recovered({0: 4.0})
    story.now = 9
    story.log.recovered({1: 6.0})
    assert caplog.messages == [
        "waiting, next try in 4.0 s: away (t [0, 1])",
        "waiting, next try in 4.0 s: no leader (t [1])",
        "going on after 4.0 s",
        "going on after 6.0 s",
    ]


def test_an_outage_of_the_whole_client_is_over_when_it_does_not_come_again(caplog: pytest.LogCaptureFixture) -> None:
    story = Story(caplog)
    story.failures(BrokerAwayError("all brokers are down"), 0, 5, partitions=())
    for story.now in (14.9, 15, 16):
        story.log.polled()
    assert caplog.messages == ["waiting, next try in 4.0 s: all brokers are down", "going on after 5.0 s"]


def test_the_outage_of_a_partition_that_is_taken_is_somebody_elses_to_end(caplog: pytest.LogCaptureFixture) -> None:
    story = Story(caplog)
    story.failures(BrokerAwayError("no leader"), 0, partitions=[1])
    story.log.revoked([1], lost=False)
    for story.now in (5, 50):
        story.log.polled()
    assert caplog.messages == ["waiting, next try in 4.0 s: no leader (t [1])", "revoked: t [1]"]


def test_a_call_that_hangs_for_long_is_told_of_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    story = Story(caplog)
    story.now = 5
    story.log.waiting(5)
    for story.now in range(6, 60):
        story.log.polled()
    assert caplog.messages == [
        "waiting: the database has not answered for 5 s; polling goes on",
        "waiting for 10 s: the database has not answered for 15 s; polling goes on",
        "waiting for 30 s: the database has not answered for 35 s; polling goes on",
    ]


def test_an_outage_after_which_nothing_comes_to_be_committed_is_over_when_nothing_fails_any_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    story = Story(caplog)
    story.failures(DatabaseAwayError("away"), 0)
    story.now = 6
    story.log.settled({0: 5})
    story.now = 7
    story.log.settled({1: 5})
    for story.now in (8, 16.9, 17, 18):
        story.log.polled()
    story.log.recovered({0: 18.0, 1: 18.0})
    assert caplog.messages == ["waiting, next try in 4.0 s: away (t [0, 1])", "going on after 7.0 s"]


def test_an_outage_is_not_over_while_writing_fails_though_reading_works(caplog: pytest.LogCaptureFixture) -> None:
    story = Story(caplog)
    for moment in range(0, 60, 5):
        story.failures(DatabaseAwayError("the disk is full"), moment)
        story.log.settled({0: 5, 1: 5})
        story.now += 4
        story.log.polled()
    assert len(caplog.messages) == 3
    assert "going on" not in caplog.text


def test_a_batch_is_one_line_and_only_with_debug(caplog: pytest.LogCaptureFixture) -> None:
    decoded = Decoded("Any", object(), {})  # type: ignore[arg-type]
    records = [Record("t", 0, 5, decoded), Record("t", 0, 6, None, reason="bad"), Record("t", 1, 9, decoded)]
    batch = Stored(records, {1: Move(7, 10), 0: Move(5, 7)}, 0.0123, 0.001)
    caplog.set_level("INFO", "kafkajourney")
    LoopLog("t").stored(batch)
    assert caplog.messages == []
    caplog.set_level("DEBUG", "kafkajourney")
    LoopLog("t").stored(batch)
    assert caplog.messages == ["stored: 2 events of [0] 5-6, [1] 7-9 in 0.012 s"]
    offsets = {0: (5, 6), 1: (7, 9)}
    assert fields(caplog, "stored") == [{"partitions": [0, 1], "offsets": offsets, "events": 2, "seconds": 0.012}]


# --- processes -------------------------------------------------------------------------------------------------------


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Settings]:
    with embedded_stack(tmp_path / STATE_FOLDER) as settings:
        yield settings


@pytest.fixture
def running(embedded: Settings, tmp_path: Path) -> Iterator[Commands]:
    made = Commands(tmp_path, environment(embedded) | AUTO)
    yield made
    end_all(made)


@pytest.mark.stack
def test_what_a_consumer_does_can_be_read_by_a_machine(running: Commands) -> None:
    running.run("producer", "--rate", "0", "--count", "100")
    lines = parsed(running.run("consumers.journey", "--until-caught-up", "--debug"))
    assert {line["group"] for line in lines} == {"journey"}
    seen = [line["event"] for line in lines]
    assert set(seen) >= {"started", "assigned", "settled", "stored", "revoked", "caught_up"}
    stored = [line for line in lines if line["event"] == "stored"]
    assert sum(line["events"] for line in stored) == 100
    assert sum(last - first + 1 for line in stored for first, last in line["offsets"].values()) == 100
    assert all(set(line["offsets"]) == {str(partition) for partition in line["partitions"]} for line in stored)


@pytest.mark.stack
def test_an_outage_of_twenty_seconds_is_a_handful_of_lines(embedded: Settings, running: Commands) -> None:
    consumer = Watched(running.start("consumers.journey"))
    running.run("producer", "--rate", "0", "--count", "20")
    path = embedded.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path, isolation_level=None) as database:
        wait_for(lambda: database.execute("SELECT COUNT(*) FROM journey_events").fetchone() == (20,))
        database.execute("BEGIN EXCLUSIVE")
        running.run("producer", "--rate", "0", "--count", "20")
        wait_for(lambda: any(line.get("seconds", 0) >= 20 for line in parsed("".join(consumer.lines))), 60)
        database.execute("COMMIT")
    database.close()
    wait_for(lambda: consumer.says('"recovered"'), 60)
    running.run("consumers.analytic", "--until-caught-up")
    verified(running)
    consumer.running.process.send_signal(signal.SIGTERM)
    assert consumer.running.process.wait(COMMAND_DEADLINE) == 130
    wait_for(lambda: consumer.says('"stopped"'))
    lines = parsed("".join(consumer.lines))
    about_it = [line for line in lines if line["event"] not in ("started", "assigned", "revoked", "stopped")]
    assert about_it[-1]["event"] == "recovered"
    assert about_it[-1]["seconds"] >= 20
    assert {line["cause"] for line in about_it[:-1]} == {"database"}
    assert 2 < len(about_it) <= 6, about_it


@pytest.mark.stack
@pytest.mark.parametrize("command", [("producer",), ("consumers.journey", "--debug"), ("producer", "--rate", "fast")])
def test_the_error_at_the_end_is_a_json_line_too(lone_commands: Commands, command: tuple[str, ...]) -> None:
    code = 2 if "fast" in command else 1
    (line,) = parsed(lone_commands.run(*command, code=code, variables=AUTO) if "--debug" not in command else
                     lone_commands.start(*command, variables=AUTO).end(code))  # fmt: skip
    assert (line["level"], line["event"]) == ("ERROR", "error")
    assert ("traceback" in line) is ("--debug" in command)


@pytest.mark.stack
def test_a_short_command_speaks_to_people_unless_it_is_told_otherwise(lone_commands: Commands) -> None:
    command = ("schemas", "show", "Nothing")
    variables = {name: value for name, value in lone_commands.variables.items() if name != "KAFKAJOURNEY_LOG_FORMAT"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=lone_commands.folder, env=variables, capture_output=True, check=False
    )
    assert done.stderr.startswith(b"Error: There is no event type 'Nothing'")
    for arguments in ((*command, "--log-format", "json"), ("schemas", "--log-format", "json", *command[1:])):
        (line,) = parsed(lone_commands.run(*arguments, code=1, variables={"KAFKAJOURNEY_LOG_FORMAT": ""}))
        assert line["message"].startswith("There is no event type 'Nothing'")


@pytest.mark.stack
def test_on_a_terminal_a_consumer_speaks_to_people(lone_commands: Commands) -> None:
    (lone_commands.folder / "empty.db").touch()
    mine, its = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "consumers.journey"],
        cwd=lone_commands.folder,
        env=lone_commands.variables | AUTO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=its,
        check=False,
    )
    os.close(its)
    said = os.read(mine, 65536).decode()
    os.close(mine)
    assert done.returncode == 1
    assert "Error: The database at" in said


@pytest.mark.stack
@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("part", ["schema_registry_url", "database_url"])
def test_no_secret_is_in_the_log_however_much_is_logged(lone_commands: Commands, part: str, log_format: str) -> None:
    urls = {
        "schema_registry_url": f"http://ada:{SECRET}@127.0.0.1:1",
        "database_url": f"postgresql://ada:{SECRET}@127.0.0.1:1/journey",
    }
    command = ("producer",) if part == "schema_registry_url" else ("migrations", "upgrade")
    variables = {ENVIRONMENT[part]: urls[part], "KAFKAJOURNEY_LOG_FORMAT": log_format}
    output = lone_commands.start(*command, "--debug", variables=variables).end(1)
    assert "127.0.0.1:1" in output
    assert "Traceback" in output
    assert SECRET not in output


@pytest.mark.stack
def test_a_bad_line_is_told_to_a_machine_without_its_values(running: Commands, tmp_path: Path) -> None:
    wrong = {"type": "VideoPlayed", "user_id": {"name": SECRET}, "session_id": "s", "page_url": "p"}
    path = tmp_path / "events.ndjson"
    path.write_text(json.dumps(wrong | {"occurred_at": "2026-01-01T00:00:00Z", "video_id": "v", "position_seconds": 1}))
    lines = running.run("producer", "--input", str(path), code=1).splitlines()
    told = parsed("\n".join(line for line in lines if line.startswith("{")))
    assert [line["event"] for line in told] == ["refused", "error"]
    assert told[0]["line"] == 1
    assert SECRET not in "".join(lines)
    text = running.run("producer", "--input", str(path), code=1, variables={"KAFKAJOURNEY_LOG_FORMAT": "text"})
    assert SECRET in text  # whoever is at the keyboard sees what to correct
