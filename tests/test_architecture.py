"""The rules of docs/decisions/0001: imports point one way, importing does nothing, dialects stay in one place."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("consumers", "kafkajourney", "migrations", "producer", "schemas")

# From the bottom to the top. A package counts for its __init__.
LAYERS = {
    "settings and errors": """
        kafkajourney kafkajourney.errors kafkajourney.settings kafkajourney.embedded kafkajourney.embedded.state
        schemas producer consumers consumers.journey consumers.analytic migrations""",
    "pure modules": """
        schemas.catalogue schemas.events schemas.parsing schemas.compatibility schemas.generate schemas.changes
        schemas.examples schemas.diff schemas.scaffold schemas.checks schemas.checks.finding schemas.checks.files
        schemas.checks.rules schemas.checks.evolution schemas.checks.examples schemas.checks.classes
        kafkajourney.events kafkajourney.observer kafkajourney.backoff kafkajourney.background
        kafkajourney.broker_errors kafkajourney.tls
        producer.simulator producer.ndjson consumers.journey.rows consumers.analytic.rows
        kafkajourney.embedded.registry_store""",
    "the loop": "kafkajourney.loop",
    "adapters": """
        schemas.plan schemas.git schemas.checks.history schemas.simulate schemas.display
        kafkajourney.tables kafkajourney.dialects kafkajourney.database kafkajourney.store kafkajourney.clients
        kafkajourney.registry kafkajourney.serde kafkajourney.logs kafkajourney.loop_log kafkajourney.metrics
        kafkajourney.health kafkajourney.tracing kafkajourney.otel kafkajourney.dead_letters kafkajourney.topics
        schemas.register producer.publish producer.display
        kafkajourney.replay consumers.groups kafkajourney.embedded.broker kafkajourney.embedded.registry
        kafkajourney.lookout kafkajourney.embedded.stack""",
    "commands": """
        kafkajourney.command kafkajourney.monitoring kafkajourney.metrics_server
        kafkajourney.verify kafkajourney.doctor kafkajourney.demo
        kafkajourney.dlq kafkajourney.cli kafkajourney.status schemas.check
        kafkajourney.__main__ consumers.command consumers.journey.__main__ consumers.analytic.__main__
        producer.__main__ schemas.__main__ migrations.__main__ migrations.env""",
}
LAYER_OF = {module: number for number, layer in enumerate(LAYERS.values()) for module in layer.split()}


def modules() -> dict[str, Path]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    named = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths if "versions" not in path.parts
    }
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_has_a_layer() -> None:
    assert set(modules()) == set(LAYER_OF)


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_one_way(module: str) -> None:
    for imported in imports(modules()[module]):
        assert LAYER_OF.get(imported, 0) <= LAYER_OF[module], f"{module} imports {imported}, which is above it"


def test_producer_and_consumers_do_not_know_each_other() -> None:
    for module, path in modules().items():
        used = {imported.partition(".")[0] for imported in imports(path)}
        for one, other in (("producer", "consumers"), ("consumers", "producer")):
            assert not (module.startswith(one) and other in used), f"{module} imports {other}"


def test_importing_does_nothing() -> None:
    names = [name for name in modules() if name not in ("migrations.env", "kafkajourney.__main__")]
    script = f"""
import importlib, socket, sqlite3, subprocess, threading
def refuse(*_arguments, **_more):
    raise AssertionError("importing did something")
socket.socket.connect = socket.create_server = sqlite3.connect = subprocess.Popen.__init__ = refuse
threading.Thread.start = refuse
import confluent_kafka
for name in ("Consumer", "Producer"):
    setattr(confluent_kafka, name, type(name, (), {{"__init__": refuse}}))
for name in {names!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", ["dialect.name", "OPENJSON", "PRAGMA", "on_conflict", "dialects import sqlite"])
def test_what_depends_on_the_dialect_is_in_one_place(words: str) -> None:
    users = [name for name, path in modules().items() if words in path.read_text(encoding="utf-8")]
    assert set(users) <= {"kafkajourney.dialects"}, users
