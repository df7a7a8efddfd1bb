"""Producing as fast as possible: our producer, and a bare loop with the same events and the same properties."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.bench import SIMULATED, Bench, tell
from benchmarks.measure import Run, run
from kafkajourney.embedded.stack import environment
from kafkajourney.errors import StopError
from kafkajourney.kafka import reading
from tests.stack.real import prepare

TOPIC = "produced"


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Return one row for each of the two; ``start_seconds`` is what a single event takes, from start to end."""
    settings = replace(bench.stack.settings, topic=TOPIC)
    prepare(settings)
    commands: dict[str, Callable[[int], list[str]]] = {
        "bare loop": lambda events: ["benchmarks.bare_producer", TOPIC, str(events)],
        "producer": lambda events: ["producer", "--rate", "0", "--count", str(events), *SIMULATED],
    }
    runs: dict[str, list[Run]] = defaultdict(list)
    starts: dict[str, list[float]] = defaultdict(list)
    produced = 0
    for _ in range(bench.repeat):
        for name, command in commands.items():
            starts[name].append(run(command(1), environment(settings)).seconds)
            runs[name].append(run(command(bench.events), environment(settings)))
            tell(f"produce {name}: {runs[name][-1]}")
            produced += bench.events + 1
            if (found := sum(reading.end_offsets(settings).values())) != produced:
                raise StopError(f"{TOPIC} has {found} events in place of {produced}.")
    return [
        {"contender": name, "events": bench.events, "start_seconds": starts[name]}
        | {"runs": [result._asdict() for result in runs[name]]}
        for name in commands
    ]
