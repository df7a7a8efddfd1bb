"""Whether a process is alive, and whether it is ready: what its loop tells, and what answers of what it needs.

Alive is a process whose loop goes round. Ready is one that is alive, has its share of the work, and can do it. Each
part that it needs is asked in a thread of its own, so that an outage is seen also while no event comes.
See docs/decisions/0009-metrics.md.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine, select

from kafkajourney.background import in_thread
from kafkajourney.database import engines
from kafkajourney.database.tables import consumer_progress
from kafkajourney.database.views import READ_ONLY
from kafkajourney.errors import KafkaJourneyError, PartitionError
from kafkajourney.registry.client import Registry
from kafkajourney.registry.subjects import union_subject
from kafkajourney.settings import Settings
from kafkajourney.watching.observer import Observer

ALIVE_FOR = 60.0
"""Seconds without a poll after which a loop counts as stuck: twice what its longest wait takes (a dead letter's)."""

ASK_EVERY = 2.0
"""Seconds between an answer and the next question."""

PATIENCE = 3.0
"""Seconds that a part may take to answer before it counts as away."""


class Probe:
    """Asks one part again and again whether it answers."""

    def __init__(self, part: str, ask: Callable[[], object]) -> None:
        self.part = part
        self.complaint = f"the {part} has not been asked yet"
        """Why the part counts as away; empty where it answers."""
        self._ask = ask
        self._question: futures.Future[object] | None = None
        """What was asked and is not answered yet."""

    def watch(self, stop: threading.Event) -> None:
        """Ask until ``stop`` is set."""
        while not stop.is_set():
            self.ask()
            stop.wait(ASK_EVERY)

    def ask(self, patience: float = PATIENCE) -> None:
        """Ask once, and note the answer, or that there is none yet.

        A question that hangs is kept, with its thread and its connection, and answered in the end: no other is asked
        meanwhile. A lock on a table would else take one connection more every few seconds, until none is left.
        """
        self._question = question = self._question or in_thread(self._ask)
        if futures.wait([question], patience).done:
            self._question = None
            self.complaint = _complaint(self.part, question.exception())
        else:
            self.complaint = f"the {self.part} has not answered for {patience:.0f} s"


def _complaint(part: str, error: BaseException | None) -> str:
    """Return in one line what an answer says; empty where all is well."""
    if error is None:
        return ""
    reason = str(error) if isinstance(error, KafkaJourneyError) else f"{type(error).__name__}: {error}"
    return f"the {part} is away: {' '.join(reason.split())}"


def ask_database(engine: Engine, settings: Settings) -> None:
    """Read from the database, over a new connection: an old one can work where no new one does, and the reverse."""
    statement = select(consumer_progress.c.next_offset).limit(1)
    try:
        with engines.sorted_errors(settings), engine.connect().execution_options(**READ_ONLY) as connection:
            connection.execute(statement).all()
    finally:
        engine.dispose()


def ask_registry(registry: Registry, settings: Settings) -> None:
    """Ask for a little that is not kept; whether the registry has it does not matter."""
    registry.versions(union_subject(settings.topic))


class Health(Observer, Collector):
    """The health of a process; also as metrics."""

    def __init__(self, probes: Sequence[Probe], clock: Callable[[], float] = time.monotonic) -> None:
        self.probes = probes
        self._clock = clock
        self._polled_at = clock()

    def polled(self) -> None:  # noqa: D102 # Observer says it
        self._polled_at = self._clock()

    def why_dead(self) -> list[str]:
        """Return why the process is not alive: nothing where it is."""
        still = self._clock() - self._polled_at
        return [f"the loop has not gone round for {still:.0f} s"] if still > ALIVE_FOR else []

    def why_not_ready(self) -> list[str]:
        """Return why the process is not ready: nothing where it is."""
        return [*self.why_dead(), *(probe.complaint for probe in self.probes if probe.complaint)]

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        turned = GaugeMetricFamily("kafkajourney_loop_turned_timestamp_seconds", "When the loop went round last.")
        turned.add_metric([], time.time() - (self._clock() - self._polled_at))
        ready = GaugeMetricFamily("kafkajourney_ready", "1 where /readyz says 200, else 0.")
        ready.add_metric([], not self.why_not_ready())
        reachable = GaugeMetricFamily(
            "kafkajourney_reachable",
            "1 where this part answers the process, else 0; asked every few seconds.",
            labels=["part"],
        )
        for probe in self.probes:
            reachable.add_metric([probe.part], not probe.complaint)
        yield from (turned, ready, reachable)


class ConsumerHealth(Health):
    """The health of a consumer: it has a share of the work, too, or the group has none left for it."""

    def __init__(self, probes: Sequence[Probe], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(probes, clock)
        self._partitions: frozenset[int] = frozenset()
        self._is_idle = False
        self._standing: Mapping[int, str] = {}
        """Why a partition stands still."""

    def assigned(self, partitions: Iterable[int]) -> None:  # noqa: D102
        self._partitions |= frozenset(partitions)
        self._is_idle = False

    def revoked(self, partitions: Iterable[int], *, lost: bool) -> None:  # noqa: ARG002, D102
        self._partitions -= frozenset(partitions)
        self._standing = {p: fault for p, fault in self._standing.items() if p in self._partitions}

    def settled(self, positions: Mapping[int, int]) -> None:  # noqa: D102
        self._standing = {p: fault for p, fault in self._standing.items() if p not in positions}

    def stopped(self, partition: int, fault: PartitionError) -> None:  # noqa: D102
        self._standing = {**self._standing, partition: str(fault)}

    def silent(self, partitions: Mapping[int, str]) -> None:  # noqa: D102
        self._standing = {**self._standing, **{p: f"partition {p}: {reason}" for p, reason in partitions.items()}}

    def idle(self) -> None:  # noqa: D102
        self._is_idle = True

    def why_not_ready(self) -> list[str]:
        """Return why the consumer is not ready: nothing where it is."""
        has_its_share = self._partitions or self._is_idle
        share = [] if has_its_share else ["no partition is assigned yet"]
        return [*share, *self._standing.values(), *super().why_not_ready()]
