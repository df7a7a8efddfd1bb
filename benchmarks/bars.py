"""The bars that the figures are held against. Pure."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.stats import Row, cpu, of, rate
from benchmarks.tables import table

Parts = dict[str, Any]


class Bar(NamedTuple):
    """A promise of the project, and what was measured."""

    promise: str
    needed: str
    found: float
    is_kept: bool


def bars(parts: Parts) -> Iterator[Bar]:
    """Yield the bars of all parts that were measured."""
    for part, others in _RATIOS.items():
        rows = parts[part]["rows"] if part in parts else []
        for who, whom, least in others:
            for row in _rows(rows, who):
                for other in _rows(rows, whom, row.get("database")):
                    found = rate(row).median / rate(other).median
                    where = f", {row['database']}" if "database" in row else ""
                    yield Bar(f"{who}: rate of {whom}{where}", f"≥ {least:g} x", found, found >= least)
    yield from _observed(parts)
    yield from _latency(parts)
    yield from _memory(parts)


def shown(parts: Parts) -> str:
    """Return the bars as a table."""
    return table(
        ("bar", "needed", "measured", "kept"),
        ((b.promise, b.needed, f"{b.found:,.2f}", "yes" if b.is_kept else "**no**") for b in bars(parts)),
    )


_RATIOS = {
    "drain": (
        ("journey", "bare loop", 0.8),
        ("journey", "commit per event", 20),
        ("analytic", "journey", 3),
    ),
    "peers": (
        ("journey", "Quix Streams", 3),
        ("journey", "Kafka Connect", 1),
    ),
    "produce": (("producer", "bare loop", 0.8),),
}
MOST_PERCENT = 3
P99_MS = 150
PEAK_MIB = 150


def _rows(rows: list[Row], who: str, database: str | None = None) -> list[Row]:
    return [row for row in rows if row["contender"] == who and database in (None, row.get("database"))]


def _observed(parts: Parts) -> Iterator[Bar]:
    """CPU time, since it varies less than the rate from run to run."""
    rows = parts["observed"]["rows"] if "observed" in parts else []
    for row, plain in zip(_rows(rows, "with metrics"), _rows(rows, "journey"), strict=True):
        found = 100 * (cpu(row).median / cpu(plain).median - 1)
        yield Bar(
            f"CPU time of metrics and log, %, {row['database']}", f"< {MOST_PERCENT}", found, found < MOST_PERCENT
        )


def _latency(parts: Parts) -> Iterator[Bar]:
    for row in parts["latency"]["rows"] if "latency" in parts else []:
        if row["profile"] == "default" and row["rate"] == 100:  # noqa: PLR2004 # the rate that the bar is for
            found = of(row, "p99").median
            yield Bar(f"p99 at 100 events/s, ms, {row['database']}", f"< {P99_MS}", found, found < P99_MS)


def _memory(parts: Parts) -> Iterator[Bar]:
    """Both sizes under the limit, and the larger one no more than a tenth above the smaller."""
    found = {row["events"]: of(row, "peak_mib").most for row in parts.get("growth", {}).get("rows", [])}
    limit = min([PEAK_MIB, *(mib * 1.1 for mib in found.values())])
    for events, mib in found.items():
        yield Bar(f"peak memory with {events:,} events, MiB", f"< {PEAK_MIB}, and the same", mib, mib < limit)
