"""The options that commands share: the settings, the log, the version."""

import functools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from kafkajourney import __version__
from kafkajourney.command import logs
from kafkajourney.settings import DEFAULTS, ENVIRONMENT, load, variables
from kafkajourney.settings.layers import read_dotenv

P = ParamSpec("P")


R = TypeVar("R")

log = logging.getLogger("kafkajourney")


SETTINGS = tuple(DEFAULTS)
"""The names of all settings, for ``settings_options``."""


_HELP = {
    "bootstrap_servers": "Kafka brokers, host:port with commas between them.",
    "schema_registry_url": "URL of the schema registry.",
    "database_url": "SQLAlchemy URL of the database.",
    "topic": "Topic of the events.",
    "group_prefix": "Before the consumer groups' names, for a second deployment on the same topic.",
}


def settings_options(*names: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a click command the options of these settings; it receives them merged, as ``settings``."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def command(**arguments: Any) -> R:
            context, folder = click.get_current_context(), Path.cwd()
            options = {name: arguments.pop(name) for name in names}
            typed = {n: v for n, v in options.items() if context.get_parameter_source(n) is ParameterSource.COMMANDLINE}
            _tell_unknown(context, folder)
            return function(settings=load(typed, os.environ, folder, names), **arguments)

        decorated: Callable[..., R] = command
        for name in reversed(names):
            decorated = _settings_option(name)(decorated)
        return decorated

    return decorate


def _tell_unknown(context: click.Context, folder: Path) -> None:
    """Warn of variables that nothing reads; raise SettingsError for one that is nearly a setting's."""
    root = context.find_root()
    prefix = root.auto_envvar_prefix or ""
    own = {*_variables(root.command, prefix), *variables.SHARED}
    groups = [path.parent.name for path in folder.glob("consumers/*/__main__.py")]
    for name in variables.unknown(os.environ, own, prefix, groups):
        log.warning("%s is no setting, and is not used", name, extra=logs.event("unknown_variable"))
    for name in variables.unknown(read_dotenv(folder), ()):
        sentence = "%s in .env is no setting, and is not used; options are read from the environment only"
        log.warning(sentence, name, extra=logs.event("unknown_variable"))


def _variables(command: click.Command, prefix: str) -> Iterator[str]:
    """Yield the environment variables of the options of a command and of its subcommands."""
    for parameter in command.params:
        explicit = parameter.envvar if isinstance(parameter.envvar, str) else None
        yield explicit or f"{prefix}_{parameter.name}".upper()
    for name, subcommand in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _variables(subcommand, f"{prefix}_{name}".upper().replace("-", "_"))


def _settings_option(name: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    default = "the SQL Server of docker-compose.yml" if name == "database_url" else DEFAULTS[name] or "none"
    return click.option(
        f"--{name.replace('_', '-')}",
        envvar=ENVIRONMENT[name],
        metavar="URL" if name.endswith("url") else "TEXT",
        help=f"{_HELP[name]}  [default: {default}]",
    )


def common_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a click command ``--debug``, ``--log-format`` and ``--version``; its log is for people."""
    return _version_option(_log_options(command))


def service_options(**always: object) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give the command of a process that runs long the common options.

    Its log is JSON where no person watches; each line has the fields ``always``.
    """

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        return _version_option(_log_options(command, "auto", **always))

    return decorate


def _version_option(command: Callable[P, R]) -> Callable[P, R]:
    return click.version_option(__version__, message="%(version)s")(command)


def _log_options(command: Callable[P, R], log_format: str | None = None, **always: object) -> Callable[P, R]:
    """Add what the log is asked for. Both are eager, so that an error of another option is told as was asked."""

    def set_format(_context: click.Context, _parameter: click.Parameter, chosen: str | None) -> None:
        if chosen is not None:  # a command's callback does not take back what its group's one set
            logs.set_up(chosen, **always)

    form = click.option(
        "--log-format",
        type=click.Choice(logs.FORMATS),
        default=log_format,
        expose_value=False,
        is_eager=True,
        callback=set_format,
        envvar="KAFKAJOURNEY_LOG_FORMAT",
        help="Of what is written to standard error; auto: text on a terminal, JSON elsewhere.  "
        f"[default: {log_format or 'text'}]",
    )
    debug = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_level,
        envvar="KAFKAJOURNEY_DEBUG",
        help="Log more, and show the traceback of an error.",
    )
    return debug(form(command))


class CommandGroup(click.Group):
    """A group with the common options, whose commands take those of the log too."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        common_options(self)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Register a command of the group."""
        if not isinstance(cmd, click.Group):
            _log_options(cmd)
        super().add_command(cmd, name)


def _set_level(_context: click.Context, _parameter: click.Parameter, debug: bool) -> None:  # noqa: FBT001 # click's signature
    if debug or log.level == logging.NOTSET:  # a command's callback does not take back what its group's one set
        log.setLevel(logging.DEBUG if debug else logging.INFO)
        # librdkafka goes on by itself after most of what it logs; what matters comes as an error of a call.
        logging.getLogger("kafkajourney.librdkafka").setLevel(logging.DEBUG if debug else logging.CRITICAL)
