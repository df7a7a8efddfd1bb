"""Producers and consumers of several schema versions at once, as real processes: nothing stops, nothing is lost."""

import json
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from consumers.analytic.table import video_plays
from consumers.journey.table import journey_events
from kafkajourney.avro.catalogue import load
from kafkajourney.control.new import copy
from kafkajourney.database import engines
from kafkajourney.schemas import scaffold
from kafkajourney.schemas.generate import render
from kafkajourney.settings import Settings
from tests.support.processes import Commands, Running, end_all, wait_for
from tests.support.schema_files import TITLE, edit, evolve, generate

pytestmark = pytest.mark.stack

Json = dict[str, Any]


class Versions:
    """Commands of deployments with other schema files: each in a folder with its own package ``schemas``."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self.made: list[Commands] = []

    def first(self) -> Commands:
        """Return a deployment that has only the first version of every type."""
        made = self._copy("first")
        for path in made.folder.glob("schemas/*/v*.*"):
            if path.name.split(".")[0] != "v1":
                path.unlink()
        (made.folder / "schemas" / "events.py").write_text(render(load(made.folder / "schemas")))
        return made

    def next(self, monkeypatch: pytest.MonkeyPatch) -> Commands:
        """Return a deployment with another version of VideoPlayed and another type, CartFilled."""
        made = self._copy("next")
        monkeypatch.chdir(made.folder)
        evolve(TITLE, title="Tour")
        schema, _ = scaffold.new(Path("schemas"), load(), "CartFilled", datetime.now(UTC))
        edit(schema, lambda d: d["fields"].append({"name": "item", "type": "string"}))
        generate()
        return made

    def _copy(self, name: str) -> Commands:
        folder = self._commands.folder / name
        copy(folder)
        self.made.append(Commands(folder, self._commands.variables))
        return self.made[-1]


@pytest.fixture
def versions(commands: Commands) -> Iterator[Versions]:
    made = Versions(commands)
    yield made
    for deployment in made.made:
        end_all(deployment)


def event(user: int, **fields: object) -> Json:
    common = {
        "event_id": str(uuid.uuid4()),
        "user_id": f"user-{user}",
        "session_id": f"user-{user}-1",
        "page_url": "https://shop.example.com/",
        "occurred_at": "2026-03-14T09:26:53.589Z",
    }
    return common | {"type": "VideoPlayed", "video_id": "tour", "position_seconds": 1.5} | fields


def produce(commands: Commands, *events: Json) -> None:
    path = commands.folder / "events.ndjson"
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    assert f"produced {len(events)} events" in commands.run("producer", "--input", str(path))


def payloads(settings: Settings) -> dict[str, Json]:
    """Return the payload of every stored event by its id."""
    engine = engines.engine(settings)
    with engine.connect() as connection:
        rows = connection.execute(select(journey_events.c.event_id, journey_events.c.payload)).all()
    engine.dispose()
    return {event_id: json.loads(payload) for event_id, payload in rows}


def plays(settings: Settings) -> dict[str, int]:
    engine = engines.engine(settings)
    with engine.connect() as connection:
        rows = connection.execute(select(video_plays.c.user_id, video_plays.c.plays)).all()
    engine.dispose()
    return {row.user_id: row.plays for row in rows}


def stop(running: Running) -> None:
    running.process.send_signal(signal.SIGTERM)
    assert "set aside" not in running.end(130)


def test_a_running_consumer_meets_versions_and_types_that_it_does_not_know(
    stack: Settings, commands: Commands, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumers = [commands.start(f"consumers.{group}") for group in ("journey", "analytic")]
    for consumer in consumers:
        consumer.read_until("assigned")
    newer = versions.next(monkeypatch)
    newer.run("schemas", "register")
    known = event(1, playback_rate=2.0)
    newest = event(1, playback_rate=0.5, title="A tour")
    unknown = {k: v for k, v in event(1, type="CartFilled", item="fondue").items() if k not in OWN}
    oldest = event(1)
    produce(commands, known)
    produce(newer, newest, unknown)
    produce(versions.first(), oldest)
    produce(commands, event(1, playback_rate=1.0))
    wait_for(lambda: len(payloads(stack)) == 5 and plays(stack) == {"user-1": 4})
    stored = payloads(stack)
    seen = {"video_id": "tour", "position_seconds": 1.5}
    assert stored[known["event_id"]] == seen | {"playback_rate": 2.0}
    assert stored[newest["event_id"]] == seen | {"playback_rate": 0.5, "title": "A tour"}
    assert stored[unknown["event_id"]] == {"item": "fondue"}
    assert stored[oldest["event_id"]] == seen | {"playback_rate": 1.0}
    for consumer in consumers:
        stop(consumer)
    assert "produced 5, stored 5, missing 0, duplicates 0" in commands.run("kafkajourney", "verify")


OWN = ("video_id", "position_seconds")


class Feed:
    """Events to a producer through a pipe, for as long as the test wants."""

    def __init__(self, commands: Commands, **fields: object) -> None:
        path = commands.folder / "feed"
        os.mkfifo(path)
        self.events: list[Json] = []
        self._fields = fields
        self._stop = threading.Event()
        self.producer = commands.start("producer", "--input", str(path))
        self._thread = threading.Thread(target=self._write, args=(path,), daemon=True)
        self._thread.start()

    def _write(self, path: Path) -> None:
        with path.open("w", buffering=1) as pipe:
            while not self._stop.wait(0.01):
                self.events.append(event(len(self.events) % 20, **self._fields))
                pipe.write(json.dumps(self.events[-1]) + "\n")

    def end(self) -> list[Json]:
        """End the producer when it has produced everything; return that."""
        assert self.producer.process.poll() is None, "the events have to flow all the time"
        self._stop.set()
        self._thread.join()
        assert f"produced {len(self.events)} events" in self.producer.end()
        return self.events


def test_a_rolling_upgrade(stack: Settings, commands: Commands, versions: Versions) -> None:
    first = versions.first()
    groups = ("journey", "journey", "journey", "analytic", "analytic")
    old = [first.start(f"consumers.{group}") for group in groups]
    for consumer in old:
        consumer.read_until("reading")
    feeds = [Feed(first), Feed(commands, playback_rate=1.75)]
    wait_for(lambda: both_versions_stored(stack, feeds))
    new = []
    for group, consumer in zip(groups, old, strict=True):
        stop(consumer)
        new.append(commands.start(f"consumers.{group}"))
        new[-1].read_until("reading")
        await_more(stack)
    wait_for(lambda: both_versions_stored(stack, feeds))
    written_first, written_second = (feed.end() for feed in feeds)
    total = len(written_first) + len(written_second)
    wait_for(lambda: len(payloads(stack)) == total and sum(plays(stack).values()) == total)
    stored = payloads(stack)
    assert all(stored[e["event_id"]]["playback_rate"] == 1.75 for e in written_second)
    # What the old consumers stored of version 1 has no rate, what the new ones stored has the default.
    assert {stored[e["event_id"]].get("playback_rate") for e in written_first} == {None, 1.0}
    assert f"produced {total}, stored {total}, missing 0, duplicates 0" in commands.run("kafkajourney", "verify")
    for consumer in new:
        stop(consumer)


def await_more(stack: Settings) -> None:
    """Wait until more is stored than now."""
    before = len(payloads(stack))
    wait_for(lambda: len(payloads(stack)) > before)


def both_versions_stored(stack: Settings, feeds: list[Feed]) -> bool:
    """Whether what is stored has the last of both producers' first events that are there now."""
    stored = payloads(stack)
    return all(len(feed.events) > 20 and feed.events[-20]["event_id"] in stored for feed in feeds)
