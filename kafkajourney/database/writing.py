"""From a batch of records to the rows of a group's table, within the transaction that advances the progress."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Engine

from kafkajourney.database.dialect import dialect_of
from kafkajourney.events import Record, as_text
from kafkajourney.group import Group, Row

Write = Callable[[Connection, Sequence[Record], datetime], None]
"""Writes a batch's events within the transaction; the time is now, naive UTC."""


def check_row(engine: Engine, group: Group) -> Callable[[Row], None]:
    """Return what raises RefusedError for a row that the group's table does not take as it is."""
    return dialect_of(engine).row_check(group)


def writer(group: Group) -> Write:
    """Return what writes a group's records into its table."""
    if group.merge is not None:
        return lambda connection, records, _now: dialect_of(connection).add(connection, group, totals(group, records))
    return lambda connection, records, now: dialect_of(connection).insert(
        connection, group, placed(group, records, as_text(now))
    )


def placed(group: Group, records: Iterable[Record], stored_at: str) -> list[tuple[Any, ...]]:
    """Return the rows of a group that inserts, in the order of ``group.columns``."""
    names = [column.name for column in group.filled]
    now = (stored_at,) if "stored_at" in names else ()  # the last of ``FILLED``
    of_record = attrgetter(*(name for name in names if name != "stored_at"))
    return [of_record(record) + now + row for record in records if (row := record.row) is not None]


def totals(group: Group, records: Iterable[Record]) -> list[Row]:
    """Return what records add to the table of a group that adds: a row for each key, in the order of ``group.columns``.

    The rows are in the order of their keys, so that two transactions lock them in the same order.
    """
    width = len(group.own_key)
    merges = [merge for _column, merge in group.merged]
    added: defaultdict[Row, list[Row]] = defaultdict(list)
    for record in records:
        if (row := record.row) is not None:
            added[record.topic, *row[:width]].append(row[width:])
    return [
        key + tuple(merge.of(values) for merge, values in zip(merges, zip(*added[key], strict=True), strict=True))
        for key in sorted(added)
    ]
