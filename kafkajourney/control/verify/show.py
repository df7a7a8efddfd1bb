"""A verification's report on the screen, the verdict last."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from kafkajourney.control.verify.report import Report
from kafkajourney.errors import StopError


def show(report: Report, console: Console) -> None:
    """Print the report; raise StopError where anything differs."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, number, meaning in _remarks(report):
        if number:
            table.add_row(name, str(number), meaning)
    if table.rows:
        console.print(table)
    for example in report.examples:
        console.print(f"  {example}", markup=False)
    for sentence in _sums(report):
        console.print(sentence)
    if report.is_wrong:
        raise StopError("The tables are not what the topic says, see above.")
    if report.differs:
        raise StopError("The groups have not caught up yet, else all is well. Run it again when they have.")
    aside = f", but for {report.dead_letters} dead letters" if report.dead_letters else ""
    bounded = f"; {report.dropped} records are no longer on the topic" if report.dropped else ""
    console.print(f"[green]verified[/]: everything on the topic is in the tables, once, in order{aside}{bounded}")


def _remarks(report: Report) -> Iterator[tuple[str, int, str]]:
    """Yield what is worth a line where it is not 0: its name, the number, what it means."""
    lost = sum(of_group.lost_letters for of_group in report.groups.values())
    beyond = sum(of_group.beyond for of_group in report.groups.values())
    yield "dead letters", report.dead_letters, "records that could not be stored: kafkajourney dlq list"
    for name, rows in report.rows.items():
        yield "altered", rows.altered, "rows of which other columns are not what the topic says"
        yield "ahead", rows.ahead, f"rows that the progress of the group {name} does not cover"
    yield "beyond", beyond, "partitions in which a group's progress is past the topic's end"
    yield "lost", lost, "dead letters that are not in the dead-letter topic"
    for name, of_group in report.groups.items():
        yield "lag", of_group.lag, f"records that the group {name} has not come to yet"
    yield "tombstones", report.tombstones, "records without a value, which say nothing of an event"
    yield "dropped", report.dropped, "records that the topic keeps no more (retention), not checked"
    yield "moved users", report.users_in_several_partitions, "users with events in several partitions"


def _sums(report: Report) -> Iterator[str]:
    for name, rows in report.rows.items():
        yield (
            f"{f'{name}: ' if len(report.rows) > 1 else ''}produced {report.produced}, stored {rows.stored}, "
            f"missing {rows.missing}, duplicates {rows.duplicates}, unexpected {rows.unexpected}, "
            f"out of order {rows.out_of_order}"
        )
    for totals in report.totals.values():
        yield (
            f"{totals.column}: {totals.counted} counted, {totals.produced} produced, by {totals.keys} users, "
            f"{totals.wrong_totals} totals wrong"
        )
