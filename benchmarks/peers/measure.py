"""Peers on the same backlog, in turn with our journey consumer."""

from collections.abc import Callable
from typing import Any

from benchmarks.bench import Bench
from benchmarks.drain import DATABASES, JOURNEY, Contender, in_turn
from benchmarks.peers import connect, install
from kafkajourney.settings import Settings


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Return one row for each peer and database; install the peers first, where they are not there."""
    install.python()
    return in_turn(bench, CONTENDERS, DATABASES)


def _script(module: str) -> Callable[[Settings, int], list[str]]:
    return lambda settings, events: [
        *(str(install.python()), "-W", "ignore", "-m", module),
        *(settings.topic, str(events), settings.database_url),
    ]


CONTENDERS = (
    JOURNEY,
    Contender("Quix Streams", _script("benchmarks.peers.quix_streams")),
    Contender("FastStream", _script("benchmarks.peers.fast_stream")),
    Contender("Kafka Connect", connect.command, watched=connect.tables, databases=("postgresql",), ends_itself=False),
)
