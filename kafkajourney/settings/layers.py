"""The layers that settings come from, in order of weight.

Command-line option, environment variable, ``.env``, ``kafkajourney.toml`` in the working folder, the running embedded
stack of this folder, the default.
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from kafkajourney.errors import SettingsError
from kafkajourney.settings import rules, variables
from kafkajourney.settings.masking import is_secret
from kafkajourney.settings.model import ADDRESSES, DEFAULT, DEFAULTS, ENVIRONMENT, TOML_FILE, Settings
from kafkajourney.state import EMBEDDED, STATE_FOLDER, running_stack

DOTENV = ".env"
STACK = "the embedded stack of this folder"


@dataclass
class Layer:
    """Values of one place, and what the place is called for each."""

    values: Mapping[str, str]
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of ``kafka`` and ``schema_registry``: the properties by name."""
    place: str = ""
    """Where a person finds them; empty where each name has its own."""

    def source(self, name: str) -> str:
        """Return where a setting comes from."""
        return self.place or ENVIRONMENT[name]

    def source_of_property(self, table: str, name: str) -> str:
        """Return where a property comes from."""
        return f"{self.place}: [{table}] {name}" if self.place == TOML_FILE else variables.variable_of(table, name)


def load(
    options: Mapping[str, str | None],
    environ: Mapping[str, str],
    folder: Path,
    used: Collection[str] = tuple(DEFAULTS),
) -> Settings:
    """Return the settings for a command that runs in ``folder`` and uses those named in ``used``.

    Raises SettingsError where a value is malformed or would break the delivery promise.
    """
    toml = _read_toml(folder / TOML_FILE)
    stack = running_stack(folder / STATE_FOLDER) or {}
    layers = [
        Layer({name: value for name, value in options.items() if value is not None}, place="the command line"),
        _of_variables(environ, folder),
        _of_variables(read_dotenv(folder), folder, DOTENV),
        Layer(
            {n: v for n, v in toml.items() if n in DEFAULTS}, {t: toml.get(t, {}) for t in variables.TABLES}, TOML_FILE
        ),
        Layer({name: value for name, value in stack.items() if name in DEFAULTS}, place=STACK),
        Layer(DEFAULTS, place=DEFAULT),
    ]
    sources: dict[str, str] = {}
    values: dict[str, str] = {}
    tables: dict[str, dict[str, Any]] = {table: {} for table in variables.TABLES}
    for layer in reversed(layers):
        for name, value in layer.values.items():
            values[name], sources[name] = value, layer.source(name)
        for table, properties in layer.tables.items():
            for name, value in _flat(properties):
                plain = rules.ALIASES.get(name, name)
                tables[table][plain] = value
                sources[f"{table} {plain}"] = layer.source_of_property(table, name)
    _require_whole(stack, values, sources, used)
    settings = Settings(
        **values,
        kafka={name: _property_text(value) for name, value in tables["kafka"].items()},
        schema_registry=tables["schema_registry"],
        embedded=stack.get("kind") == EMBEDDED and values["bootstrap_servers"] == stack["bootstrap_servers"],
        sources=sources,
    )
    rules.validate(settings)
    return settings


def _require_whole(
    stack: Mapping[str, str], values: Mapping[str, str], sources: Mapping[str, str], used: Collection[str]
) -> None:
    """Refuse settings of which a part is the embedded stack's: they would mix two worlds."""
    offered = [name for name in ADDRESSES if name in stack and name in used]
    other = [name for name in offered if values[name] != stack[name]]
    if other and len(other) < len(offered):
        set_by = ", ".join(f"{name} ({sources[name]})" for name in other)
        rest = ", ".join(name for name in offered if name not in other)
        raise SettingsError(
            f"An embedded stack runs in this folder, and another {set_by} is set: a part of each would be used. "
            f"Take that away, or end the stack (Ctrl-C), or set {rest} as well."
        )


def _of_variables(given: Mapping[str, str | None], folder: Path, place: str = "") -> Layer:
    found = {name: variables.value_of(variable, given, folder) for name, variable in ENVIRONMENT.items()}
    tables = {
        "kafka": variables.properties("kafka", given, folder),
        "schema_registry": {
            name: value if is_secret(name) else _value(value)
            for name, value in variables.properties("schema_registry", given, folder).items()
        },
    }
    return Layer({name: value for name, value in found.items() if value is not None}, tables, place)


def _value(text: str) -> Any:
    """Return a variable's text as TOML would have it: the registry's client wants numbers as numbers."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def read_dotenv(folder: Path) -> dict[str, str | None]:
    """Return the variables of a folder's ``.env``; raise SettingsError where it cannot be read."""
    path = folder / DOTENV
    try:
        return dotenv_values(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}. Correct it, or remove it.") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}. Correct it, or remove it.") from None
    tables = [*variables.TABLES, "application"]
    known = [*DEFAULTS, *tables]
    if unknown := sorted(set(content) - set(known)):
        raise SettingsError(f"{path}: unknown {', '.join(unknown)}. Known are: {', '.join(known)}.")
    if wrong := [name for name in DEFAULTS if not isinstance(content.get(name, ""), str)]:
        raise SettingsError(f"{path}: {wrong[0]} has to be text in quotes; several brokers have commas between them.")
    for table in tables:
        if not isinstance(content.get(table, {}), dict):
            raise SettingsError(f"{path}: {table} has to be a table: [{table}], then one property a line.")
    return content


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the properties of a table by their dotted names: TOML nests them where they are written without quotes."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _property_text(value: object) -> str:
    """Return a TOML value as librdkafka writes it: booleans are ``true`` and ``false``."""
    return str(value).lower() if isinstance(value, bool) else str(value)
