"""From records to rows, for both consumers."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.analytic import ANALYTIC
from consumers.analytic.rows import COUNTED
from consumers.analytic.table import video_plays
from consumers.journey import JOURNEY
from consumers.journey.rows import payload, rows
from consumers.journey.table import journey_events
from kafkajourney.avro.catalogue import SchemaVersion, load
from kafkajourney.database.writing import placed, totals
from kafkajourney.events import COMMON_FIELDS, Decoded, Event, Record, UnknownEvent, own_fields
from kafkajourney.group import Group
from schemas.events import EVENT_TYPES, PageViewed, SearchPerformed, VideoPlayed

EXAMPLES = [(t.newest, example) for t in load().values() for example in t.newest.examples()]
STORED_AT = "2026-03-14 12:00:00.005000"
AT = datetime(2026, 3, 14, 9, 26, 53, 589000, UTC)
COMMON: dict[str, Any] = {
    "event_id": UUID("0190b5a2-7c1e-7d3a-9f64-00000000000a"),
    "user_id": "user-0042",
    "session_id": "user-0042-3",
    "page_url": "https://shop.example.com/",
    "occurred_at": AT,
}


def label(value: object) -> str | None:
    return value.name if isinstance(value, SchemaVersion) else None


def decoded(version: SchemaVersion, example: dict[str, Any]) -> Decoded:
    event_class = cast("Callable[..., Event]", EVENT_TYPES[version.subject])
    occurred_at = datetime.fromisoformat(example["occurred_at"])
    event = event_class(**example | {"event_id": UUID(example["event_id"]), "occurred_at": occurred_at})
    return Decoded(version.name, event, {})


def unknown(**extras: Any) -> Decoded:
    return Decoded("Zoomed", UnknownEvent(**COMMON), extras)


def play(user_id: str, seconds: float = 0.0, offset: int = 0) -> Record:
    values = COMMON | {"user_id": user_id, "occurred_at": AT + timedelta(seconds=seconds)}
    event = VideoPlayed(**values, video_id="v", position_seconds=0.0)
    return Record("t", 0, offset, Decoded("VideoPlayed", event, {}))


def made(group: Group, records: Iterable[Record]) -> list[Record]:
    """Return the records with their rows in this group."""
    return [replace(record, row=None if record.decoded is None else group.rows(record)) for record in records]


def row(record: Record) -> dict[str, Any]:
    """Return the row of a record as it is written, by column."""
    (values,) = placed(JOURNEY, made(JOURNEY, [record]), STORED_AT)
    return dict(zip((column.name for column in JOURNEY.columns), values, strict=True))


def plays(records: Iterable[Record]) -> list[tuple[Any, ...]]:
    return totals(ANALYTIC, made(ANALYTIC, records))


def naive(seconds: float = 0.0) -> datetime:
    return (AT + timedelta(seconds=seconds)).replace(tzinfo=None)


# --- journey ---------------------------------------------------------------------------------------------------------


def test_a_row_has_the_records_place_and_the_events_fields() -> None:
    event = SearchPerformed(**COMMON, query="blue shoes", results=27)
    received = datetime(2026, 3, 14, 10, 0, 0, 7000, UTC)
    record = Record("user-journey", 2, 17, Decoded("SearchPerformed", event, {}, 42))
    record.timestamp = round(received.timestamp() * 1000)
    assert row(record) == {
        "topic": "user-journey",
        "partition": 2,
        "offset": 17,
        "event_id": "0190b5a2-7c1e-7d3a-9f64-00000000000a",
        "event_type": "SearchPerformed",
        "user_id": "user-0042",
        "session_id": "user-0042-3",
        "page_url": "https://shop.example.com/",
        "occurred_at": "2026-03-14 09:26:53.589000",
        "stored_at": STORED_AT,
        "received_at": "2026-03-14 10:00:00.007000",
        "schema_id": 42,
        "payload": '{"query":"blue shoes","results":27}',
    }


@pytest.mark.parametrize(("version", "example"), EXAMPLES, ids=label)
def test_the_row_of_every_example_fills_every_column(version: SchemaVersion, example: dict[str, Any]) -> None:
    made = row(Record("t", 0, 0, decoded(version, example)))
    assert made.keys() == {column.name for column in journey_events.columns}
    assert {name: made[name] for name in ("event_id", "user_id", "session_id", "page_url")} == {
        name: example[name] for name in ("event_id", "user_id", "session_id", "page_url")
    }
    assert datetime.fromisoformat(made["occurred_at"] + "Z") == datetime.fromisoformat(example["occurred_at"])


@pytest.mark.parametrize(("version", "example"), EXAMPLES, ids=label)
def test_the_payload_of_every_example_is_its_own_fields_in_order(
    version: SchemaVersion, example: dict[str, Any]
) -> None:
    text = payload(decoded(version, example))
    own = {name: value for name, value in example.items() if name not in COMMON_FIELDS}
    assert list(json.loads(text).items()) == list(own.items())
    assert tuple(own) == version.own_fields == own_fields(type(decoded(version, example).event))


def test_a_record_that_was_passed_over_has_no_row() -> None:
    assert rows(Record("t", 0, 17)) is None
    assert placed(JOURNEY, [Record("t", 0, 17)], STORED_AT) == []


def test_moments_are_cut_to_milliseconds_as_the_tables_keep_them() -> None:
    event = UnknownEvent(**COMMON | {"occurred_at": AT.replace(microsecond=589_999)})
    assert row(Record("t", 0, 0, Decoded("Zoomed", event, {})))["occurred_at"] == "2026-03-14 09:26:53.589000"


def test_the_payload_has_the_extras_after_the_own_fields() -> None:
    event = VideoPlayed(**COMMON, video_id="v", position_seconds=1.5)
    text = payload(Decoded("VideoPlayed", event, {"device": "tv", "chapters": [1, 2]}))
    assert text == '{"video_id":"v","position_seconds":1.5,"playback_rate":1.0,"device":"tv","chapters":[1,2]}'


def test_the_payload_of_an_unknown_type_is_its_extras() -> None:
    assert payload(unknown(level=3, tags={"a": None})) == '{"level":3,"tags":{"a":null}}'
    assert payload(unknown()) == "{}"


def test_text_that_is_not_ascii_stays_readable() -> None:
    event = PageViewed(**COMMON, title='Käse, 東京, 🧀 "x"\n\x00', referrer=None)
    text = payload(Decoded("PageViewed", event, {}))
    assert "Käse, 東京, 🧀" in text
    assert json.loads(text) == {"title": event.title, "referrer": None}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (b"\x00\xffabc", "AP9hYmM="),
        (b"", ""),
        (Decimal("12.50"), "12.50"),
        (AT, "2026-03-14T09:26:53.589000+00:00"),
        (date(2026, 3, 14), "2026-03-14"),
        (time(9, 26, 53, 589000), "09:26:53.589000"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (2**63 - 1, 2**63 - 1),
        (1e300, 1e300),
        (True, True),
    ],
    ids=str,
)
def test_what_json_has_no_form_for_becomes_text_however_deep_it_is(value: Any, shown: Any) -> None:
    text = payload(unknown(plain=value, deep=[{"a": [value], "b": 1.5}], other="x"))
    assert json.loads(text, parse_constant=pytest.fail) == {
        "plain": shown,
        "deep": [{"a": [shown], "b": 1.5}],
        "other": "x",
    }


def test_a_value_that_json_lacks_leaves_the_own_fields_as_they_are() -> None:
    event = VideoPlayed(**COMMON, video_id="v", position_seconds=math.nan, playback_rate=2.0)
    text = payload(Decoded("VideoPlayed", event, {"raw": b"abc"}))
    assert text == '{"video_id":"v","position_seconds":"nan","playback_rate":2.0,"raw":"YWJj"}'


avro_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.uuids(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), avro_values, max_size=4))
def test_whatever_avro_can_hold_becomes_json_with_the_same_names(extras: dict[str, Any]) -> None:
    assert json.loads(payload(unknown(**extras)), parse_constant=pytest.fail).keys() == extras.keys()


# --- analytic --------------------------------------------------------------------------------------------------------


def test_plays_are_summed_by_user_with_the_last_moment() -> None:
    records = [play("b", 5), play("a", 9), play("b", 7), play("b", 6), play("c")]
    assert plays(records) == [
        ("t", "a", 1, "2026-03-14 09:27:02.589000"),
        ("t", "b", 3, "2026-03-14 09:27:00.589000"),
        ("t", "c", 1, "2026-03-14 09:26:53.589000"),
    ]


def test_the_rows_of_plays_fill_every_column() -> None:
    (only,) = plays([play("a")])
    assert dict(zip((column.name for column in video_plays.columns), only, strict=True)) == {
        "topic": "t",
        "user_id": "a",
        "plays": 1,
        "last_played_at": "2026-03-14 09:26:53.589000",
    }


def test_records_that_were_passed_over_add_no_plays() -> None:
    assert plays([]) == []
    assert plays([Record("t", 0, 0), Record("t", 0, 1)]) == []
    assert plays([Record("t", 0, 0), play("a"), Record("t", 0, 2)]) == plays([play("a")])


def test_users_that_differ_only_in_case_or_blanks_are_counted_apart() -> None:
    assert [user_id for _topic, user_id, *_ in plays([play("a"), play("A"), play("a "), play("ä"), play("")])] == [
        "",
        "A",
        "a",
        "a ",
        "ä",
    ]


def test_the_counted_type_is_one_of_the_catalogues() -> None:
    assert COUNTED in load()


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 10_000)), max_size=30))
def test_plays_do_not_depend_on_the_order_of_the_records(events: list[tuple[str, int]]) -> None:
    added = plays(play(user, milliseconds / 1000) for user, milliseconds in events)
    assert added == plays(play(user, milliseconds / 1000) for user, milliseconds in reversed(events))
    assert sum(number for _topic, _user_id, number, _at in added) == len(events)
    assert [user_id for _topic, user_id, *_ in added] == sorted({user for user, _ in events})
