"""More consumers of one group, and a backlog of ten times the size: what an event costs then."""

from typing import Any

from benchmarks.bench import Bench
from benchmarks.drain import in_turn, ours

CONSUMERS = (1, 2, 3)
TIMES = 10


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Return one row for each number of journey consumers."""
    return in_turn(
        bench, [ours(f"journey x {number}", "journey", processes=number) for number in CONSUMERS], ["postgresql"]
    )


def measure_growth(bench: Bench) -> list[dict[str, Any]]:
    """Return a row for the backlog, and one for ten times as many events."""
    sizes = (bench.events, bench.events * TIMES)
    return in_turn(bench, [ours(f"journey, {size:,}", "journey", events=size) for size in sizes], ["postgresql"])
