"""The other commands of ``python -m schemas``: what they write, show, register and refuse."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka.schema_registry import SchemaRegistryClient

from kafkajourney.avro.catalogue import load
from kafkajourney.control.new import copy
from kafkajourney.embedded.registry import RegistryServer
from kafkajourney.errors import SettingsError
from kafkajourney.events import COMMON_FIELDS
from kafkajourney.schemas import scaffold
from kafkajourney.schemas.diff import catalogues_diff, versions_diff
from kafkajourney.schemas.display import markdown
from kafkajourney.schemas.simulate import STRANGER, simulate
from tests.support.processes import ROOT, Commands
from tests.support.schema_files import TITLE, V3, commit, copy_schemas, edit, evolve, generate, git, lines

TOPIC = "user-journey"
VIDEO_SUBJECT = "kafkajourney.events.VideoPlayed"
NOW = datetime(2026, 3, 14, 9, 26, 53, 589000, UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return copy_schemas()


# new, evolve


def test_a_new_type_is_well_once_it_is_described(folder: Path) -> None:
    written = scaffold.new(folder, load(folder), "CartFilled", NOW)
    assert [path.relative_to(folder) for path in written] == [
        Path("cart_filled/v1.avsc"),
        Path("cart_filled/v1.examples.ndjson"),
    ]
    [example] = load(folder)["CartFilled"].newest.examples()
    assert tuple(example) == COMMON_FIELDS
    assert example["occurred_at"] == "2026-03-14T09:26:53.589Z"
    generate()
    [line] = lines(folder)
    assert line.startswith("schemas/cart_filled/v1.avsc: CartFilled has a doc that is still to be written")
    edit(written[0], lambda d: d.update(doc="A user put something into the cart."))
    generate()
    assert lines(folder) == []


@pytest.mark.parametrize("name", ["cartFilled", "cart_filled", "Cart-Filled", "", "x.CartFilled", "CARTFilled1_"])
def test_a_bad_name_for_a_type_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"is no name for an event type\. Write it as CartFilled"):
        scaffold.new(folder, load(folder), name, NOW)


def test_what_exists_is_not_written_over(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is an event type VideoPlayed\. .*schemas evolve VideoPlayed"):
        scaffold.new(folder, load(folder), "VideoPlayed", NOW)
    (folder / "cart_filled").mkdir()
    with pytest.raises(SettingsError, match="schemas/cart_filled exists"):
        scaffold.new(folder, load(folder), "CartFilled", NOW)


def test_the_next_version_is_a_copy_with_examples_of_its_own(folder: Path) -> None:
    written = scaffold.evolve(load(folder)["VideoPlayed"])
    assert [path.name for path in written] == ["v3.avsc", "v3.examples.ndjson"]
    second, third = load(folder)["VideoPlayed"].versions[1:]
    assert third.path.read_text() == second.path.read_text()
    before, after = ([example.pop("event_id") for example in v.examples()] for v in (second, third))
    assert len({*before, *after}) == 4
    assert second.examples()[0] | {"event_id": ""} == third.examples()[0] | {"event_id": ""}


def test_a_copy_that_was_not_edited_is_not_copied(folder: Path) -> None:
    scaffold.evolve(load(folder)["VideoPlayed"])
    with pytest.raises(SettingsError, match=r"schemas/video_played/v3.avsc still says what version 2 says"):
        scaffold.evolve(load(folder)["VideoPlayed"])
    V3.unlink()
    with pytest.raises(SettingsError, match=r"v3.examples.ndjson exists without its schema"):
        scaffold.evolve(load(folder)["VideoPlayed"])


# diff


def cells(rows: list[Any]) -> list[tuple[str, ...]]:
    return [tuple(row) for row in rows]


def test_the_difference_of_two_versions(folder: Path) -> None:
    evolve({"name": "title", "type": "string"}, {"name": "position_seconds", "type": "float"}, title="")
    _, second, third = load(folder)["VideoPlayed"].versions
    newer_reads = "readers of version 3 cannot read what writers of version 2 wrote"
    doc = "Where in the video playing began, in seconds from its start."
    assert cells(versions_diff(second, third)) == [
        ("VideoPlayed 2 → 3", "title", "added", "", '"string"', newer_reads),
        ("VideoPlayed 2 → 3", "position_seconds", "type", '"double"', '"float"', newer_reads),
        ("VideoPlayed 2 → 3", "position_seconds", "doc", doc, "", newer_reads),
        ("VideoPlayed 2 → 3", "", "order of fields", ORDER, MOVED, ""),
    ]


ORDER = ", ".join([*COMMON_FIELDS, "video_id", "position_seconds", "playback_rate"])
MOVED = ", ".join([*COMMON_FIELDS, "video_id", "playback_rate", "position_seconds"])


def test_the_difference_of_two_states_of_the_folder(folder: Path) -> None:
    before = load(folder)
    evolve(TITLE, title="Tour")
    shutil.rmtree("schemas/url_clicked")
    scaffold.new(folder, before, "CartFilled", NOW)
    rows = cells(list(catalogues_diff(before, load(folder))))
    assert [row[:4] for row in rows if row[1] in ("", "title", "target_url")] == [
        ("CartFilled 1", "", "added", ""),
        ("VideoPlayed 2 → 3", "title", "added", ""),
        ("UrlClicked 1", "", "removed", "record kafkajourney.events.UrlClicked"),
        ("UrlClicked 1", "target_url", "removed", '"string"'),
    ]
    assert {row[5] for row in rows if row[2] == "removed"} == {
        "readers of the topic's union cannot read what writers of it wrote"
    }


def test_a_table_for_a_pull_request() -> None:
    assert markdown(("a", "b"), [("x|y", ""), ("1", "2")]) == "| a | b |\n| --- | --- |\n| x\\|y |  |\n| 1 | 2 |"


# simulate


def test_every_version_is_read_by_every_version_and_by_a_stranger() -> None:
    meetings = list(simulate(load()))
    assert [m for m in meetings if m.problem] == []
    count = sum(len(t.versions) * (len(t.versions) + 1) for t in load().values())
    assert len(meetings) == count
    outcomes = {(m.writer.name, m.writer.version, m.reader): m.outcome for m in meetings}
    assert outcomes["VideoPlayed", 1, 1] == "✓"
    assert outcomes["VideoPlayed", 1, 2] == "✓ playback_rate by default"
    assert outcomes["VideoPlayed", 2, 1] == "✓ playback_rate kept"
    assert outcomes["UrlClicked", 1, STRANGER] == "✓ target_url kept"


def test_what_the_registry_lets_pass_and_a_reader_takes_for_something_else(folder: Path) -> None:
    evolve({"name": "video_id", "type": "bytes"})
    [problem] = {m.problem for m in simulate(load(folder)) if m.problem and m.writer.version == 3 and m.reader == 1}
    assert problem == "video_id is 'tour-1', not b'tour-1'"
    assert any("does not arrive as it was written" in line for line in lines(folder))


def test_what_would_become_of_a_break(folder: Path) -> None:
    evolve({"name": "title", "type": "string"}, title="Tour")
    problems = {(m.writer.version, m.reader): m.problem for m in simulate(load(folder)) if m.problem}
    assert set(problems) == {(1, 3), (2, 3)}
    assert "No default value for field title" in problems[1, 3]


# as users run them


@pytest.fixture
def embedded_registry() -> Iterator[str]:
    with RegistryServer() as server:
        yield server.url


@pytest.fixture
def project(lone_commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Commands in a folder that is an application of its own, merged."""
    monkeypatch.chdir(lone_commands.folder)
    copy(lone_commands.folder)
    git("init", "--quiet", "--initial-branch=main")
    commit()
    return lone_commands


