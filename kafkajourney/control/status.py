"""``kafkajourney status``: one screen for an operator. What its fields mean is in docs/status.md."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import timedelta

import click
from rich import console as rich
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from kafkajourney import application
from kafkajourney.command.options import SETTINGS, settings_options
from kafkajourney.control.group_state import Group, Partition, Status, status_of
from kafkajourney.control.lookout import Lookout
from kafkajourney.errors import StopError
from kafkajourney.kafka import clients
from kafkajourney.settings import Settings

WIDTH = 1000
"""Columns where there is no terminal: no sentence is broken for a file."""

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
