"""Environment variables: which are settings, which are properties, which are a slip, and which are Kubernetes'."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path

from kafkajourney.errors import SettingsError
from kafkajourney.settings.model import ENVIRONMENT

PREFIX = "KAFKAJOURNEY_"
TABLES = {"kafka": f"{PREFIX}KAFKA__", "schema_registry": f"{PREFIX}SCHEMA_REGISTRY__"}
"""What the variables of a table's properties begin with; in the rest two underscores are a dot."""

FROM_FILE = "_FILE"
"""The end of a variable that names a file with the value, as Docker and Kubernetes mount secrets."""

COMMANDS = ("PRODUCER", "SCHEMAS", "MIGRATIONS", "COLLECTOR", "TEST", "CHAOS")
"""Words of variables that are other commands' options."""

SHARED = tuple(
    PREFIX + name
    for name in ("LOG_FORMAT", "DEBUG", "METRICS_PORT", "METRICS_HOST", "BATCH_SIZE", "BATCH_WAIT", "MAX_DEAD_LETTERS")
)
"""Variables of options that several commands have under one name."""

EMPTY = ENVIRONMENT["group_prefix"]
"""The one whose empty value is a value: it takes away what another layer says."""

_INJECTED = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")


def injected(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that Kubernetes made of a service's name, not anybody who meant us.

    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    """
    return [
        name
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and (_INJECTED.search(name) or (name.endswith("_PORT") and re.match(r"(tcp|udp|sctp)://", value)))
    ]


def value_of(name: str, variables: Mapping[str, str | None], folder: Path) -> str | None:
    """Return the value of a variable, or what is in the file that ``<name>_FILE`` names; None where neither is set."""
    value, path = variables.get(name), variables.get(name + FROM_FILE)
    if not path:
        return value if name == EMPTY else value or None
    if value:
        raise SettingsError(f"{name} and {name}{FROM_FILE} are both set. Leave one of them out.")
    try:
        return (folder / path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}{FROM_FILE}: {path} cannot be read: {error}.") from None


def properties(table: str, variables: Mapping[str, str | None], folder: Path) -> dict[str, str]:
    """Return the properties of a table that are set by variables, by their names."""
    found = {}
    for variable in variables:
        if variable.startswith(TABLES[table]):
            plain = variable if variable.endswith(f"_{FROM_FILE}") else variable.removesuffix(FROM_FILE)
            if (value := value_of(plain, variables, folder)) is not None:
                found[plain.removeprefix(TABLES[table]).replace("__", ".").lower()] = value
    return found


def variable_of(table: str, name: str) -> str:
    """Return the variable of a table's property."""
    return TABLES[table] + name.replace(".", "__").upper()


def unknown(
    names: Collection[str], own: Collection[str], prefix: str = "", groups: Collection[str] = ()
) -> Iterator[str]:
    """Yield the variables that nothing reads; raise SettingsError for one that is nearly a name that is read.

    ``own`` are those of this command's options, which begin with ``prefix``; what begins as an option of another
    command, or of one of the application's consumer ``groups``, is none of our business.
    """
    others = tuple({f"{PREFIX}{word.upper()}_" for word in (*COMMANDS, *groups)} - {f"{prefix}_"})
    known = [*ENVIRONMENT.values(), *own]
    for name in names:
        plain = name.removesuffix(FROM_FILE) if name.removesuffix(FROM_FILE) in ENVIRONMENT.values() else name
        if not name.startswith(PREFIX) or plain in known or name.startswith((*TABLES.values(), *others)):
            continue
        of_setting = name.removesuffix(FROM_FILE)
        if meant := next((each for each in known if _differing(of_setting, each) <= 2), None):  # noqa: PLR2004 # letters
            raise SettingsError(f"{name} is no setting. Is {meant} meant?")
        for table, start in TABLES.items():
            if name.startswith(start[:-1]):
                dotted = name.removeprefix(start[:-1]).replace("_", ".").lower()
                raise SettingsError(
                    f"{name} is no setting. In a property of [{table}] two underscores are a dot: is "
                    f"{variable_of(table, dotted)} meant?"
                )
        yield name


def _differing(one: str, other: str) -> int:
    """Return about how many letters have to be changed, added or taken away."""
    codes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return sum(max(a2 - a1, b2 - b1) for kind, a1, a2, b1, b2 in codes if kind != "equal")
