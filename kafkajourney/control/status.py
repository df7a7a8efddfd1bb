"""``kafkajourney status``: one screen for an operator. What its fields mean is in docs/status.md."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import timedelta

import click
from rich import console as rich
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from kafkajourney import application
from kafkajourney.command.options import SETTINGS, settings_options
from kafkajourney.control.lookout import Look, Lookout, Member, Problem, Stored
from kafkajourney.errors import StopError
from kafkajourney.kafka import clients
from kafkajourney.settings import Settings

WIDTH = 1000
"""Columns where there is no terminal: no sentence is broken for a file."""

# --- what is shown: the JSON has the same names; None is what is not known, or not there ------------------------------


@dataclass(frozen=True)
class Partition:
    """How far a group is in one partition."""

    partition: int
    member_id: str | None
    first_offset: int | None
    end_offset: int | None
    next_offset: int | None
    committed_offset: int | None
    lag_records: int | None
    oldest_unstored_seconds: float | None


@dataclass(frozen=True)
class Group:
    """A consumer group."""

    group: str
    members: list[Member] | None
    lag_records: int | None
    records_per_second: float | None
    oldest_unstored_seconds: float | None
    dead_letters_open: int | None
    dead_letters_replayed: int | None
    partitions: list[Partition]


@dataclass(frozen=True)
class Status:
    """All of it."""

    at: str
    topic: str
    groups: list[Group]
    problems: list[Problem]
    notes: list[str]


# --- from a look to what is shown -----------------------------------------------------------------------------------


def status_of(topic: str, look: Look, before: Stored | None) -> Status:
    """Return what a look says; the rate is what was stored since ``before``."""
    groups = [_group(name, look, before) for name in look.groups]
    gaps = [Problem("progress", gap) for group in groups for gap in _gaps(group)]
    at = look.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Status(at, topic, groups, look.problems + gaps, look.notes)


def _group(name: str, look: Look, before: Stored | None) -> Group:
    progress = look.stored.progress.get(name, {}) if look.stored else {}
    letters, replayed = look.stored.letters.get(name, (0, 0)) if look.stored else (None, None)
    partitions = [_partition(p, name, look, progress.get(p)) for p in sorted(look.bounds.keys() | progress.keys())]
    lags = [p.lag_records for p in partitions if p.lag_records is not None]
    ages = [p.oldest_unstored_seconds for p in partitions if p.oldest_unstored_seconds is not None]
    return Group(
        name,
        look.members.get(name),
        sum(lags) if look.bounds and len(lags) == len(partitions) else None,
        _rate(name, look, before),
        max(ages, default=None),
        None if letters is None or replayed is None else letters - replayed,
        replayed,
        partitions,
    )


def _partition(partition: int, group: str, look: Look, next_offset: int | None) -> Partition:
    first, end = look.bounds.get(partition, (None, None))
    start, stop = look.unstored(group).get(partition, (None, None))
    made = look.oldest.get(group, {}).get(partition)
    owners = [member.member_id for member in look.members.get(group, []) if partition in member.partitions]
    return Partition(
        partition,
        owners[0] if owners else None,
        first,
        end,
        next_offset,
        look.committed.get(group, {}).get(partition),
        None if start is None or stop is None else stop - start,
        None if made is None else max(0.0, round(look.at.timestamp() - made / 1000, 3)),
    )


def _rate(group: str, look: Look, before: Stored | None) -> float | None:
    if before is None or look.stored is None or look.stored.clock <= before.clock:
        return None
    firsts = {partition: first for partition, (first, _end) in look.bounds.items()}
    old = firsts | before.progress.get(group, {})
    moved = sum(
        offset - old.get(partition, offset) for partition, offset in look.stored.progress.get(group, {}).items()
    )
    return round(moved / (look.stored.clock - before.clock), 1)


def _gaps(group: Group) -> Iterator[str]:
    """Yield a sentence for each partition in which the topic does not have what the group needs next."""
    for p in group.partitions:
        if p.next_offset is None or p.first_offset is None or p.end_offset is None:
            continue
        if not p.first_offset <= p.next_offset <= p.end_offset:
            yield (
                f"{group.group} goes on at offset {p.next_offset} of partition {p.partition}, but the topic has "
                f"{p.first_offset} to {p.end_offset}: its consumers stop there. See docs/operations.md, A gap."
            )


# --- the screen -----------------------------------------------------------------------------------------------------


def screen(status: Status) -> rich.Group:
    """Return the screen for a terminal: ``?`` is what is not known, ``-`` what is not there."""
    summary = _table("group", "members", "lag", "stored/s", "oldest unstored", "dead letters", "replayed")
    details = _table("group", "partition", "lag", "oldest", "progress", "committed", "end", "member")
    for group in status.groups:
        idle = sum(not member.partitions for member in group.members or [])
        members = None if group.members is None else f"{len(group.members)}{f' ({idle} idle)' if idle else ''}"
        age = _age(group.oldest_unstored_seconds, group.lag_records)
        letters = (group.dead_letters_open, group.dead_letters_replayed)
        _add(summary, group.group, members, group.lag_records, group.records_per_second, age, *letters)
        for p in group.partitions:
            _add(details, group.group, p.partition, *_cells(p, group))
    lines = [f"[red]✗[/] {problem.part:<9} {escape(problem.text)}" for problem in status.problems]
    lines += map(escape, status.notes)
    # The details last: they are what a small terminal cuts off.
    return rich.Group(f"[bold]{status.topic}[/] at {status.at}", "", summary, "", *lines, *[""][: len(lines)], details)


def _cells(p: Partition, group: Group) -> tuple[object, ...]:
    hosts = {member.member_id: member.host for member in group.members or []}
    owner = f"{hosts[p.member_id]} {p.member_id[-8:]}" if p.member_id in hosts else None
    begun = p.next_offset if p.next_offset is not None or p.lag_records is None else "-"
    committed = "-" if p.committed_offset is None else p.committed_offset
    age = _age(p.oldest_unstored_seconds, p.lag_records)
    return p.lag_records, age, begun, committed, p.end_offset, owner if group.members is None else owner or "-"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        is_text = title in ("group", "member")
        table.add_column(title, justify="left" if is_text else "right", no_wrap=title != "member", overflow="fold")
    return table


def _add(table: Table, *values: object) -> None:
    table.add_row(*("?" if value is None else escape(str(value)) for value in values))


def _age(seconds: float | None, lag: int | None) -> str | None:
    """Return an age as hours, minutes and seconds; a dash where everything is stored, None where it is not known."""
    return "-" if lag == 0 else None if seconds is None else str(timedelta(seconds=round(seconds)))


# --- the command ----------------------------------------------------------------------------------------------------


@click.command()
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1),
    default=1.0,
    show_default=True,
    help="Seconds between two looks; the rate is what was stored between them.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object, in one line, in place of the screen.")
@settings_options(*SETTINGS)
def status(settings: Settings, watch: bool, interval: float, as_json: bool) -> None:  # noqa: FBT001 # click calls it
    """Show the groups: members, lag, progress, rate, dead letters, and how old the oldest unstored event is.

    What is away is said in its place, and the rest is shown; without --watch the exit code is then 1.
    """
    clients.connection_log.disabled = True  # why there is no connection is on the screen
    with closing(Lookout(settings, application.current().groups)) as lookout:
        if watch:
            _show_all(_statuses(lookout, settings, interval), as_json=as_json)
            return
        before = lookout.stored()
        time.sleep(interval)
        found = status_of(settings.topic, lookout.look(), before)
    _show_all(iter([found]), as_json=as_json)
    if found.problems:
        parts = ", ".join(dict.fromkeys(problem.part for problem in found.problems))
        raise StopError(f"Something is not well ({parts}), see above.")


def _statuses(lookout: Lookout, settings: Settings, interval: float) -> Iterator[Status]:
    before = None
    while True:
        look = lookout.look()
        yield status_of(settings.topic, look, before)
        before = look.stored
        time.sleep(interval)


def _show_all(statuses: Iterator[Status], *, as_json: bool) -> None:
    """Show each: as a line of JSON, or as a screen, on a terminal in the place of the one before."""
    console = rich.Console(highlight=False)
    if as_json:
        for status in statuses:
            click.echo(json.dumps(asdict(status)))
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            for status in statuses:
                live.update(screen(status), refresh=True)
    else:
        console.width = WIDTH
        for status in statuses:
            console.print(screen(status))
