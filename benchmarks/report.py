"""Writes what was measured into docs/performance.md, between its markers, and the plot beside it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import bars, plot, tables
from kafkajourney.errors import StopError

PAGE = Path("docs/performance.md")
PLOT = Path("docs/performance.svg")
TITLE = "Events a second from a backlog into the database: median, least to most"

TABLES: dict[str, Callable[[Any], str]] = {
    "drain": lambda rows: tables.drained(rows, "bare loop"),
    "peers": lambda rows: tables.drained(rows, "journey"),
    "produce": tables.produced,
    "latency": tables.delayed,
    "scale": lambda rows: tables.drained(rows, rows[0]["contender"]),
    "observed": lambda rows: tables.drained(rows, rows[0]["contender"]),
    "growth": lambda rows: tables.drained(rows, rows[0]["contender"]),
}


def write(parts: dict[str, Any]) -> None:
    """Write page and plot anew; what was not measured stays as it is."""
    page = PAGE.read_text(encoding="utf-8")
    for name, part in parts.items():
        page = filled(page, name, f"{TABLES[name](part['rows'])}\n\n{tables.on(part)}")
    page = filled(page, "bars", bars.shown(parts))
    PAGE.write_text(page, encoding="utf-8")
    if rows := [parts[name]["rows"] for name in ("drain", "peers") if name in parts]:
        PLOT.write_text(plot.svg(TITLE, plot.rates(*rows)), encoding="utf-8")


def filled(page: str, name: str, text: str) -> str:
    """Return the page with this text between the markers of this name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    new, number = re.subn(f"{begin}.*{end}", lambda _: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)
    if number != 1:
        raise StopError(f"{PAGE} has no place for {name} ({begin} ... {end}).")
    return new
