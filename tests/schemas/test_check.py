"""``python -m schemas check``: a change that breaks someone is told in words that a newcomer can act on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.schema_files import (
    EXAMPLES,
    TITLE,
    V2,
    V3,
    V4,
    VIDEO,
    Json,
    copy_schemas,
    copy_to_version_4,
    edit,
    enum,
    evolve,
    generate,
    lines,
    quality,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return copy_schemas()


def test_what_is_merged_is_well(folder: Path) -> None:
    assert lines(folder) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"name": "ns", "type": "string", "default": "", "meta": {"namespace": "x"}}, "a"),
        (
            {"name": "labels", "type": {"type": "map", "values": "string"}, "default": {"namespace": "web"}},
            {"name": "x", "type": "y"},
        ),
    ],
    ids=["a property of its own", "a default with a key of Avro's"],
)
def test_a_version_with_words_of_avro_in_other_places_is_well(folder: Path, field: Json, value: Any) -> None:
    evolve(field | {"doc": "Made elsewhere."}, **{field["name"]: value})
    assert lines(folder) == []


def add_without_a_default() -> None:
    evolve({"name": "title", "type": "string"}, title="Tour")


def remove() -> None:
    evolve(without="video_id")


def rename() -> None:
    evolve({"name": "video", "type": "string"}, without="video_id", video="tour-1")


def rename_with_an_alias() -> None:
    evolve({"name": "video", "type": "string", "aliases": ["video_id"]}, without="video_id", video="tour-1")


def narrow() -> None:
    evolve({"name": "position_seconds", "type": "int"}, position_seconds=12)


def allow_null() -> None:
    evolve({"name": "video_id", "type": ["null", "string"], "default": None})


def add_a_symbol() -> None:
    evolve(quality("LOW", "HIGH"), quality="LOW")
    copy_to_version_4()
    edit(V4, lambda d: d["fields"][-1]["type"]["symbols"].append("ULTRA"))
    generate()


def change_the_logical_type() -> None:
    started = {"name": "started_at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0}
    evolve(started, started_at="2026-03-14T09:26:53.589Z")
    copy_to_version_4()
    edit(V4, lambda d: d["fields"][-1]["type"].update(logicalType="timestamp-micros"))
    generate()


def rename_the_record() -> None:
    evolve(TITLE, title="Tour")
    edit(V3, lambda d: d.update(name="VideoStarted"))


def move_the_namespace() -> None:
    evolve(TITLE, title="Tour")
    edit(V3, lambda d: d.update(namespace="com.example"))


def drop_a_common_field() -> None:
    evolve(TITLE, without="session_id", title="Tour")


def change_a_common_field() -> None:
    evolve(TITLE, title="Tour")
    edit(V3, lambda d: d["fields"][4]["type"].update(logicalType="timestamp-micros"))
    generate()


def default_that_does_not_fit() -> None:
    evolve(TITLE, title="Tour")
    edit(V3, lambda d: d["fields"].append({"name": "volume", "type": "double", "default": "loud"}))


def forget_the_classes() -> None:
    kept = Path("schemas/events.py").read_text()
    evolve(TITLE, title="Tour")
    Path("schemas/events.py").write_text(kept)


def forget_the_examples() -> None:
    evolve(TITLE, title="Tour")
    EXAMPLES.unlink()


def example_of_another_type() -> None:
    evolve(TITLE, title=7)
    EXAMPLES.write_text(EXAMPLES.read_text().splitlines()[0])


def example_of_the_last_version() -> None:
    evolve(TITLE, title="Tour")
    EXAMPLES.write_text(V2.with_suffix(".examples.ndjson").read_text().splitlines()[0])


def not_json() -> None:
    evolve(TITLE, title="Tour")
    V3.write_text("[true, ")


def skip_a_number() -> None:
    evolve(TITLE, title="Tour")
    copy_to_version_4()
    V3.unlink()
    EXAMPLES.unlink()


def change_nothing() -> None:
    evolve()


def keyword_as_a_field() -> None:
    evolve({"name": "type", "type": "string", "default": ""}, type="x")


def unused_file() -> None:
    (VIDEO / "v2.avsc.orig").touch()


def one_enum_in_two_types() -> None:
    evolve({"name": "device", "type": enum("PHONE"), "default": "PHONE"}, device="PHONE")
    definition = json.loads(Path("schemas/url_clicked/v1.avsc").read_text())
    definition["fields"].append({"name": "device", "type": enum("PHONE"), "default": "PHONE"})
    Path("schemas/url_clicked/v2.avsc").write_text(json.dumps(definition))
    examples = [json.loads(line) for line in Path("schemas/url_clicked/v1.examples.ndjson").read_text().splitlines()]
    Path("schemas/url_clicked/v2.examples.ndjson").write_text(json.dumps(examples[0] | {"device": "PHONE"}))
    generate()


PULL_REQUESTS: dict[Callable[[], None], str] = {
    add_without_a_default: """
        schemas/video_played/v3.avsc: VideoPlayed.title is new and has no default: readers of version 3 cannot
        read what writers of versions 1 and 2 wrote. Give it one: {"name": "title", "type": ["null", "string"],
        "default": null}.
    """,
    remove: """
        schemas/video_played/v3.avsc: VideoPlayed.video_id is gone and has no default: readers of versions 1 and
        2 cannot read what writers of version 3 write. Keep video_id, and say in its doc where nobody fills it
        any more.
    """,
    rename: """
        schemas/video_played/v3.avsc: VideoPlayed.video is new and has no default: readers of version 3 cannot
        read what writers of versions 1 and 2 wrote. Give it one: {"name": "video", "type": ["null", "string"],
        "default": null}.

        schemas/video_played/v3.avsc: VideoPlayed.video_id is gone and has no default (to a reader, a rename to
        video is a removal): readers of versions 1 and 2 cannot read what writers of version 3 write. Keep
        video_id, add video beside it with a default, and let producers fill both.
    """,
    rename_with_an_alias: """
        schemas/video_played/v3.avsc: VideoPlayed.video_id is gone and has no default (to a reader, a rename to
        video is a removal): readers of versions 1 and 2 cannot read what writers of version 3 write. Keep
        video_id, add video beside it with a default, and let producers fill both.
    """,
    narrow: """
        schemas/video_played/v3.avsc: VideoPlayed.position_seconds was "double" and is "int" now: readers of
        version 3 cannot read what writers of versions 1 and 2 wrote. Keep it as it was, and add another field
        with a default.
    """,
    allow_null: """
        schemas/video_played/v3.avsc: VideoPlayed.video_id was "string" and is ["null", "string"] now: readers
        of versions 1 and 2 cannot read what writers of version 3 write. Keep it as it was, and add another
        field with a default.
    """,
    add_a_symbol: """
        schemas/video_played/v4.avsc: VideoPlayed.quality had the symbols ["LOW", "HIGH"] and has ["LOW",
        "HIGH", "ULTRA"] now: readers of version 3 cannot read what writers of version 4 write. Keep it as it
        was, and add another field with a default. (An enum that has a default symbol from the start may grow.)
    """,
    change_the_logical_type: """
        schemas/video_played/v4.avsc: VideoPlayed.started_at had the logical type timestamp-millis and has
        timestamp-micros now: readers of version 4 take what writers of version 3 wrote for something else, and
        readers of version 3 what writers of version 4 write. Keep it as it was, and add another field with a
        default.
    """,
    rename_the_record: """
        schemas/video_played/v3.avsc: VideoStarted is in the folder video_played: readers of version 3 are told
        its name by the schema, people by the folder. Name the folder video_started, or the record as before: a
        new name is a new type.
    """,
    move_the_namespace: """
        schemas/video_played/v3.avsc: the namespace is com.example, not kafkajourney.events: readers of
        kafkajourney.events do not know what writers of version 3 write. Write "name": "VideoPlayed",
        "namespace": "kafkajourney.events".
    """,
    drop_a_common_field: """
        schemas/video_played/v3.avsc: VideoPlayed.session_id is missing, which every event has: no reader takes
        what writers of version 3 write for an event. Begin with event_id, user_id, session_id, page_url,
        occurred_at, as `python -m schemas new` writes them.
    """,
    change_a_common_field: """
        schemas/video_played/v3.avsc: VideoPlayed.occurred_at is not what it is in every other event: no reader
        takes what writers of version 3 write for an event. Begin with event_id, user_id, session_id, page_url,
        occurred_at, as `python -m schemas new` writes them.
    """,
    default_that_does_not_fit: """
        schemas/video_played/v3.avsc: not a valid Avro schema: the default of VideoPlayed.volume, "loud", is no
        double: nobody can write or read version 3. Correct it.
    """,
    not_json: """
        schemas/video_played/v3.avsc: the file: not valid JSON: Expecting value: line 1 column 8 (char 7):
        nobody can write or read version 3. Correct the file.
    """,
    forget_the_classes: """
        schemas/events.py: the file is not what the schemas say: producers and consumers have the classes of
        other versions than the newest. Run: python -m schemas generate
    """,
    forget_the_examples: """
        schemas/video_played/v3.examples.ndjson: the file with examples is missing or empty: readers and writers
        of version 3 are tested with it. Write a JSON record a line, as the other types have it.
    """,
    example_of_another_type: """
        schemas/video_played/v3.examples.ndjson: line 1 does not fit: VideoPlayed.title is 7, not null or
        string: readers and writers of version 3 are tested with it. Correct the example.
    """,
    example_of_the_last_version: """
        schemas/video_played/v3.examples.ndjson: line 1 lacks title: readers and writers of version 3 are tested
        with it. Correct the example.
    """,
    change_nothing: """
        schemas/video_played/v3.avsc: the file says what version 2 says: writers of version 3 would be taken for
        writers of version 2. Change it, or remove it with its examples.
    """,
    skip_a_number: """
        schemas/video_played/v3.avsc: the file is missing: what writers of version 3 wrote has no schema here.
        Number the versions v1.avsc, v2.avsc, ... without a gap.
    """,
    keyword_as_a_field: """
        schemas/video_played/v3.avsc: VideoPlayed.type cannot be called so (an NDJSON line has the event's type
        there): readers and writers of version 3 have a class with this attribute. Choose another name, in
        snake_case.
    """,
    unused_file: """
        schemas/video_played/v2.avsc.orig: the file belongs to no version: no reader or writer will ever use it.
        A type is a folder with v1.avsc, v1.examples.ndjson, ...; rename it so, or remove it.
    """,
    one_enum_in_two_types: """
        schemas/url_clicked/v2.avsc: the enum kafkajourney.events.Quality is defined in VideoPlayed too: the
        topic's union, which readers of all types share, cannot hold version 2. Give it a name of its own, such
        as UrlClickedQuality.

        schemas/video_played/v3.avsc: the enum kafkajourney.events.Quality is defined in UrlClicked too: the
        topic's union, which readers of all types share, cannot hold version 3. Give it a name of its own, such
        as VideoPlayedQuality.
    """,
}
"""What a pull request does, and what `check` says to it, word by word; an empty line is between two findings."""


@pytest.mark.parametrize("change", PULL_REQUESTS, ids=lambda change: change.__name__)
def test_a_pull_request_that_breaks_someone(folder: Path, change: Callable[[], None]) -> None:
    change()
    assert lines(folder) == [" ".join(text.split()) for text in PULL_REQUESTS[change].split("\n\n")]
