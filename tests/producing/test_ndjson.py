"""NDJSON: what fits becomes an event, anything else is refused with one clear reason."""

import json
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import fastavro
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kafkajourney.avro import catalogue
from kafkajourney.avro.json_values import MismatchError, converter
from kafkajourney.errors import RecordError, StopError
from kafkajourney.events import Event
from kafkajourney.producing.ndjson import Reader
from producer.simulator import simulate
from schemas.events import EVENT_TYPES, FormSubmitted, PageViewed, SearchPerformed, VideoPlayed
from tests.support.processes import ROOT

reader = Reader(catalogue.load(), EVENT_TYPES)
parse, read = reader.parse, reader.read

REAL_VISITS = ROOT.parent / "shared" / "data" / "real-visits.ndjson"

EVENT_ID = uuid.UUID("0190b5a2-7c1e-7d3a-9f64-000000000009")

COMMON: dict[str, Any] = {
    "event_id": str(EVENT_ID),
    "user_id": "user-0042",
    "session_id": "user-0042-3",
    "page_url": "https://shop.example.com/",
    "occurred_at": "2026-03-14T09:26:53.589Z",
}
VIDEO: dict[str, Any] = COMMON | {"type": "VideoPlayed", "video_id": "tour-1", "position_seconds": 12.5}
SEARCH: dict[str, Any] = COMMON | {"type": "SearchPerformed", "query": "Käse 🧀", "results": 27}
FORM: dict[str, Any] = COMMON | {"type": "FormSubmitted", "form_id": "contact", "fields": ["email"]}
PAGE: dict[str, Any] = COMMON | {"type": "PageViewed"}


def line(record: dict[str, Any], **changes: Any) -> str:
    return json.dumps(record | changes)


def without(record: dict[str, Any], *names: str) -> str:
    return json.dumps({name: value for name, value in record.items() if name not in names})


def reason(text: str) -> str:
    with pytest.raises(RecordError) as caught:
        parse(text)
    return str(caught.value)


# What fits


def test_a_line_becomes_an_event() -> None:
    occurred_at = datetime(2026, 3, 14, 9, 26, 53, 589000, tzinfo=UTC)
    expected = VideoPlayed(
        EVENT_ID, "user-0042", "user-0042-3", "https://shop.example.com/", occurred_at, "tour-1", 12.5, 1.75
    )
    assert parse(line(VIDEO, playback_rate=1.75)) == expected


@pytest.mark.parametrize("event_type", catalogue.load().values(), ids=lambda event_type: event_type.name)
def test_every_example_parses(event_type: catalogue.EventType) -> None:
    for record in event_type.newest.examples():
        event = parse(line(record, type=event_type.name))
        assert type(event).__name__ == event_type.name
        assert parse(line(record, type=event_type.subject)) == event


def test_what_the_simulator_makes_survives_the_way_through_text() -> None:
    def as_line(event: Event) -> str:
        return json.dumps({"type": type(event).__name__, **vars(event)}, default=str, ensure_ascii=False)

    events = list(islice(simulate(10, seed=3), 500))
    assert [parse(as_line(event)) for event in events] == events


def test_fields_with_a_default_may_be_missing() -> None:
    video, page = parse(line(VIDEO)), parse(line(PAGE))
    assert isinstance(video, VideoPlayed)
    assert video.playback_rate == 1.0
    assert isinstance(page, PageViewed)
    assert (page.title, page.referrer) == (None, None)


def test_a_missing_event_id_is_made() -> None:
    first, second = (parse(without(VIDEO, "event_id")) for _ in range(2))
    assert first.event_id.version == 4
    assert first.event_id != second.event_id


def test_an_event_id_may_be_in_capitals() -> None:
    assert parse(line(VIDEO, event_id=str(EVENT_ID).upper())).event_id == EVENT_ID


def test_an_integer_is_fine_for_a_double() -> None:
    video = parse(line(VIDEO, position_seconds=12))
    assert isinstance(video, VideoPlayed)
    assert isinstance(video.position_seconds, float)


def test_null_is_fine_where_the_schema_has_it() -> None:
    page = parse(line(PAGE, title=None, referrer="https://search.example.com/"))
    assert isinstance(page, PageViewed)
    assert (page.title, page.referrer) == (None, "https://search.example.com/")


@pytest.mark.parametrize("results", [-(2**31), 2**31 - 1])
def test_an_int_has_32_bits(results: int) -> None:
    search = parse(line(SEARCH, results=results))
    assert isinstance(search, SearchPerformed)
    assert search.results == results


def test_an_array_may_be_empty() -> None:
    form = parse(line(FORM, fields=[]))
    assert isinstance(form, FormSubmitted)
    assert form.fields == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-14T09:26:53Z", datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)),
        ("2026-03-14T09:26:53.589999+05:30", datetime(2026, 3, 14, 3, 56, 53, 589000, tzinfo=UTC)),
        ("1969-12-31T23:59:59.9999-01:00", datetime(1970, 1, 1, 0, 59, 59, 999000, tzinfo=UTC)),
    ],
)
def test_times_are_converted_to_utc_and_truncated(text: str, expected: datetime) -> None:
    occurred_at = parse(line(VIDEO, occurred_at=text)).occurred_at
    assert (occurred_at, occurred_at.tzinfo) == (expected, UTC)


