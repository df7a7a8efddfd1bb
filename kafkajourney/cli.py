"""``kafkajourney``: the stack, the demo, the doctor, the verification, the dead letters."""

import time
from contextlib import nullcontext

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from consumers.groups import GROUPS
from kafkajourney import clients, database, demo, doctor, topics, verify
from kafkajourney.command import INTERRUPTED, SETTINGS, CommandGroup, settings_options, stop_on_signal
from kafkajourney.command import main as run
from kafkajourney.dlq import dlq
from kafkajourney.embedded.broker import PARTITION_LIMIT_MIB
from kafkajourney.embedded.stack import addresses, embedded_stack, environment
from kafkajourney.embedded.state import STATE_FOLDER
from kafkajourney.errors import StopError
from kafkajourney.registry import Registry
from kafkajourney.serde import Decoder
from kafkajourney.settings import Settings
from kafkajourney.status import status
from schemas.catalogue import load
from schemas.events import EVENT_TYPES

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
    with embedded_stack(STATE_FOLDER / "demo") if stack == "embedded" else nullcontext(settings) as used:
        before = sum(clients.end_offsets(used).values())
        began = time.monotonic()
        demo.run(used, environment(used), events, rate)
        console.print(f"the pipeline ran {time.monotonic() - began:.1f} s; verifying")
        report = _verified(used)
        console.print(f"the tables are in {used.safe_database_url}")
        _print_report(report)
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
    with embedded_stack(STATE_FOLDER, settings.topic, partitions) as stack:
        for name, value in addresses(stack).items():
            console.print(f"{name:<20} {value}")
        console.print("\nReady. In other shells of this folder:")
        for line in (
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
        mark = "[green]✓[/]" if finding.well else "[red]✗[/]"
        console.print(f"{mark} {finding.part:<9} {escape(finding.text)}")
    if not all(finding.well for finding in findings):
        raise StopError("Something is not well, see above.")


@kafkajourney.command(name="verify")
@settings_options(*SETTINGS)
def verify_(settings: Settings) -> None:
    """Compare the tables with the topic: missing, duplicate and unexpected events, order, every user's plays.

    Reads the whole topic. Ends with 1 where anything differs, also where a group has not caught up.
    """
    _print_report(_verified(settings))


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
@settings_options("bootstrap_servers", "topic")
def create(settings: Settings, partitions: int, replication: int, retention_hours: float | None) -> None:
    """Create the topic and the groups' dead-letter topics, where they do not exist.

    A topic that exists is left as it is; one with fewer partitions than asked for is an error, since adding some
    moves users to other partitions.
    """
    for sentence in topics.create(settings, list(GROUPS), partitions, replication, retention_hours):
        click.echo(sentence)


kafkajourney.add_command(dlq)
kafkajourney.add_command(status)


def _verified(settings: Settings) -> verify.Report:
    engine = database.engine(settings)
    database.require_newest_revision(engine, settings)
    return verify.Verifier(settings, engine, Decoder(Registry(settings), load(), EVENT_TYPES)).run()


def _print_report(report: verify.Report) -> None:
    """Print the report, the totals last; raise StopError where anything differs."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, number, meaning in (
        ("set aside", report.set_aside, "records that are dead letters: kafkajourney dlq list"),
        ("altered", report.altered, "rows of which other columns are not what the topic says"),
        ("ahead", report.ahead, "rows that the progress of the group journey does not cover"),
        ("beyond", report.beyond, "partitions in which a group's progress is after the topic's end"),
        ("lost", report.lost_letters, "records that were set aside and are not in the dead-letter topic"),
        ("lag", report.lag, "records that the group journey has not come to yet"),
        ("lag", report.plays_lag, "records that the group analytic has not come to yet"),
        ("dropped", report.dropped, "records that the topic keeps no more (retention), not checked"),
        ("moved users", report.users_in_several_partitions, "users with events in several partitions"),
    ):
        if number:
            table.add_row(name, str(number), meaning)
    if table.rows:
        console.print(table)
    for example in report.examples:
        console.print(f"  {example}", markup=False)
    console.print(
        f"produced {report.produced}, stored {report.stored}, missing {report.missing}, "
        f"duplicates {report.duplicates}, unexpected {report.unexpected}, out of order {report.out_of_order}",
    )
    console.print(
        f"plays: {report.plays_counted} counted, {report.plays_produced} produced, by {report.users} users, "
        f"{report.wrong_totals} totals wrong",
    )
    if report.is_wrong:
        raise StopError("The tables are not what the topic says, see above.")
    if report.differs:
        raise StopError("The groups have not caught up yet, else all is well. Run it again when they have.")
    aside = f", but for {report.set_aside} dead letters" if report.set_aside else ""
    bounded = f"; {report.dropped} records are no longer on the topic" if report.dropped else ""
    console.print(f"[green]verified[/]: everything on the topic is in the tables, once, in order{aside}{bounded}")


def main() -> None:
    """Run the command ``kafkajourney``."""
    run(kafkajourney, "KAFKAJOURNEY")
