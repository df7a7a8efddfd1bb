"""``kafkajourney``: the stack, the demo, the doctor, the verification, the dead letters."""

import os
import time
from contextlib import nullcontext
from operator import itemgetter
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from kafkajourney import application
from kafkajourney.avro.catalogue import load
from kafkajourney.command.options import SETTINGS, CommandGroup, settings_options
from kafkajourney.command.running import INTERRUPTED
from kafkajourney.command.running import main as run
from kafkajourney.command.signals import stop_on_signal
from kafkajourney.control import demo, doctor
from kafkajourney.control.dlq import dlq
from kafkajourney.control.new import copy, new
from kafkajourney.control.status import status
from kafkajourney.control.verify.report import Report
from kafkajourney.control.verify.show import show
from kafkajourney.control.verify.verifier import Verifier
from kafkajourney.database import engines, revisions
from kafkajourney.embedded.stack import addresses, embedded_stack, environment
from kafkajourney.errors import StopError
from kafkajourney.kafka import reading, topics
from kafkajourney.registry.client import Registry
from kafkajourney.registry.decoder import Decoder
from kafkajourney.settings import Settings
from kafkajourney.state import PARTITION_LIMIT_MIB, STATE_FOLDER

console = Console(soft_wrap=True, highlight=False)


@click.group(cls=CommandGroup)
def kafkajourney() -> None:
    """User-journey events through Kafka and a schema registry into a database, each exactly once."""


@kafkajourney.command(name="demo")
@click.option("--events", type=click.IntRange(1), default=300, show_default=True, help="How many to produce.")
@click.option("--rate", type=click.FloatRange(0), default=50, show_default=True, help="Events a second; 0: no limit.")
@click.option(
    "--stack",
    type=click.Choice(["embedded", "settings"]),
    default="embedded",
    show_default=True,
    help="An embedded one of its own, or what the settings name, ready to use (see doctor).",
)
@settings_options(*SETTINGS)
def demo_(settings: Settings, events: int, rate: float, stack: str) -> None:
    """Run the whole pipeline and verify it.

    One producer, three journey consumers and two analytic ones, as separate processes. Kill any consumer with
    kill -9 while it runs: it is started again, and the result is the same.
    """
    if stack == "embedded":
        _go_to_an_application()
    with embedded_stack(STATE_FOLDER / "demo") if stack == "embedded" else nullcontext(settings) as used:
        before = sum(reading.end_offsets(used).values())
        began = time.monotonic()
        demo.run(used, environment(used), application.current().groups, events, rate)
        console.print(f"the pipeline ran {time.monotonic() - began:.1f} s; verifying")
        report = _verified(used)
        console.print(f"the tables are in {used.safe_database_url}")
        show(report, console)
        if report.produced - before != events:
            raise StopError(f"{events} events should have been produced; {report.produced - before} were.")


@kafkajourney.command()
@click.option("--partitions", type=click.IntRange(1), default=3, show_default=True, help="Of the topic.")
@settings_options("topic")
def up(settings: Settings, partitions: int) -> int:
    """Start an embedded broker, registry and database; they run until Ctrl-C.

    Commands in other shells of the same folder find them by themselves. Everything begins empty and ends with this
    command. The broker keeps at most 5 MiB a partition, in memory: for more than a look, use a real one.
    """
    is_private = _go_to_an_application()
    with embedded_stack(STATE_FOLDER, settings.topic, partitions) as stack:
        for name, value in filter(itemgetter(1), addresses(stack).items()):
            console.print(f"{name:<20} {value}")
        console.print("\nReady. In other shells" + (":" if is_private else " of this folder:"))
        for line in (
            *([f"cd {Path.cwd()}"] if is_private else []),
            "python -m consumers.journey --echo",
            "python -m consumers.analytic --echo",
            "python -m producer",
        ):
            console.print(f"    {line}")
        console.print(f"It keeps {PARTITION_LIMIT_MIB} MiB a partition, in memory, until Ctrl-C.")
        with stop_on_signal() as stop:
            stop.wait()
    return INTERRUPTED


@kafkajourney.command(name="doctor")
@settings_options(*SETTINGS)
def doctor_(settings: Settings) -> None:
    """Check broker, topic, registry, schemas, driver, database and revision; say what to do.

    Ends with 1 where something is not well.
    """
    findings = list(doctor.examine(settings))
    for finding in findings:
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: " "}[finding.well]
        console.print(f"{mark} {finding.part:<12} {escape(finding.text)}")
    if any(finding.well is False for finding in findings):
        raise StopError("Something is not well, see above.")


@kafkajourney.command(name="verify")
@settings_options(*SETTINGS)
def verify_(settings: Settings) -> None:
    """Compare the tables with the topic: missing, duplicate and unexpected events, order, every user's plays.

    Reads the whole topic. Ends with 1 where anything differs, also where a group has not caught up.
    """
    show(_verified(settings), console)


@kafkajourney.group(name="topic", cls=CommandGroup)
def topic_() -> None:
    """The topic of the events."""


@topic_.command()
@click.option("--partitions", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--replication",
    type=int,
    default=topics.BROKER_DEFAULT,
    help="Copies of each partition.  [default: the broker's]",
)
@click.option(
    "--retention-hours",
    type=click.FloatRange(0),
    help="How long records are kept, 0 for ever; longer than your oldest database backup.  [default: the broker's]",
)
@settings_options("bootstrap_servers", "topic", "group_prefix")
def create(settings: Settings, partitions: int, replication: int, retention_hours: float | None) -> None:
    """Create the topic and the groups' dead-letter topics, where they do not exist.

    A topic that exists is left as it is; one with fewer partitions than asked for is an error, since adding some
    moves users to other partitions.
    """
    for sentence in topics.create(
        settings, list(application.current().groups), partitions, replication, retention_hours
    ):
        click.echo(sentence)


kafkajourney.add_command(new)
kafkajourney.add_command(dlq)
kafkajourney.add_command(status)


def _go_to_an_application() -> bool:
    """Work in a private copy of the application that comes along where the folder is none; return whether so."""
    try:
        application.current()
    except StopError:
        folder = STATE_FOLDER / "application"
        copy(folder)
        os.chdir(folder)  # the processes of the demo begin there as well
        return True
    return False


def _verified(settings: Settings) -> Report:
    engine = engines.engine(settings)
    revisions.require_revisions(engine, settings)
    here = application.current()
    decode = Decoder(Registry(settings), load(), here.event_classes)
    return Verifier(settings, engine, decode, here.groups.values()).run()


def main() -> None:
    """Run the command ``kafkajourney``."""
    run(kafkajourney, "KAFKAJOURNEY")