# What is refused


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"position_seconds": "abc"}, 'VideoPlayed.position_seconds: expected a number, got "abc"'),
        ({"position_seconds": True}, "VideoPlayed.position_seconds: expected a number, got true"),
        ({"position_seconds": None}, "VideoPlayed.position_seconds: expected a number, got null"),
        ({"video_id": 7}, "VideoPlayed.video_id: expected a string, got 7"),
        ({"user_id": ""}, 'VideoPlayed.user_id: expected some text, for it is the record\'s key, got ""'),
        ({"event_id": None}, "VideoPlayed.event_id: expected a UUID, got null"),
        ({"event_id": "7"}, 'VideoPlayed.event_id: expected a UUID, got "7"'),
        ({"occurred_at": "today"}, 'VideoPlayed.occurred_at: expected a time in ISO 8601, got "today"'),
        ({"occurred_at": 1773480413}, "VideoPlayed.occurred_at: expected a time in ISO 8601, got 1773480413"),
    ],
)
def test_a_wrong_value_is_named(changes: dict[str, Any], expected: str) -> None:
    assert reason(line(VIDEO, **changes)) == expected


def test_an_unknown_field_is_named() -> None:
    assert reason(line(VIDEO, positon=1)) == (
        'VideoPlayed has no field "positon"; it has event_id, user_id, session_id, page_url, occurred_at, '
        "video_id, position_seconds, playback_rate"
    )


@pytest.mark.parametrize("value", ["0190b5a27c1e7d3a9f64000000000009", "{0190b5a2-7c1e-7d3a-9f64-000000000009}"])
def test_a_uuid_has_one_form(value: str) -> None:
    assert "expected a UUID in its 8-4-4-4-12 form" in reason(line(VIDEO, event_id=value))


@pytest.mark.parametrize("results", [27.0, "27", True, None])
def test_an_int_is_nothing_else(results: object) -> None:
    assert "SearchPerformed.results: expected an integer, got" in reason(line(SEARCH, results=results))


@pytest.mark.parametrize("results", [-(2**31) - 1, 2**31, 10**30])
def test_an_int_does_not_overflow(results: int) -> None:
    assert "expected an integer of 32 bits" in reason(line(SEARCH, results=results))


@pytest.mark.parametrize("fields", ["email", None, {"email": 1}])
def test_an_array_is_nothing_else(fields: object) -> None:
    assert "FormSubmitted.fields: expected an array, got" in reason(line(FORM, fields=fields))


def test_each_item_of_an_array_has_its_type() -> None:
    expected = 'FormSubmitted.fields: expected an array in which each item is a string, got ["email", 7]'
    assert reason(line(FORM, fields=["email", 7])) == expected


def test_a_union_names_all_that_it_takes() -> None:
    assert reason(line(PAGE, title=7)) == "PageViewed.title: expected null or a string, got 7"


@pytest.mark.parametrize("text", ["2026-03-14T09:26:53", "2026-03-14"])
def test_a_time_says_its_zone(text: str) -> None:
    assert "expected a time with an offset or Z (say which time zone)" in reason(line(VIDEO, occurred_at=text))


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_stays_within_the_calendar(text: str) -> None:
    assert "expected a time in the years 1 to 9999 of UTC" in reason(line(VIDEO, occurred_at=text))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400])
def test_a_double_is_finite(number: str) -> None:
    text = line(VIDEO).replace("12.5", number)
    assert "expected a number in the range of a double" in reason(text)


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_json_has_no_such_number(name: str) -> None:
    assert reason(line(VIDEO).replace("12.5", name)) == f"not JSON: {name} is no JSON number"


def test_a_lone_surrogate_is_refused() -> None:
    message = reason(line(VIDEO, video_id="\ud83e"))
    assert message == (
        'VideoPlayed.video_id: expected text that can be UTF-8, so without lone surrogates, got "\\ud83e"'
    )


@pytest.mark.parametrize("names", [("user_id",), ("user_id", "position_seconds")])
def test_missing_fields_are_named(names: tuple[str, ...]) -> None:
    assert reason(without(VIDEO, *names)) == f"VideoPlayed: missing {', '.join(names)}"


def test_a_field_is_there_once() -> None:
    text = line(VIDEO).replace("}", ', "user_id": "user-0043"}')
    assert reason(text) == 'the field "user_id" is there more than once'


