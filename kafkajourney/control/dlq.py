"""``kafkajourney dlq``: the dead letters."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click
from rich.console import Console

from kafkajourney import application
from kafkajourney.avro.catalogue import load
from kafkajourney.command.options import SETTINGS, CommandGroup, settings_options
from kafkajourney.consuming.dead_letters import Selection
from kafkajourney.consuming.records import RecordMaker
from kafkajourney.consuming.replay import letters_of, messages
from kafkajourney.consuming.replay import replay as replay_all
from kafkajourney.control.group_name import GroupName
from kafkajourney.database import engines
from kafkajourney.database.store import Store
from kafkajourney.database.writing import check_row, writer
from kafkajourney.errors import DecodeError, StopError
from kafkajourney.kafka.reading import headers_of
from kafkajourney.registry.client import Registry
from kafkajourney.registry.decoder import Decoder
from kafkajourney.settings import Settings

console = Console(soft_wrap=True, highlight=False)


@click.group(cls=CommandGroup)
def dlq() -> None:
    """Dead letters: records that a group could not store, with the reason."""


def _selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--since", type=click.DateTime(), help="Only those set aside at this time (UTC) or later."),
        click.option("--reason", help="Only those whose reason has this text."),
        click.option("--group", type=GroupName(), help="Only those of this group."),
    ):
        command = option(command)
    return command


@dlq.command(name="list")
@click.option("--all", "replayed", is_flag=True, help="Those that were replayed too.")
@_selection_options
@settings_options("database_url", "topic")
def list_(settings: Settings, **selection: Any) -> None:
    """List the dead letters that were not replayed yet, oldest first."""
    letters = letters_of(engines.engine(settings), settings, Selection(**selection))
    for letter in letters:
        state = (
            f"replayed {_time(letter.replayed_at)}" if letter.replayed_at else f"set aside {_time(letter.set_aside_at)}"
        )
        place = f"[{letter.partition}] {letter.offset}"
        console.print(f"{letter.group:<8} {place:>10}  {state}  {letter.reason}", markup=False)
    console.print(f"{len(letters)} dead letters")


@dlq.command()
@click.argument("group", type=GroupName())
@click.argument("partition", type=int)
@click.argument("offset", type=int)
@settings_options(*SETTINGS)
def show(settings: Settings, group: str, partition: int, offset: int) -> None:
    """Show the dead letter of GROUP that comes from PARTITION and OFFSET: headers, bytes, what can be decoded."""
    message = messages(settings, group, {(partition, offset)}).get((partition, offset))
    if message is None:
        raise StopError(f"{group} has no dead letter of [{partition}] {offset}. See: kafkajourney dlq list --all")
    for name, value in headers_of(message):
        console.print(f"{name:<24} {(value or b'').decode(errors='backslashreplace')}", markup=False)
    for name, value in (("key", message.key()), ("value", message.value())):
        console.print(f"{name:<24} {'null' if value is None else value.hex(' ')}", markup=False)
    try:
        console.print(f"{'decoded':<24} {_decoder(settings)(message.value())}", markup=False)
    except DecodeError as error:
        console.print(f"{'decoded':<24} no: {error}", markup=False)


@dlq.command()
@click.option("--place", type=(int, int), metavar="PARTITION OFFSET", help="Only the one from this place.")
@_selection_options
@settings_options(*SETTINGS)
def replay(settings: Settings, **selection: Any) -> None:
    """Store the dead letters that were not replayed yet, after what was wrong has been mended.

    Each is stored, or counted, once, at its original place, however often this is run. What still cannot be stored
    stays a dead letter; the exit code is then 1.
    """
    engine = engines.engine(settings)
    letters = letters_of(engine, settings, Selection(**selection))
    failed = 0
    for group in application.current().groups.values():
        store = Store(engine, settings, group.name, writer(group))
        own = [letter for letter in letters if letter.group == group.name]
        decode = _decoder(settings, group.wanted)
        records = RecordMaker(settings.topic, decode, group.rows, check_row(engine, group))
        for outcome in replay_all(settings, store, records, own):
            letter = outcome.letter
            console.print(f"{letter.group} [{letter.partition}] {letter.offset}: {outcome.text}", markup=False)
            failed += not outcome.stored
    console.print(f"{len(letters) - failed} of {len(letters)} dead letters are stored")
    if failed:
        raise StopError(f"{failed} dead letters cannot be stored, for the reasons above.")


def _time(moment: datetime) -> str:
    return f"{moment.isoformat(' ', 'seconds')} UTC"


def _decoder(settings: Settings, wanted: frozenset[str] | None = None) -> Decoder:
    return Decoder(Registry(settings), load(), application.current().event_classes, wanted)
