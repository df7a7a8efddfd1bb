"""What a group is, and which tables the library could not write for it."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table

from consumers.analytic import ANALYTIC
from consumers.journey import JOURNEY
from kafkajourney.events import Decoded, Record, UnknownEvent
from kafkajourney.group import SUM, Group, Merge
from tests.support.store import AT, play


def topic_column() -> Column[Any]:
    return Column("topic", String(249), primary_key=True)


@pytest.mark.parametrize(
    ("columns", "merge", "reason"),
    [
        ([Column("name", String(10), primary_key=True)], None, "primary key of t has to begin with a column topic"),
        (
            [topic_column(), Column("n", Integer), Column("name", String(10))],
            {"n": SUM},
            "have to come before",
        ),
        ([topic_column(), Column("schema_id", Integer), Column("n", Integer)], {"n": SUM}, "it can have no schema_id"),
    ],
)
def test_a_table_that_the_library_could_not_write_is_refused(
    columns: list[Column[Any]], merge: dict[str, Merge] | None, reason: str
) -> None:
    table = Table("t", MetaData(), *columns)
    with pytest.raises(ValueError, match=reason):
        Group("g", None, table, lambda _: None, merge=merge)


def test_a_type_of_another_namespace_is_not_the_one_that_a_group_wants() -> None:
    event = UnknownEvent(UUID(int=7), "u", "s", "https://shop.example.com/", AT)
    stranger = Record("t", 0, 0, Decoded("VideoPlayed", event, {}))
    assert [ANALYTIC.takes(record) for record in (play(0), stranger, Record("t", 0, 1))] == [True, False, False]
    assert [JOURNEY.takes(record) for record in (play(0), stranger, Record("t", 0, 1))] == [True, True, False]