@pytest.mark.stack
def test_from_a_new_type_to_its_registration(project: Commands, embedded_registry: str) -> None:
    there = ("--schema-registry-url", embedded_registry)
    assert "7 versions of 6 event types are well" in project.run("schemas", "check")
    written = project.run("schemas", "new", "CartFilled")
    assert written.startswith("schemas/cart_filled/v1.avsc written\nschemas/cart_filled/v1.examples.ndjson written\n")
    assert "python -m schemas generate\n    python -m schemas check\n" in written
    assert "2 findings, see above" in project.run("schemas", "check", code=1)
    edit(Path("schemas/cart_filled/v1.avsc"), lambda d: d.update(doc="A user put something into the cart."))
    assert "schemas/events.py written" in project.run("schemas", "generate")
    told = project.run("schemas", "check", "--against-registry", *there)
    assert "kafkajourney.events.CartFilled: version 1 would be registered" in told
    assert "8 versions of 7 event types are well" in told
    assert "would be registered" in project.run("schemas", "register", "--dry-run", *there)
    assert SchemaRegistryClient({"url": embedded_registry}).get_subjects() == []
    project.run("schemas", "register", *there)
    assert "would" not in project.run("schemas", "register", "--dry-run", *there)
    assert "| CartFilled 1 |  | added |" in project.run("schemas", "diff", "HEAD", "--markdown")
    assert "CartFilled 1" in project.run("schemas", "simulate")


