"""The application that a command works for: its event types, its consumer groups, its migrations.

They are what a team changes; the library knows none of them by name. An application is the packages ``schemas``,
``consumers`` and ``migrations``: those of the working folder where its ``kafkajourney.toml`` has a table
``[application]``, else those that Python finds first (with ``python -m`` the working folder comes first as well).
"""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kafkajourney.errors import StopError
from kafkajourney.group import Group
from kafkajourney.settings import TOML_FILE

NAMESPACE = "kafkajourney.events"
"""The namespace of event types where that table names none."""


@dataclass(frozen=True)
class Application:
    """Where the parts of an application are."""

    schemas: Path
    """The folder that holds a folder for each event type, and ``events.py``, the classes generated from them."""
    migrations: Path
    """The folder of its ``versions``, the revisions of its own tables."""
    namespace: str = NAMESPACE
    """The namespace of its event types."""

    @cached_property
    def event_classes(self) -> Mapping[str, type]:
        """Return the generated class of each event type, by subject (the record's full name)."""
        classes: Mapping[str, type] = import_module("schemas.events").EVENT_TYPES
        return classes

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """Return the consumer groups by name, in the application's order."""
        return {group.name: group for group in import_module("consumers").GROUPS}


@cache
def current() -> Application:
    """Return the application of this process; raise StopError where there is none."""
    folder = Path.cwd()
    table = _application_table(folder)
    if table is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # a console script does not look in the working folder
    namespace = (table or {}).get("namespace", NAMESPACE)
    return Application(_folder_of("schemas"), _folder_of("migrations"), str(namespace))


def _application_table(folder: Path) -> Mapping[str, Any] | None:
    """Return the table ``[application]`` of a folder's settings, None where it has none."""
    try:
        table = tomllib.loads((folder / TOML_FILE).read_text(encoding="utf-8")).get("application")
    except (OSError, ValueError):  # what is wrong with the file, the settings say
        return None
    return table if isinstance(table, dict) else None


def _folder_of(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise StopError(
            f"There is no application here: Python finds no package {package!r}. Run the command in the folder of an "
            "application, one that has the folders schemas, consumers and migrations."
        )
    return Path(spec.origin).parent
