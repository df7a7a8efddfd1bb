"""What it costs to be observed: a consumer with metrics and JSON logs against one without."""

from typing import Any

from benchmarks.bench import Bench
from benchmarks.drain import JOURNEY, in_turn, ours

OBSERVED = ours("with metrics", "journey", options=("--metrics-port", "0", "--log-format", "json"))
TALKATIVE = ours(
    "with metrics, a line a batch", "journey", options=("--metrics-port", "0", "--log-format", "json", "--debug")
)


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Return one row for each way of running a journey consumer."""
    return in_turn(bench, [JOURNEY, OBSERVED, TALKATIVE], ["sqlite"])