@pytest.mark.stack
def test_a_break_fails_every_command_that_could_let_it_pass(project: Commands, embedded_registry: str) -> None:
    there = ("--schema-registry-url", embedded_registry)
    project.run("schemas", "register", *there)
    project.run("schemas", "evolve", "VideoPlayed")
    edit(V3, lambda d: d["fields"].append({"name": "title", "type": "string"}))
    sentence = "VideoPlayed.title is new and has no default: readers of version 3 cannot read"
    assert sentence in project.run("schemas", "check", code=1)
    assert "VideoPlayed is refused by the registry" in project.run(
        "schemas", "check", "--against-registry", *there, code=1
    )
    assert "VideoPlayed is refused by the registry" in project.run("schemas", "register", "--dry-run", *there, code=1)
    assert f"Error: {V3}: The schema registry" in project.run("schemas", "register", *there, code=1)
    assert "readers of version 3" in project.run("schemas", "diff", "VideoPlayed:2", "VideoPlayed:3", "--markdown")


@pytest.mark.stack
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("diff", "VideoPlayed:1", "HEAD"), 2, "VideoPlayed:1 and HEAD are a version and a git revision."),
        (("diff", "VideoPlayed:9"), 1, "VideoPlayed has no version 9. It has: 1, 2."),
        (("diff", "nowhere"), 1, "git knows no revision 'nowhere' here."),
        (("evolve", "Nothing"), 1, "There is no event type 'Nothing'."),
        (("new", "nothing"), 2, "'nothing' is no name for an event type."),
        (("check", "--base", "nowhere"), 1, "git knows no revision 'nowhere' here."),
        (("check", "--against-registry"), 1, "No schema registry answers at http://127.0.0.1:1"),
    ],
)
def test_a_wrong_call_is_one_sentence(project: Commands, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    assert sentence in project.run("schemas", *arguments, code=code)


@pytest.mark.stack
def test_the_difference_of_revisions(project: Commands) -> None:
    assert "nothing differs" in project.run("schemas", "diff", "HEAD")
    evolve(TITLE, title="Tour")
    commit()
    for new in ((), ("HEAD",)):
        assert '| VideoPlayed 2 → 3 | title | added |  | ["null", "string"], default null |  |' in project.run(
            "schemas", "diff", "HEAD~1", *new, "--markdown"
        )
    assert "nothing differs" in project.run("schemas", "diff", "HEAD")


def test_the_hook_before_a_commit_is_the_check() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    [hook] = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert hook["entry"].endswith("python -m schemas check")
    assert not hook["pass_filenames"]
