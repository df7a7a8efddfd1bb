"""The application that a command works for: its event types, its consumer groups, its migrations.

They are what a team changes; the library knows none of them by name. An application is a folder whose
``kafkajourney.toml`` has a table ``[application]``, with the packages ``schemas``, ``consumers`` and ``migrations``:
the working folder, or the checkout that the library is run from.
"""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType

from kafkajourney.errors import StopError
from kafkajourney.group import Group
from kafkajourney.settings import TOML_FILE

NAMESPACE = "kafkajourney.events"
"""The namespace of event types where that table names none."""

PACKAGES = ("schemas", "producer", "consumers", "migrations")
"""What an application consists of."""

_LIBRARY = Path(__file__).parent


@dataclass(frozen=True)
class Application:
    """Where the parts of an application are."""

    folder: Path
    namespace: str = NAMESPACE
    """The namespace of its event types."""

    @property
    def schemas(self) -> Path:
        """Return the folder that holds one for each event type, and ``events.py``, the classes generated from them."""
        return self.folder / "schemas"

    @property
    def migrations(self) -> Path:
        """Return the folder of its ``versions``, the revisions of its own tables."""
        return self.folder / "migrations"

    @cached_property
    def event_classes(self) -> Mapping[str, type]:
        """Return the generated class of each event type, by subject (the record's full name)."""
        classes: Mapping[str, type] = self._module("schemas.events").EVENT_TYPES
        return classes

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """Return the consumer groups by name, in the application's order."""
        return {group.name: group for group in self._module("consumers").GROUPS}

    def _module(self, name: str) -> ModuleType:
        """Return a module of the application; raise StopError where Python finds one of somebody else."""
        if str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))  # a console script does not look in the working folder
        found = import_module(name)
        if self.folder not in Path(found.__file__ or "").parents:
            raise StopError(
                f"Python finds another package {name.partition('.')[0]!r} than that of the application in "
                f"{self.folder}: {found.__file__}. Take it off PYTHONPATH."
            )
        return found


@cache
def current() -> Application:
    """Return the application of this process; raise StopError where there is none."""
    for folder in (Path.cwd(), _LIBRARY.parent):
        if (found := at(folder)) is not None:
            return found
    raise StopError(
        "There is no application in this folder. Make one (kafkajourney new shop), and run the command there; a folder "
        f"is one where its {TOML_FILE} has a table [application]."
    )


def at(folder: Path) -> Application | None:
    """Return the application that a folder is, None where it is none."""
    try:
        table = tomllib.loads((folder / TOML_FILE).read_text(encoding="utf-8")).get("application")
    except (OSError, ValueError):  # what is wrong with the file, the settings say
        return None
    return Application(folder, str(table.get("namespace", NAMESPACE))) if isinstance(table, dict) else None


def built_in() -> Path:
    """Return the folder of the application that comes with the library: as data of the wheel, or the checkout's."""
    packed = _LIBRARY / "_application"
    return packed if packed.is_dir() else _LIBRARY.parent
