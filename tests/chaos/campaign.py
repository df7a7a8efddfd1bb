"""A campaign: events flow, faults happen, everything catches up, and the verifier has the last word."""

import itertools
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from consumers import GROUPS
from kafkajourney.avro.catalogue import load
from kafkajourney.control.demo import instances
from kafkajourney.control.verify.report import Report
from kafkajourney.control.verify.verifier import Verifier
from kafkajourney.database import engines
from kafkajourney.embedded.stack import environment
from kafkajourney.errors import StopError
from kafkajourney.kafka import reading
from kafkajourney.registry.client import Registry
from kafkajourney.registry.decoder import Decoder
from schemas.events import EVENT_TYPES
from tests.chaos.faults import WEIGHTS, Chaos, Fault, kills
from tests.chaos.fleet import Fleet, Member
from tests.stack import RealStack

CONSUMERS = instances({group.name: group for group in GROUPS})
CATCH_UP_DEADLINE = 600.0
USERS = 1_000


@dataclass
class Plan:
    """What a campaign does; the same plan does the same faults in the same order."""

    events: int
    """Events on the topic before faults end, at least."""
    kills: int
    """SIGKILLs of our processes before faults end, at least."""
    seed: int
    pause: float = 1.0
    """Seconds between two faults, on average."""
    rate: float = 0.0
    """Events a second, 0 as fast as possible."""
    first: Sequence[Fault] = ()
    """Faults that come first, in this order; then they are drawn by their weights."""


def run(stack: RealStack, plan: Plan, folder: Path, tell: Callable[[str], None]) -> dict[str, object]:
    """Run a campaign; return its report. Raises StopError where a process fails or does not catch up."""
    began = time.monotonic()
    with _chaos(stack, plan, folder) as chaos:
        for fault in itertools.chain(plan.first, _drawn(chaos, plan)):
            fault(chaos)
            chaos.done[fault.__name__] += 1
            tell(f"{time.monotonic() - began:6.1f} s  {fault.__name__}  {dict(chaos.done)}")
            chaos.wait(chaos.rng.uniform(0, 2 * plan.pause))
        chaos.producer.stop()
        chaos.fleet.supervise()
        tell(f"{time.monotonic() - began:6.1f} s  faults are over, catching up with {_end(stack)} events")
        chaos.fleet.stop()
    _catch_up(stack)
    report = _verify(stack)
    return _summary(plan, chaos, report, time.monotonic() - began)


@contextmanager
def _chaos(stack: RealStack, plan: Plan, folder: Path) -> Iterator[Chaos]:
    fleet = Fleet(environment(stack.settings), folder)
    arguments = ["producer", "--rate", str(plan.rate), "--users", str(USERS)]
    producer = Member("producer", arguments, environment(stack.settings), folder)

    def wait(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            fleet.supervise()
            producer.restart_if_ended()
            time.sleep(min(left, 0.05))

    try:
        for group, number in CONSUMERS.items():
            for _ in range(number):
                fleet.add(group)
        yield Chaos(stack, fleet, producer, random.Random(plan.seed), wait)
    finally:
        fleet.kill()
        producer.kill()


def _drawn(chaos: Chaos, plan: Plan) -> Iterator[Fault]:
    while not _enough(chaos, plan):
        yield chaos.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


def _enough(chaos: Chaos, plan: Plan) -> bool:
    return kills(chaos.done, sum(CONSUMERS.values())) >= plan.kills and _end(chaos.stack) >= plan.events


def _end(stack: RealStack) -> int:
    """Return how many records the topic has."""
    return sum(reading.end_offsets(stack.settings).values())


def _catch_up(stack: RealStack) -> None:
    for group in CONSUMERS:
        command = [sys.executable, "-m", f"consumers.{group}", "--until-caught-up"]
        done = subprocess.run(
            command,
            env=environment(stack.settings),
            timeout=CATCH_UP_DEADLINE,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StopError(f"consumers.{group} ended with {done.returncode}: {done.stderr[-2000:]}")


def _verify(stack: RealStack) -> Report:
    registry = Registry(stack.settings)
    engine = engines.engine(stack.settings)
    with registry.client:
        report = Verifier(stack.settings, engine, Decoder(registry, load(), EVENT_TYPES), GROUPS).run()
    engine.dispose()
    return report


def _summary(plan: Plan, chaos: Chaos, report: Report, seconds: float) -> dict[str, object]:
    return {
        "seed": plan.seed,
        "seconds": round(seconds, 1),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "database": chaos.stack.settings.database_url.partition(":")[0],
        "sigkills": kills(chaos.done, sum(CONSUMERS.values())),
        "faults": dict(sorted(chaos.done.items())),
        "result": {name: value for name, value in asdict(report).items() if name != "examples"},
        "differences": report.examples,
        "verified": not report.differs and not report.dead_letters,
    }


def write(summary: dict[str, object], path: Path) -> None:
    """Write a report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
