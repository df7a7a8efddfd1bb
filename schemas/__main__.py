"""``python -m schemas``: the event types, in the folder and in the registry."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from kafkajourney.command import CommandGroup, main, settings_options
from kafkajourney.errors import StopError
from kafkajourney.registry import Registry
from kafkajourney.settings import Settings
from schemas.catalogue import load
from schemas.register import register as register_all


@click.group(cls=CommandGroup)
def schemas() -> None:
    """Event types as Avro schemas: a folder a type, a file a version (schemas/video_played/v2.avsc)."""


@schemas.command(name="list")
def list_() -> None:
    """List the event types with their versions and own fields."""
    table = Table(box=None, pad_edge=False)
    for title in ("type", "subject", "versions", "own fields of the newest"):
        table.add_column(title, overflow="fold")
    for event_type in load().values():
        versions = ", ".join(str(v.version) for v in event_type.versions)
        table.add_row(event_type.name, event_type.subject, versions, ", ".join(event_type.newest.own_fields))
    Console().print(table)


@schemas.command()
@click.argument("event")
@click.option("--version", "number", type=int, help="Which version.  [default: the newest]")
def show(event: str, number: int | None) -> None:
    """Print the schema of EVENT (VideoPlayed, or its full name)."""
    event_type = load().find(event)
    numbers = [v.version for v in event_type.versions]
    if number is not None and number not in numbers:
        raise StopError(f"{event_type.name} has no version {number}. It has: {', '.join(map(str, numbers))}.")
    click.echo(event_type.versions[(number or numbers[-1]) - 1].path.read_text(encoding="utf-8"), nl=False)


@schemas.command()
@click.option("--check", is_flag=True, help="Write nothing; end with 1 where the file is not current.")
def generate(check: bool) -> None:  # noqa: FBT001 # click calls it
    """Generate the dataclasses (schemas/events.py) from the newest versions."""
    # Imported here: every other command does without the generator.
    from schemas.generate import EVENTS_FILE, render  # noqa: PLC0415

    text = render(load())
    shown = EVENTS_FILE.relative_to(Path.cwd()) if EVENTS_FILE.is_relative_to(Path.cwd()) else EVENTS_FILE
    current = EVENTS_FILE.exists() and EVENTS_FILE.read_text(encoding="utf-8") == text
    if check and not current:
        raise StopError(f"{shown} is not what the schemas say. Run: python -m schemas generate")
    if not current:
        EVENTS_FILE.write_text(text, encoding="utf-8")
    click.echo(f"{shown} is current" if current else f"{shown} written")


@schemas.command()
@settings_options("schema_registry_url", "topic")
def register(settings: Settings) -> None:
    """Register what the registry does not have yet, and set the compatibility levels.

    Every event type is a subject of its own (FULL_TRANSITIVE); the topic's subject is the union of them all
    (BACKWARD_TRANSITIVE). Running it again changes nothing.
    """
    for subject, version, schema_id in register_all(Registry(settings), load(), settings.topic):
        click.echo(f"{subject} version {version} has id {schema_id}")


if __name__ == "__main__":
    main(schemas, "KAFKAJOURNEY_SCHEMAS")
