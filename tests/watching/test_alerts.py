"""Alerts and dashboard: queries ask for metrics that there are, alerts fire when they should and say what to do."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumers import GROUPS
from tests.project.test_compose import APPLICATION, SERVICES
from tests.stack import Missing
from tests.support.processes import ROOT, missing_part
from tests.watching.test_metrics import OPERATIONS, everything

PROMETHEUS = ROOT / "ops" / "prometheus"
RULES = PROMETHEUS / "alerts.yml"
CASES = PROMETHEUS / "alerts.test.yml"
GRAFANA = ROOT / "ops" / "grafana"
PORT = 9400

ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
NAMES = [alert["alert"] for alert in ALERTS]
TESTS: list[dict[str, Any]] = [
    expected
    for case in yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    for expected in case["alert_rule_test"]
]
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "kafkajourney.json").read_text(encoding="utf-8"))

OF_CLIENT_LIBRARY = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
OF_PROMETHEUS = {"up", "ALERTS"}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool; skip where it is not installed, fail in CI."""
    if shutil.which("promtool") is None:
        missing_part(Missing("promtool is not installed (apt install prometheus)."))
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def accepted(*arguments: str) -> None:
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def queries() -> Iterator[tuple[str, str]]:
    """Yield title and query of all that the dashboard asks, with its variables replaced."""
    asked = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    asked += [(note["name"], note["expr"]) for note in DASHBOARD["annotations"]["list"]]
    for title, query in asked:
        yield title, query.replace("$__rate_interval", "1m").replace("$group", ".*")


def asked_metrics(query: str) -> set[str]:
    """Return the names of the metrics in a query: the words that stand for neither function, label nor text."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(?:by|on|ignoring|without) \([^)]*\)', " ", query)
    words = re.findall(r"[a-zA-Z_:][\w:]*(?!\w*\s*\()", bare)
    return {word for word in words if word not in ("and", "or", "unless", "by", "on")}


def exposed() -> set[str]:
    """Return the names of all samples that processes expose."""
    parts = {
        name + suffix
        for name in everything()
        if name.endswith(("_seconds", "_events"))
        for suffix in ("_bucket", "_sum", "_count")
    }
    return everything().keys() | parts | OF_CLIENT_LIBRARY | OF_PROMETHEUS


# --- queries ----------------------------------------------------------------------------------------------------


def test_metrics_are_found_in_a_query() -> None:
    query = 'sum by (le) (rate(a_total{b=~"x"}[5m])) > 1 and deriv(sum by (b) (c_d)[15m:1m]) or absent(up{j="e"} == 1)'
    assert asked_metrics(query) == {"a_total", "c_d", "up"}


@pytest.mark.parametrize(("title", "query"), [*queries(), *((alert["alert"], alert["expr"]) for alert in ALERTS)])
def test_every_query_asks_for_metrics_that_there_are(title: str, query: str) -> None:
    assert asked_metrics(query)
    assert asked_metrics(query) <= exposed(), title


def test_the_dashboard_shows_every_metric() -> None:
    shown = set().union(*(asked_metrics(query) for _, query in queries()))
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert everything().keys() - shown == set()


@pytest.mark.stack
def test_the_dashboards_queries_are_promql(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, (_, query) in enumerate(queries())]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    accepted("check", "rules", str(tmp_path / "queries.yml"))


def test_panels_are_complete_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    for panel in panels:
        assert panel["type"] == "row" or (panel["description"] and panel["targets"] and panel["datasource"])


def test_grafana_finds_dashboard_and_source() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if panel["type"] != "row"}
    assert sources == {source["uid"]}
    assert source["url"] == "http://monitoring-prometheus:9090"
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/kafkajourney.yml").read_text())["providers"]
    assert f"./ops/grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


# --- scraping ---------------------------------------------------------------------------------------------------


@pytest.mark.stack
def test_prometheus_takes_its_configuration() -> None:
    accepted("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_prometheus_scrapes_every_service_where_it_serves_its_metrics() -> None:
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    assert {job["job_name"] for job in jobs} == APPLICATION
    for job in jobs:
        assert job["dns_sd_configs"] == [{"names": [job["job_name"]], "type": "A", "port": PORT}]
        assert SERVICES[job["job_name"]]["environment"]["KAFKAJOURNEY_METRICS_PORT"] == str(PORT)


# --- alerts -----------------------------------------------------------------------------------------------------


@pytest.mark.stack
def test_rules_are_rules() -> None:
    accepted("check", "rules", str(RULES))


@pytest.mark.stack
def test_rules_fire_when_they_should_and_not_otherwise() -> None:
    accepted("test", "rules", str(CASES))


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_is_seen_to_fire_and_not_to_fire(name: str) -> None:
    fired = [bool(test["exp_alerts"]) for test in TESTS if test["alertname"] == name]
    assert set(fired) == {True, False}


@pytest.mark.stack
@pytest.mark.parametrize("name", NAMES)
def test_the_cases_notice_an_alert_that_does_not_fire(name: str, tmp_path: Path) -> None:
    groups = [{"name": "all", "rules": [alert for alert in ALERTS if alert["alert"] != name]}]
    (tmp_path / "alerts.yml").write_text(json.dumps({"groups": groups}))
    (tmp_path / "cases.yml").write_text(CASES.read_text(encoding="utf-8"))
    done = promtool("test", "rules", str(tmp_path / "cases.yml"))
    assert done.returncode != 0
    assert name in done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_each_alert_says_how_bad_it_is_and_where_it_stands_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["summary"].endswith(".")
    file, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert ROOT / file == OPERATIONS
    assert anchor == alert["alert"].lower()


def sections() -> dict[str, str]:
    """Return what docs/operations.md says of each alert, by its name."""
    parts = re.split(r"^### (KafkaJourney\w+)\n", OPERATIONS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        name: re.split(r"^#", text, flags=re.MULTILINE)[0] for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_operations_has_a_section_for_each_alert_and_no_other() -> None:
    assert sorted(sections()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_section_says_what_to_look_at_and_what_to_do(name: str) -> None:
    text = sections()[name]
    assert "**Look at**" in text
    assert "**Do**" in text


def test_both_groups_are_missed_where_they_are_absent() -> None:
    (absent,) = [alert for alert in ALERTS if alert["alert"] == "KafkaJourneyConsumerAbsent"]
    assert set(re.findall(r'group="(\w+)"', absent["expr"])) == {group.name for group in GROUPS}
