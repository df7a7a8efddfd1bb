"""Statistics of a few runs, and of many delays. Pure."""

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

Row = dict[str, Any]
"""A row of the results: who did what, and ``runs``, one dictionary for each repetition."""


FIRST_EVENTS = 0.2
"""The part of all events that may be seen at once for the rest to tell a rate."""


class Spread(NamedTuple):
    """The median of some runs, the least and the most."""

    median: float
    least: float
    most: float

    def shown(self, digits: int = 0) -> str:
        """Return it for people."""
        median, least, most = (f"{value:,.{digits}f}" for value in self)
        return median if least == most else f"{median} ({least} to {most})"


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of some values."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], part: float) -> float:
    """Return the least value that ``part`` per cent of the values do not exceed: one that was measured."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * part / 100) - 1)]


def of(row: Row, name: str) -> Spread:
    """Return the spread of one value of the runs."""
    return spread([run[name] for run in row["runs"]])


def rate(row: Row) -> Spread:
    """Return the events a second, the start of the process included."""
    return spread([row["events"] / run["seconds"] for run in row["runs"]])


def cpu(row: Row) -> Spread:
    """Return the microseconds of CPU time an event."""
    return spread([run["cpu_seconds"] / row["events"] * 1e6 for run in row["runs"]])


def running(row: Row) -> Spread | None:
    """Return the events a second after the first were seen; None where these were too many."""
    rates = [
        (row["events"] - run["first_events"]) / (run["seconds"] - run["first_seconds"])
        for run in row["runs"]
        if run["first_events"] <= row["events"] * FIRST_EVENTS
    ]
    return spread(rates) if len(rates) == len(row["runs"]) else None
