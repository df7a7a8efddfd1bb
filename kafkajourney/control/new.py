"""An application of one's own: a copy of the one that comes with the library, with a name and a namespace."""

import re
import shutil
from pathlib import Path

import click

from kafkajourney import application
from kafkajourney.application import NAMESPACE, PACKAGES
from kafkajourney.errors import SettingsError
from kafkajourney.settings import TOML_FILE

_TEMPLATE = Path(__file__).parent / "template"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NAMESPACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@click.command(name="new")
@click.argument("name")
@click.option("--namespace", help="Of its event types.  [default: NAME.events]")
def new(name: str, namespace: str | None) -> None:
    """Make a folder NAME with an application of your own.

    It begins as the one that comes along: six event types, two consumer groups, a simulator, migrations and tests.
    In it every command works, and `make test` runs its tests.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no name for an application: small letters, digits and _, a letter first.")
    chosen = namespace or f"{name}.events"
    if not _NAMESPACE.fullmatch(chosen):
        raise SettingsError(f"{chosen!r} is no namespace: names with dots between them, as {name}.events.")
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder} exists, and is not empty. Choose another name.")
    copy(folder, chosen)
    click.echo(f"{folder} is an application, with its event types in the namespace {chosen}. Next:")
    for line in (f"cd {folder}", "make test", "kafkajourney up"):
        click.echo(f"    {line}")


def copy(folder: Path, namespace: str = NAMESPACE) -> None:
    """Copy the application that comes with the library into a folder, its types in this namespace."""
    source = application.built_in()
    tests = source / "tests" / "application"  # where it is the checkout
    for package in PACKAGES:
        _copy_tree(source / package, folder / package)
    _copy_tree(tests if tests.is_dir() else source / "tests", folder / "tests")
    for file in _TEMPLATE.iterdir():
        (folder / file.name.replace("dot-", ".")).write_bytes(file.read_bytes())
    (folder / TOML_FILE).write_text(f'[application]\nnamespace = "{namespace}"\n', encoding="utf-8")
    for path in (folder / "schemas").rglob("*"):
        if path.suffix in (".avsc", ".ndjson") or path.name == "events.py":
            _rename(path, namespace)


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a folder in the place of one that may be there, of another version perhaps."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def _rename(path: Path, namespace: str) -> None:
    """Put the namespace in the place of the one that comes along; ``events.py`` has it in quotes only."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f'"{NAMESPACE}', f'"{namespace}'), encoding="utf-8")
