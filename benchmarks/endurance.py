"""``python -m benchmarks.endurance``: many events through all consumers at once; memory has to stay flat.

Three journey and two analytic consumers on real Kafka, a real registry and PostgreSQL, a producer as fast as it can,
then the verification. Tells the memory of every process after each quarter of the way.
"""

import tempfile
import time
from pathlib import Path

import click

from benchmarks.measure import run
from consumers import GROUPS
from kafkajourney.command.options import common_options
from kafkajourney.command.running import main
from kafkajourney.control.demo import instances
from kafkajourney.database import engines
from kafkajourney.database.store import Store
from kafkajourney.embedded.stack import environment
from kafkajourney.errors import StopError
from kafkajourney.state import STATE_FOLDER
from tests.chaos.fleet import Fleet, Member
from tests.stack import Missing, RealStack, real_stack

CONSUMERS = instances({group.name: group for group in GROUPS})
DEADLINE = 1800.0


@click.command(name="benchmarks.endurance")
@click.option("--events", type=click.IntRange(1000), default=1_000_000, show_default=True)
@common_options
def cli(events: int) -> None:
    """Produce events at full speed while five consumers run; verify; tell the memory of each process."""
    try:
        with real_stack(STATE_FOLDER / "endurance", with_postgres=True) as stack:
            _run(stack, events)
    except Missing as missing:
        raise StopError(str(missing)) from missing


def _run(stack: RealStack, events: int) -> None:
    fleet = Fleet(environment(stack.settings), Path(tempfile.mkdtemp(prefix="kafkajourney-endurance-")))
    try:
        for group, number in CONSUMERS.items():
            for _ in range(number):
                fleet.add(group)
        began = time.monotonic()
        arguments = ["producer", "--rate", "0", "--count", str(events), "--users", "1000"]
        producer = Member("producer", arguments, environment(stack.settings), fleet.folder)
        for quarter in range(1, 5):
            _wait_until_stored(stack, events * quarter // 4)
            _tell_memory([*fleet.members, producer], quarter, time.monotonic() - began)
        fleet.stop()
        verified = run(["kafkajourney", "verify"], environment(stack.settings))
        click.echo(f"verified {events} events in {verified.seconds:.0f} s, {verified.peak_mib:.0f} MiB")
    finally:
        fleet.kill()


def _wait_until_stored(stack: RealStack, events: int) -> None:
    """Wait until both groups have stored so many events."""
    deadline = time.monotonic() + DEADLINE
    with engines.disposed(engines.engine(stack.settings)) as engine:
        stores = [Store(engine, stack.settings, group, lambda *_: None) for group in CONSUMERS]
        while min(sum(store.progress().values()) for store in stores) < events:
            if time.monotonic() > deadline:
                raise StopError(f"{events} events were not stored within {DEADLINE:.0f} s.")
            time.sleep(0.2)


def _tell_memory(members: list[Member], quarter: int, seconds: float) -> None:
    shown = ", ".join(f"{m.name} {_mib(m, 'VmRSS'):.0f} (peak {_mib(m, 'VmHWM'):.0f})" for m in members if not m.ended)
    click.echo(f"{quarter}/4 after {seconds:.0f} s, MiB: {shown}")


def _mib(member: Member, what: str) -> float:
    lines = Path(f"/proc/{member.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


if __name__ == "__main__":
    main(cli, "KAFKAJOURNEY_ENDURANCE")
