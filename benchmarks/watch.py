"""What a reader sees of the work in the database: how many events, and whether the last ones are there."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import psycopg

Query = Callable[[str], list[tuple[Any, ...]]]


def reader(url: str) -> Query:
    """Return what runs a query on a connection of its own and returns the rows."""
    if url.startswith("sqlite"):
        lite = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        return lambda query: lite.execute(query).fetchall()
    server = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True)
    return lambda query: server.execute(query.encode()).fetchall()


class Watch(NamedTuple):
    """Two queries, each for one number."""

    seen: str
    """How many events are there."""
    last: str
    """How many of the partitions' last events are there."""


def rows(topic: str, ends: Mapping[int, int]) -> Watch:
    """Watch ``journey_events``; ``ends`` are the end offsets of the partitions."""
    return _rows({"journey_events": topic}, "", ends)


def tables(topics: Mapping[str, str], ends: Mapping[int, int]) -> Watch:
    """Watch tables that have Kafka Connect's names for a record's place; each with the topic that its rows name."""
    return _rows(topics, "__connect_", ends)


def _rows(topics: Mapping[str, str], prefix: str, ends: Mapping[int, int]) -> Watch:
    # One look-up in the primary key for each place: it must not disturb what is measured.
    last = (
        f"(SELECT count(*) FROM {name} WHERE {prefix}topic = '{topic}' "
        f'AND "{prefix}partition" = {partition} AND "{prefix}offset" = {end - 1})'
        for name, topic in topics.items()
        for partition, end in ends.items()
    )
    return Watch(" + ".join(f"(SELECT count(*) FROM {name})" for name in topics), " + ".join(last))


def progress(topic: str, ends: Mapping[int, int]) -> Watch:
    """Watch the progress of the group ``analytic``, which moves with its counters."""
    of = f"FROM consumer_progress WHERE consumer_group = 'analytic' AND topic = '{topic}'"
    last = " OR ".join(f'("partition" = {number} AND next_offset = {end})' for number, end in ends.items())
    return Watch(f"(SELECT coalesce(sum(next_offset), 0) {of})", f"(SELECT count(*) {of} AND ({last}))")


def number(query: Query, sql: str) -> int:
    """Return the number that a query asks for; 0 while its table is not there."""
    try:
        return int(query(f"SELECT {sql}")[0][0])
    except psycopg.errors.UndefinedTable:
        return 0
