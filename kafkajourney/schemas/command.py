"""``python -m schemas``: the event types, in the folder and in the registry."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console

from kafkajourney import application
from kafkajourney.avro.catalogue import SchemaVersion, load
from kafkajourney.command.options import CommandGroup, settings_options
from kafkajourney.errors import SettingsError, StopError
from kafkajourney.registry.client import Registry
from kafkajourney.schemas import git
from kafkajourney.schemas.checks.finding import Finding, shown
from kafkajourney.schemas.diff import Row, catalogues_diff, versions_diff
from kafkajourney.schemas.display import markdown as markdown_table
from kafkajourney.schemas.display import table
from kafkajourney.schemas.plan import plan
from kafkajourney.schemas.register import register as register_all
from kafkajourney.settings import Settings

# Imported in the command that needs it, since it takes its time: schemas.check, .generate, .scaffold, .simulate.


@click.group(cls=CommandGroup)
def schemas() -> None:
    """Event types as Avro schemas: a folder a type, a file a version (schemas/video_played/v2.avsc)."""


@schemas.command(name="list")
def list_() -> None:
    """List the event types with their versions and own fields."""
    rows = [
        (t.name, t.subject, ", ".join(str(v.version) for v in t.versions), ", ".join(t.newest.own_fields))
        for t in load().values()
    ]
    Console().print(table(("type", "subject", "versions", "own fields of the newest"), rows))


@schemas.command()
@click.argument("event")
@click.option("--version", "number", type=int, help="Which version.  [default: the newest]")
def show(event: str, number: int | None) -> None:
    """Print the schema of EVENT (VideoPlayed, or its full name)."""
    click.echo(_version(event, number).path.read_text(encoding="utf-8"), nl=False)


@schemas.command(name="check")
@click.option("--against-registry", is_flag=True, help="Ask the registry too, and show what register would do.")
@click.option("--base", metavar="REV", help="Newest commit that counts as merged.  [default: HEAD, or the merge base]")
@settings_options("schema_registry_url", "topic")
def check_(settings: Settings, against_registry: bool, base: str | None) -> None:  # noqa: FBT001 # click calls it
    """Check that the schemas may be merged; a line for each finding, and then exit code 1.

    Every version parses, has the right names and the common fields, and is what it was when it was merged; every
    example is valid; every version reads what every other one wrote; the classes are current.
    """
    from kafkajourney.schemas.check import check  # noqa: PLC0415

    report = check(application.current().schemas, base)
    for note in report.notes:
        click.echo(f"note: {note}")
    asked = against_registry and report.is_readable
    _end_with([*report.findings, *(_show_plan(settings) if asked else [])])
    catalogue = load()
    count = sum(len(event_type.versions) for event_type in catalogue.values())
    click.echo(f"{count} versions of {len(catalogue)} event types are well")


@schemas.command()
@click.argument("event")
def new(event: str) -> None:
    """Write the first version of a new event type, EVENT (such as CartFilled), with an example."""
    from kafkajourney.schemas import scaffold  # noqa: PLC0415

    _written(scaffold.new(application.current().schemas, load(), event, datetime.now(UTC)))


@schemas.command()
@click.argument("event")
def evolve(event: str) -> None:
    """Write the next version of EVENT (VideoPlayed), copied from the newest, with its examples."""
    from kafkajourney.schemas import scaffold  # noqa: PLC0415

    _written(scaffold.evolve(load().find(event)))


@schemas.command()
@click.option("--check", is_flag=True, help="Write nothing; end with 1 where the file is not current.")
def generate(check: bool) -> None:  # noqa: FBT001 # click calls it
    """Generate the dataclasses (schemas/events.py) from the newest versions."""
    from kafkajourney.schemas.generate import is_current, render  # noqa: PLC0415

    catalogue, events_file = load(), application.current().schemas / "events.py"
    current = is_current(catalogue, events_file)
    if check and not current:
        raise StopError(f"{shown(events_file)} is not what the schemas say. Run: python -m schemas generate")
    if not current:
        events_file.write_text(render(catalogue), encoding="utf-8")
    click.echo(f"{shown(events_file)} {'is current' if current else 'written'}")


@schemas.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be done; end with 1 where it would be refused.")
@settings_options("schema_registry_url", "topic")
def register(settings: Settings, dry_run: bool) -> None:  # noqa: FBT001 # click calls it
    """Register what the registry does not have yet, and set the compatibility levels.

    Every event type is a subject of its own (FULL_TRANSITIVE); the topic's subject is the union of them all
    (BACKWARD_TRANSITIVE). Running it again changes nothing.
    """
    if dry_run:
        _end_with(_show_plan(settings))
        return
    for subject, version, schema_id in register_all(Registry(settings), load(), settings.topic):
        click.echo(f"{subject} version {version} has id {schema_id}")


@schemas.command()
@click.argument("old")
@click.argument("new", required=False)
@click.option("--markdown", is_flag=True, help="Print a table for a pull request.")
def diff(old: str, new: str | None, markdown: bool) -> None:  # noqa: FBT001 # click calls it
    """Show what differs between OLD and NEW, field by field, and whom it breaks.

    Both are versions (VideoPlayed:1 VideoPlayed:2) or git revisions (main HEAD). Without NEW it is the newest
    version, or the files as they are.
    """
    titles = ("event type", "field", "change", "old", "new", "breaks")
    rows = _rows(old, new)
    if not rows:
        click.echo("nothing differs")
    elif markdown:
        click.echo(markdown_table(titles, rows))
    else:
        Console().print(table(titles, rows))


@schemas.command(name="simulate")
def simulate_() -> None:
    """Let every version write its examples and every version read them, with the real serialiser and decoder.

    Needs no stack. Ends with 1 where an example does not arrive as it was written.
    """
    from kafkajourney.schemas.simulate import STRANGER, simulate  # noqa: PLC0415

    meetings = list(simulate(load()))
    readers = sorted({m.reader for m in meetings} - {STRANGER})
    cells = {(m.writer, m.reader): m.outcome for m in meetings}
    rows = [
        (f"{w.name} {w.version}", *(cells.get((w, r), "") for r in (*readers, STRANGER)))
        for w in dict.fromkeys(m.writer for m in meetings)
    ]
    titles = ("written by", *(f"read by version {r}" for r in readers), "read without knowing the type")
    Console().print(table(titles, rows))
    if any(m.problem for m in meetings):
        raise StopError("Not every reader reads what every writer writes, see above.")


def _version(event: str, number: int | None) -> SchemaVersion:
    event_type = load().find(event)
    numbers = [v.version for v in event_type.versions]
    if number is not None and number not in numbers:
        raise StopError(f"{event_type.name} has no version {number}. It has: {', '.join(map(str, numbers))}.")
    return event_type.versions[(number or numbers[-1]) - 1]


def _show_plan(settings: Settings) -> list[Finding]:
    """Print what registering would do; return what would be refused."""
    findings: list[Finding] = []
    for step in plan(Registry(settings), load(), settings.topic):
        click.echo(f"{step.subject}: {step.what}")
        findings += [step.finding] if step.finding else []
    return findings


def _end_with(findings: Sequence[Finding]) -> None:
    """Print the findings, a line each; raise StopError where there are any."""
    for finding in findings:
        click.echo(str(finding))
    if findings:
        raise StopError(f"{len(findings)} {'finding' if len(findings) == 1 else 'findings'}, see above.")


def _written(paths: Iterable[Path]) -> None:
    schema, examples = paths
    click.echo(f"{shown(schema)} written\n{shown(examples)} written")
    click.echo(
        "Now edit both: a field that is added needs a default. Then run:\n"
        "    python -m schemas generate\n"
        "    python -m schemas check"
    )


def _rows(old: str, new: str | None) -> list[Row]:
    versions = [re.fullmatch(r"([A-Z][\w.]*):(\d+)", text) for text in (old, new) if text]
    if all(versions):
        return versions_diff(*_both([_version(m[1], int(m[2])) for m in versions if m]))
    if any(versions):
        raise SettingsError(f"{old} and {new} are a version and a git revision. Give two of one kind.")
    with TemporaryDirectory() as folder:
        here = application.current().schemas
        before = load(git.extract(here, old, Path(folder, "old")))
        after = load(git.extract(here, new, Path(folder, "new")) if new else here)
        return list(catalogues_diff(before, after))


def _both(versions: list[SchemaVersion]) -> tuple[SchemaVersion, SchemaVersion]:
    """Return the two versions; where there is one, the newest of its type for the second."""
    return versions[0], versions[1] if len(versions) > 1 else load().find(versions[0].name).newest
