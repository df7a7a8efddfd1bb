"""The results as Markdown tables. Pure."""

from collections.abc import Iterable, Sequence

from benchmarks.stats import Row, Spread, cpu, of, rate, running, spread


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def drained(rows: Sequence[Row], reference: str) -> str:
    """Return who drained a backlog, and the rate as a multiple of the reference's into the same database."""
    references = {row["database"]: rate(row).median for row in rows if row["contender"] == reference}
    head = ("database", "who", "events", "events/s", f"of {reference}", "once running", "first rows after")
    return table(
        (*head, "CPU an event", "peak memory"),
        (
            (
                *(row["database"], row["contender"], f"{row['events']:,}", rate(row).shown()),
                f"{rate(row).median / references[row['database']]:.2f}",
                _or_none(running(row)),
                f"{of(row, 'first_seconds').median:.1f} s",
                *_cost(row),
            )
            for row in sorted(rows, key=lambda row: str(row["database"]), reverse=True)
        ),
    )


def produced(rows: Sequence[Row]) -> str:
    """Return who produced how fast."""
    (bare,) = (rate(row).median for row in rows if row["contender"] == "bare loop")
    return table(
        ("who", "events", "events/s", "of bare loop", "one event alone", "CPU an event", "peak memory"),
        (
            (
                *(row["contender"], f"{row['events']:,}", rate(row).shown(), f"{rate(row).median / bare:.2f}"),
                *(f"{spread(row['start_seconds']).median:.1f} s", *_cost(row)),
            )
            for row in rows
        ),
    )


def delayed(rows: Sequence[Row]) -> str:
    """Return the percentiles of the latency, in milliseconds."""
    parts = ("p50", "p95", "p99", "p99.9")
    return table(
        ("database", "settings", "events/s", *parts, "events measured", "a poll"),
        (
            (
                *(row["database"], settings(row), f"{row['rate']:,}"),
                *(of(row, part).shown() for part in parts),
                *(f"{sum(run['events'] for run in row['runs']):,.0f}", f"{of(row, 'poll').median:.1f}"),
            )
            for row in rows
        ),
    )


def settings(row: Row) -> str:
    """Return a profile's name and its options."""
    options = " ".join(row["options"])
    return f"{row['profile']}: `{options}`" if options else str(row["profile"])


def on(part: Row) -> str:
    """Return the command, the day and the machine of a part, with the versions."""
    own, peers = ("; ".join(f"{name} {value}" for name, value in part.get(key, {}).items()) for key in ("on", "peers"))
    return f"`{part['command']}`, {part['when']}. {own}." + (f" Peers: {peers}." if peers else "")


def _cost(row: Row) -> tuple[str, str]:
    return f"{cpu(row).median:.1f} µs", f"{of(row, 'peak_mib').most:.0f} MiB"


def _or_none(value: Spread | None) -> str:
    return value.shown() if value else "–"  # noqa: RUF001 # a dash in a table
