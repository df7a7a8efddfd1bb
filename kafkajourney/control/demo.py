"""The demo: the whole pipeline as separate processes, shown live, supervised and verified."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from kafkajourney.command.running import INTERRUPTED
from kafkajourney.database import engines
from kafkajourney.database.store import Store
from kafkajourney.errors import StopError
from kafkajourney.group import Group
from kafkajourney.kafka import clients, reading
from kafkajourney.settings import Settings

INSERTING, ADDING = 3, 2
"""Consumers of a group that inserts a row for each event, and of one that adds, which has less to do."""

CATCH_UP_DEADLINE = 120.0
STOP_DEADLINE = 20.0
REFRESH = 0.1

console = Console(highlight=False, soft_wrap=True)


@dataclass
class Child:
    """One process of the demo and what it said last."""

    name: str
    arguments: list[str]
    environment: Mapping[str, str]
    events: int = 0
    last: str = ""
    errors: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the process, and threads that take what it prints."""
        self.process = subprocess.Popen(  # noqa: S603 # our own module
            [sys.executable, "-m", *self.arguments, "--echo", "--log-format", "text"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the demo, which then ends its processes
        )
        if not console.is_terminal:
            console.print(f"{self.name} started, pid {self.process.pid}")
        for stream, take in ((self.process.stdout, self._take_event), (self.process.stderr, self._take_line)):
            threading.Thread(target=_each_line, args=(stream, take), daemon=True).start()

    def _take_event(self, line: str) -> None:
        if line.startswith(self.arguments[0].rpartition(".")[2] + " ["):
            self.events += 1
        self.last = line

    def _take_line(self, line: str) -> None:
        self.errors.append(line)
        self.last = line

    def restart_if_it_died(self) -> None:
        """Start a consumer again that was killed, as a supervisor would; raise StopError where it failed."""
        code = self.process.poll()
        if code is None:
            return
        if code > 0 and code != INTERRUPTED:
            raise StopError(f"{self.name} ended with {code}: {' / '.join(self.errors[-3:])}")
        self.last = f"{'killed by ' + signal.Signals(-code).name if code < 0 else 'ended'}, started again"
        if not console.is_terminal:
            console.print(f"{self.name} {self.last}")
        self.start()


def run(
    settings: Settings, environment: Mapping[str, str], groups: Mapping[str, Group], events: int, rate: float
) -> None:
    """Produce ``events`` while consumers of all groups run; return when each group has stored all that is on the topic.

    Raises StopError where a process fails or the groups do not catch up in time.
    """
    producer = ["producer", "--count", str(events), "--rate", str(rate)]
    with _children(environment, groups, producer) as children, _display(children) as show:
        consumers = children[:-1]
        caught_up = _caught_up(settings, groups)
        deadline = time.monotonic() + events / (rate or events) + CATCH_UP_DEADLINE
        while not (_has_produced(children[-1]) and caught_up()):
            if time.monotonic() > deadline:
                raise StopError(f"The groups did not catch up within {CATCH_UP_DEADLINE:.0f} s after the last event.")
            for child in consumers:
                child.restart_if_it_died()
            show()
            time.sleep(REFRESH)
        show()


def instances(groups: Mapping[str, Group]) -> dict[str, int]:
    """Return how many consumers of each group the demo runs."""
    return {name: INSERTING if group.merge is None else ADDING for name, group in groups.items()}


def _has_produced(producer: Child) -> bool:
    code = producer.process.poll()
    if code:
        raise StopError(f"The producer ended with {code}: {' / '.join(producer.errors[-3:])}")
    return code == 0


def _caught_up(settings: Settings, groups: Iterable[str]) -> Callable[[], bool]:
    """Return what tells whether all groups have stored everything that is on the topic now."""
    engine = engines.engine(settings)
    reader = clients.reader(settings)
    partitions = reading.partitions_of(reader, settings)
    stores = [Store(engine, settings, group, lambda *_: None) for group in groups]

    def caught_up() -> bool:
        ends = {partition: reading.watermarks(reader, settings.topic, partition)[1] for partition in partitions}
        return all(store.progress().get(p, 0) >= end for store in stores for p, end in ends.items())

    return caught_up


@contextmanager
def _children(
    environment: Mapping[str, str], groups: Mapping[str, Group], producer: list[str]
) -> Iterator[list[Child]]:
    """Run the processes, consumers first and the producer last; end them all with the block."""
    children = []
    try:
        for group, number in instances(groups).items():
            children += [Child(f"{group}-{n}", [f"consumers.{group}"], environment) for n in range(1, number + 1)]
        children.append(Child("producer", producer, environment))
        yield children
    finally:
        for child in children:
            child.process.terminate()
        for child in children:
            try:
                child.process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                child.process.kill()


@contextmanager
def _display(children: list[Child]) -> Iterator[Callable[[], None]]:
    """Yield what shows the processes as they are now: a live table on a terminal, a line a second elsewhere."""
    if console.is_terminal:
        with Live(_table(children), console=console, auto_refresh=False) as live:
            yield lambda: live.update(_table(children), refresh=True)
        return
    next_line = time.monotonic()

    def show() -> None:
        nonlocal next_line
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + 1
            console.print("  ".join(f"{c.name} {c.events}" for c in reversed(children)))

    yield show
    next_line = 0.0
    show()


def _table(children: list[Child]) -> Table:
    table = Table(expand=True)
    for title, attributes in (
        ("process", {}),
        ("pid", {}),
        ("events", {"justify": "right"}),
        ("last", {"ratio": 1}),
    ):
        table.add_column(title, no_wrap=True, **attributes)
    for child in reversed(children):
        colour = "green" if child.name == "producer" else "cyan" if child.name.startswith("journey") else "magenta"
        table.add_row(f"[{colour}]{child.name}", str(child.process.pid), str(child.events), child.last)
    return table


def _each_line(stream: Iterator[str], take: Callable[[str], None]) -> None:
    for line in stream:
        take(line.rstrip())
