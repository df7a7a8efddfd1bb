"""Every command and option that the documents show exists; every command, option and setting is documented."""

import json
import re
from collections.abc import Iterator

import click
import pytest

import consumers.analytic.__main__
import consumers.journey.__main__
import producer.__main__
from kafkajourney.avro.catalogue import load
from kafkajourney.control.cli import kafkajourney
from kafkajourney.database.command import migrations
from kafkajourney.producing.ndjson import Reader
from kafkajourney.schemas.command import schemas
from kafkajourney.settings import DEFAULTS, ENVIRONMENT
from schemas.events import EVENT_TYPES
from tests.support.processes import ROOT

COMMANDS: dict[str, click.Command] = {
    "python -m producer": producer.__main__.command,
    "python -m consumers.journey": consumers.journey.__main__.command,
    "python -m consumers.analytic": consumers.analytic.__main__.command,
    "python -m schemas": schemas,
    "python -m migrations": migrations,
    "kafkajourney": kafkajourney,
}
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
}
SOURCES = {
    str(path.relative_to(ROOT)): re.sub(r"^from .*|\\n", "\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for path in ROOT.glob("kafkajourney/**/*.py")
}


def shown_commands() -> Iterator[tuple[str, str]]:
    """Yield (file, command line) for each command that a document or an error message shows."""
    start = "|".join(re.escape(name) for name in COMMANDS)
    for file, text in (DOCUMENTS | SOURCES).items():
        for match in re.finditer(rf"(?<![\w./`-])`?((?:{start}) [a-z-][^`\n|#,;()\"]*)", text):
            yield file, match[1].strip()


def resolve(line: str) -> tuple[click.Command, list[str]]:
    """Return the click command of a line, and the words after it."""
    name = max((name for name in COMMANDS if line.startswith(name)), key=len)
    command, words = COMMANDS[name], line.removeprefix(name).split()
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    return command, words


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")} | {"--help"}


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for subname, subcommand in command.commands.items():
            yield from leaves(subcommand, f"{name} {subname}")
    else:
        yield name, command


LEAVES = [leaf for name, command in COMMANDS.items() for leaf in leaves(command, name)]


def test_documents_show_commands() -> None:
    assert len(list(shown_commands())) > 20


@pytest.mark.parametrize(("file", "line"), sorted(set(shown_commands())))
def test_what_is_shown_exists(file: str, line: str) -> None:
    command, words = resolve(line)
    if isinstance(command, click.Group):
        assert not words or words[0].startswith("-") or words[0][0].isupper() or words[0] in PROSE, f"{file}: {line}"
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in options(command), f"{file}: {line}"


PROSE = ("while", "names", "joins", "is")
"""What may follow a group's name in a sentence."""


@pytest.mark.parametrize(("name", "command"), LEAVES)
def test_every_command_and_option_is_in_the_readme(name: str, command: click.Command) -> None:
    assert command.help
    last = re.escape(name.rsplit(maxsplit=1)[-1])
    assert re.search(rf"`(?:{re.escape(name)}|(?:\w+ )*{last})\b", README), f"{name} is not in the README"
    common = {"--help", "--version", "--debug", *(f"--{setting.replace('_', '-')}" for setting in DEFAULTS)}
    hidden = {"--events", "--partitions", "--replication", "--version"} | common
    for option in options(command) - hidden:
        assert f"`{option}" in README, f"{name} {option} is not in the README"


@pytest.mark.parametrize("setting", DEFAULTS)
def test_every_setting_is_in_the_readme(setting: str) -> None:
    default = DEFAULTS[setting] if setting != "database_url" else "the compose file's SQL Server"
    row = next(line for line in README.splitlines() if line.startswith(f"| `{setting}`"))
    assert f"`{ENVIRONMENT[setting]}`" in row
    assert default in row


def test_the_event_in_the_readme_is_an_event() -> None:
    lines = [line for line in README.splitlines() if line.startswith('{"type"')]
    assert [json.loads(line)["type"] for line in lines] == ["VideoPlayed"]
    assert Reader(load(), EVENT_TYPES).parse(lines[0]).user_id == "ada"


def test_links_lead_somewhere() -> None:
    for file, text in DOCUMENTS.items():
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (ROOT / file).parent.joinpath(target).exists(), f"{file} links to {target}"
    for file, text in (DOCUMENTS | SOURCES).items():
        for target in re.findall(r"docs/decisions/[\w-]+\.md", text):
            assert (ROOT / target).exists(), f"{file} names {target}"


def test_make_targets_that_are_shown_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    shown = {
        target for text in DOCUMENTS.values() for target in re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)
    }
    assert shown
    assert shown <= targets
