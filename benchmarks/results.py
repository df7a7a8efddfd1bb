"""The results of all parts in one JSON file: each part with its command, its day, and what it ran on."""

import json
import os
import platform
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers.install import versions as peers_versions
from tests.stack.versions import KAFKA, REGISTRY

PACKAGES = ("confluent-kafka", "fastavro", "sqlalchemy", "psycopg")


def read(path: Path) -> dict[str, Any]:
    """Return the results of all parts that were measured."""
    parts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return parts


def write(path: Path, part: str, command: str, on: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """Put one part's results in the place of its former ones."""
    found = {"command": command, "when": time.strftime("%Y-%m-%d"), "on": on, "rows": rows}
    if part == "peers":
        found["peers"] = peers_versions()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(read(path) | {part: found}, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, str]:
    """Return what the results are measured on, how busy it is, and the versions that matter."""
    return {
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        "Kafka": KAFKA.split(":")[2],
        "Apicurio Registry": REGISTRY.split(":")[2],
        "SQLite": sqlite3.sqlite_version,
    } | {package: version(package) for package in PACKAGES}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
