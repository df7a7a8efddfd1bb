"""The benchmark's pure parts: statistics, bars, tables, the plot, the page."""

from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import bars, plot, report, stats, tables, watch
from kafkajourney.errors import StopError
from tests.support.processes import ROOT


def drained(contender: str, *seconds: float, database: str = "sqlite", events: int = 1000) -> stats.Row:
    run = {"first_seconds": 1.0, "first_events": 100, "cpu_seconds": 0.01, "peak_mib": 100.0}
    return {
        "database": database,
        "contender": contender,
        "events": events,
        "runs": [run | {"seconds": each} for each in seconds],
    }


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [stats.percentile(values, part) for part in (50, 95, 99, 99.9)] == [50, 95, 99, 100]
    assert stats.percentile([7.0], 0.1) == 7


def test_rates() -> None:
    row = drained("journey", 2.0, 4.0, 5.0)
    assert stats.rate(row) == (250, 200, 500)
    assert stats.running(row) == (300, 225, 900)
    assert stats.cpu(row).median == pytest.approx(10)


def test_there_is_no_rate_once_running_where_most_came_at_once() -> None:
    row = drained("journey", 2.0)
    row["runs"][0]["first_events"] = 900
    assert stats.running(row) is None


def test_a_spread_of_one_value_is_that_value() -> None:
    assert stats.spread([1234.4]).shown() == "1,234"
    assert stats.spread([1, 2, 4]).shown(1) == "2.0 (1.0 to 4.0)"


@pytest.mark.parametrize(("seconds", "kept"), [(5.0, True), (5.1, False)])
def test_bars(seconds: float, kept: bool) -> None:  # noqa: FBT001 # pytest calls it
    rows = [drained("journey", seconds), drained("bare loop", 4.0), drained("bare loop", 1.0, database="postgresql")]
    (bar,) = bars.bars({"drain": {"rows": rows}})
    assert bar.is_kept == kept
    assert bar.promise == "journey: rate of bare loop, sqlite"


def test_bars_of_memory() -> None:
    rows = [drained("small", 1.0), drained("large", 1.0, events=10_000)]
    assert [bar.is_kept for bar in bars.bars({"growth": {"rows": rows}})] == [True, True]
    rows[1]["runs"][0]["peak_mib"] = 120.0
    assert [bar.is_kept for bar in bars.bars({"growth": {"rows": rows}})] == [True, False]


def test_bars_of_latency() -> None:
    row = {"database": "sqlite", "profile": "default", "rate": 100, "options": [], "runs": [{"p99": 149.0}]}
    assert [bar.is_kept for bar in bars.bars({"latency": {"rows": [row, row | {"rate": 2000}]}})] == [True]


def test_tables_have_as_many_cells_in_every_line() -> None:
    percentiles = dict.fromkeys(("p50", "p95", "p99", "p99.9", "poll", "events"), 1.0)
    rows = [drained("bare loop", 2.0), drained("journey", 4.0)]
    delays = [
        {"database": "sqlite", "profile": "x", "rate": 100, "options": ["--batch-wait", "1"], "runs": [percentiles]}
    ]
    for text in (
        tables.drained(rows, "bare loop"),
        tables.produced([row | {"start_seconds": [1.0]} for row in rows]),
        tables.delayed(delays),
    ):
        assert len({line.count("|") for line in text.splitlines()}) == 1
    assert "| journey | 1,000 | 250 | 0.50 |" in tables.drained(rows, "bare loop")


def test_the_plot_is_svg_with_a_bar_for_each_rate() -> None:
    groups = plot.rates([drained("journey", 2.0), drained("a & b", 1.0)], [drained("journey", 9.0)])
    assert list(groups["sqlite"]) == ["a & b", "journey"]
    assert groups["sqlite"]["journey"].median == 500
    drawn = ElementTree.fromstring(plot.svg("title", groups))
    namespace = "{http://www.w3.org/2000/svg}"
    widths = [float(bar.attrib["width"]) for bar in drawn.iter(f"{namespace}rect")][1:]
    assert widths[0] == pytest.approx(widths[1] * 2)
    assert {text.text for text in drawn.iter(f"{namespace}text")} >= {"a & b", "1,000", "journey", "500"}


def test_the_page_has_a_place_for_every_part() -> None:
    page = (ROOT / report.PAGE).read_text(encoding="utf-8")
    for part in ("bars", *report.TABLES):
        filled = report.filled(page, part, r"new \1")
        assert "new \\1" in filled
        assert report.filled(filled, part, "x") == report.filled(page, part, "x")
    with pytest.raises(StopError):
        report.filled(page, "nothing", "")


def test_what_is_watched_in_sqlite(tmp_path: Any) -> None:
    query = watch.reader(f"sqlite:///{tmp_path}/watched.db")
    query('CREATE TABLE journey_events (topic, "partition", "offset")')
    watched = watch.rows("t", {0: 2, 1: 1})
    assert [watch.number(query, sql) for sql in watched] == [0, 0]
    query("INSERT INTO journey_events VALUES ('t', 0, 1), ('t', 1, 7)")
    assert [watch.number(query, sql) for sql in watched] == [2, 1]
