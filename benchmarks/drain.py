"""Draining a backlog: by our consumers, by a bare loop, by one commit an event; in turn, round after round."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import Backlog, Bench, tell
from benchmarks.measure import Drained, Process, drained, python
from benchmarks.watch import Watch, number, progress, reader, rows
from kafkajourney.embedded.stack import environment
from kafkajourney.settings import Settings

DATABASES = ("sqlite", "postgresql")
PER_EVENT = 5_000
"""Events for the style of one commit an event: it needs no more to be known."""


@dataclass(frozen=True)
class Contender:
    """Who drains a backlog."""

    name: str
    command: Callable[[Settings, int], list[str]]
    watched: Callable[[str, Mapping[int, int]], Watch] = rows
    databases: Sequence[str] = DATABASES
    processes: int = 1
    events: int | None = None
    """Where it is another backlog than the others'."""
    ends_itself: bool = True
    """Whether it ends when the backlog is drained."""


def ours(name: str, group: str, options: Sequence[str] = (), **more: Any) -> Contender:
    """Return consumers of one of our groups as a contender."""
    return Contender(name, lambda *_: python(f"consumers.{group}", "--until-caught-up", *options), **more)


def script(module: str) -> Callable[[Settings, int], list[str]]:
    """Return the command of a module that takes topic, number of events and database."""
    return lambda settings, events: python(module, settings.topic, str(events), settings.database_url)


JOURNEY = ours("journey", "journey")
CONTENDERS = (
    Contender("bare loop", script("benchmarks.bare")),
    JOURNEY,
    ours("analytic", "analytic", watched=progress),
    Contender("commit per event", script("benchmarks.per_event"), events=PER_EVENT),
)


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Return one row for each contender and database."""
    return in_turn(bench, CONTENDERS, DATABASES)


def in_turn(bench: Bench, contenders: Sequence[Contender], databases: Sequence[str]) -> list[dict[str, Any]]:
    """Let each contender drain its backlog into each database, all in turn, as often as asked for."""
    runs: dict[tuple[str, Contender], list[Drained]] = defaultdict(list)
    for _ in range(bench.repeat):
        for database in databases:
            for contender in contenders:
                if database in contender.databases:
                    result = _drain(bench, contender, database, bench.backlog(contender.events or bench.events))
                    runs[database, contender].append(result)
                    tell(f"{database} {contender.name}: {result}")
    return [
        {"database": database, "contender": contender.name, "processes": contender.processes}
        | {"events": contender.events or bench.events, "runs": [result._asdict() for result in results]}
        for (database, contender), results in runs.items()
    ]


def _drain(bench: Bench, contender: Contender, database: str, backlog: Backlog) -> Drained:
    with bench.database(database, backlog.topic) as settings:
        query, watch = reader(settings.database_url), contender.watched(backlog.topic, backlog.ends)
        command = contender.command(settings, backlog.events)
        processes = [Process(command, environment(settings)) for _ in range(contender.processes)]
        try:
            return drained(
                processes,
                lambda: number(query, watch.seen),
                lambda: number(query, watch.last) == len(backlog.ends),
                ends_itself=contender.ends_itself,
            )
        finally:
            for process in processes:
                process.kill()
