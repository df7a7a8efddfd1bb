"""``python -m benchmarks`` (``make bench``): drains a backlog from real Kafka, in turn by us and by others."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import click

from benchmarks.measure import Run, run
from kafkajourney.command import common_options, main
from kafkajourney.embedded.stack import environment
from kafkajourney.embedded.state import STATE_FOLDER
from kafkajourney.errors import StopError
from kafkajourney.settings import Settings
from tests.stack import Missing, RealStack, real_stack

PER_EVENT = 5_000
"""Events for the style of one commit an event: it needs no more to be known."""


@dataclass(frozen=True)
class Contender:
    """Who drains the backlog: the module and its arguments, and how many events of it."""

    name: str
    arguments: Callable[[Settings, int], list[str]]
    events: int | None = None


CONTENDERS = (
    Contender("bare loop", lambda s, n: ["benchmarks.bare", s.topic, str(n), s.database_url]),
    Contender("journey", lambda _s, _n: ["consumers.journey", "--until-caught-up"]),
    Contender("analytic", lambda _s, _n: ["consumers.analytic", "--until-caught-up"]),
    Contender("commit per event", lambda s, n: ["benchmarks.per_event", s.topic, str(n), s.database_url], PER_EVENT),
)


@dataclass(frozen=True)
class Row:
    """Medians of one contender on one database; rates are in events a second."""

    database: str
    contender: str
    events: int
    rate: float
    slowest: float
    fastest: float
    cpu_us_per_event: float
    peak_mib: float
    of_bare: float
    """The rate as a part of the bare loop's in the same run."""


@click.command(name="benchmarks")
@click.option("--events", type=click.IntRange(1000), default=500_000, show_default=True, help="In the backlog.")
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Repetitions, interleaved.")
@click.option("--report", type=click.Path(path_type=Path), default=STATE_FOLDER / "bench.json", show_default=True)
@common_options
def cli(events: int, repeat: int, report: Path) -> None:
    """Drain a backlog from real Kafka into SQLite and PostgreSQL; write a report as JSON and as a table."""
    try:
        with real_stack(STATE_FOLDER / "bench", with_postgres=True) as stack:
            produced = run(["producer", "--rate", "0", "--count", str(events)], environment(stack.settings))
            click.echo(f"produced {events} events in {produced.seconds:.1f} s")
            rows = [row for database in ("sqlite", "postgresql") for row in _drain(stack, database, events, repeat)]
    except Missing as missing:
        raise StopError(str(missing)) from missing
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"machine": _machine(), "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    click.echo(_table(rows))


def _drain(stack: RealStack, database: str, events: int, repeat: int) -> Iterator[Row]:
    runs: dict[str, list[Run]] = {contender.name: [] for contender in CONTENDERS}
    for number in range(repeat):
        for contender in CONTENDERS:
            settings = _empty_database(stack, f"bench-{database}-{contender.name.replace(' ', '-')}-{number}", database)
            arguments = contender.arguments(settings, contender.events or events)
            runs[contender.name].append(run(arguments, environment(settings)))
            click.echo(f"{database} {contender.name}: {runs[contender.name][-1]}", err=True)
    bare = _rate(runs["bare loop"], events)
    for contender in CONTENDERS:
        yield _row(database, contender, runs[contender.name], contender.events or events, bare)


def _empty_database(stack: RealStack, name: str, database: str) -> Settings:
    return stack.empty_database(name, on_postgres=database == "postgresql")


def _rate(runs: list[Run], events: int) -> float:
    return events / statistics.median(r.seconds for r in runs)


def _row(database: str, contender: Contender, runs: list[Run], events: int, bare: float) -> Row:
    rates = [events / r.seconds for r in runs]
    rate = statistics.median(rates)
    cpu = statistics.median(r.cpu_seconds for r in runs) / events * 1e6
    peak = max(r.peak_mib for r in runs)
    return Row(database, contender.name, events, rate, min(rates), max(rates), cpu, peak, rate / bare)


def _machine() -> dict[str, str]:
    packages = ("confluent-kafka", "fastavro", "sqlalchemy", "psycopg")
    return {
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "when": time.strftime("%Y-%m-%d"),
    } | {package: version(package) for package in packages}


def _table(rows: list[Row]) -> str:
    lines = [
        "| database | who | events/s (slowest to fastest) | of the bare loop | CPU a event | peak memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {r.database} | {r.contender} | {r.rate:,.0f} ({r.slowest:,.0f} to {r.fastest:,.0f}) | {r.of_bare:.2f} "
        f"| {r.cpu_us_per_event:.0f} µs | {r.peak_mib:.0f} MiB |"
        for r in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(cli, "KAFKAJOURNEY_BENCH")