KNOWN = "known are ButtonClicked, FormSubmitted, PageViewed, SearchPerformed, UrlClicked, VideoPlayed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (without(VIDEO, "type"), f"`type` is missing; {KNOWN}"),
        (line(VIDEO, type="VideoPaused"), f'unknown type "VideoPaused"; {KNOWN}'),
        (line(VIDEO, type=["VideoPlayed"]), f'unknown type ["VideoPlayed"]; {KNOWN}'),
        ("[1, 2]", "expected a JSON object, got [1, 2]"),
        ('{"type": }', "not JSON: Expecting value at column 10"),
        ("9" * 5000, "not JSON that can be read: a number has too many digits"),
        ("[" * 100_000, "not an event: nested too deeply"),
    ],
    ids=["no type", "unknown type", "type is no text", "no object", "no JSON", "too many digits", "too deep"],
)
def test_what_is_no_event_says_why(text: str, expected: str) -> None:
    assert reason(text) == expected


def test_long_values_are_cut() -> None:
    message = reason(line(VIDEO, position_seconds="x" * 1000))
    assert message == f'VideoPlayed.position_seconds: expected a number, got "{"x" * 58}…'


# Reading many lines


def test_lines_are_numbered_and_blank_ones_passed_over() -> None:
    lines: list[bytes | str] = [
        line(VIDEO),
        "",
        b"  \r\n",
        b"{}\n",
        b"\xff\n",
        line(SEARCH).encode() + b"\r\n",
    ]
    results = list(read(lines))
    assert [number for number, _ in results] == [1, 4, 5, 6]
    assert [type(result).__name__ for _, result in results] == [
        "VideoPlayed",
        "RecordError",
        "RecordError",
        "SearchPerformed",
    ]
    assert str(results[2][1]) == "not UTF-8: byte 0xff at position 1"


def test_a_byte_order_mark_is_passed_over() -> None:
    assert list(read([b"\xef\xbb\xbf" + line(VIDEO).encode()])) == [(1, parse(line(VIDEO)))]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.characters(categories=["Cs"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CHANGED = st.dictionaries(st.sampled_from(sorted(VIDEO)) | st.text(max_size=5), JSON, max_size=3)


@given(st.text() | st.binary() | CHANGED.map(lambda changes: json.dumps(VIDEO | changes)))
@example('{"a":' * 50_000)
@example(line(VIDEO, **{"\ud800": 1}))
@example(line(VIDEO, type="\ud800"))
def test_any_line_is_an_event_or_has_one_reason(text: str | bytes) -> None:
    for number, result in read([text]):
        assert number == 1
        if isinstance(result, RecordError):
            message = str(result).encode()
            assert len(message) < 500
            assert b"\n" not in message


# Values by Avro schema


SCHEMAS = [
    "null",
    "boolean",
    "int",
    "long",
    "double",
    "string",
    ["null", "int"],
    {"type": "array", "items": "string"},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_what_is_converted_fits_the_schema(schema: Any) -> None:
    convert = converter(schema)

    @given(JSON | st.integers(-(2**64), 2**64))
    def check(value: object) -> None:
        fits = accepted(convert, value)
        assert not fits or fastavro.validation.validate(convert(value), schema, raise_errors=False)

    check()


def accepted(convert: Callable[[object], Any], value: object) -> bool:
    try:
        convert(value)
    except MismatchError:
        return False
    return True


def test_a_schema_may_carry_what_is_no_matter_here() -> None:
    assert converter({"type": "string", "avro.java.string": "String"})("x") == "x"


@pytest.mark.parametrize(
    "schema", ["bytes", {"type": "int", "logicalType": "date"}, {"type": "map", "values": "bytes"}]
)
def test_a_type_without_a_form_in_json_is_a_mistake_of_ours(schema: Any) -> None:
    with pytest.raises(StopError, match="NDJSON has no form for the Avro type"):
        converter(schema)


@pytest.mark.skipif(not REAL_VISITS.exists(), reason="../shared/data/real-visits.ndjson is not beside this repository")
def test_real_visits_are_all_events() -> None:
    with REAL_VISITS.open("rb") as lines:
        results = [result for _, result in read(lines)]
    events = [result for result in results if not isinstance(result, RecordError)]
    assert len(events) == len(results) == 4736
    assert len({event.user_id for event in events}) == 923
    assert set(Counter(type(event).__name__ for event in events)) == {"UrlClicked", "PageViewed"}


SIZE = {"type": "enum", "name": "Size", "symbols": ["S", "L"]}
COUNTS = {"type": "map", "values": "int"}


@pytest.mark.parametrize(
    ("schema", "value"), [(SIZE, "L"), (COUNTS, {"a": 1}), (COUNTS, {}), ("float", 1.5), ("float", 2)]
)
def test_a_value_of_a_coming_type_is_taken(schema: Any, value: object) -> None:
    assert converter(schema)(value) == value


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (SIZE, "M", "one of S, L"),
        (SIZE, 1, "one of S, L"),
        (COUNTS, {"a": "1"}, "an object in which each value is an integer"),
        (COUNTS, [1], "an object"),
    ],
)
def test_a_value_that_is_none_of_a_coming_type_is_refused(schema: Any, value: object, expected: str) -> None:
    with pytest.raises(MismatchError, match=f"^{expected}$"):
        converter(schema)(value)
