"""What all commands share: their options for the settings, their exit codes, their log, their end by a signal."""

import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from kafkajourney import __version__, logs
from kafkajourney.errors import KafkaJourneyError
from kafkajourney.settings import DEFAULTS, ENVIRONMENT, load

P = ParamSpec("P")
R = TypeVar("R")

SETTINGS = tuple(DEFAULTS)
"""The names of all settings, for ``settings_options``."""

INTERRUPTED = 130

log = logging.getLogger("kafkajourney")

_HELP = {
    "bootstrap_servers": "Kafka brokers, host:port with commas between them.",
    "schema_registry_url": "URL of the schema registry.",
    "database_url": "SQLAlchemy URL of the database.",
    "topic": "Topic of the events.",
}


def settings_options(*names: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a click command the options of these settings; it receives them merged, as ``settings``."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def command(**arguments: Any) -> R:
            options = {name: arguments.pop(name) for name in names}
            return function(settings=load(options, os.environ, Path.cwd()), **arguments)

        decorated: Callable[..., R] = command
        for name in reversed(names):
            decorated = _settings_option(name)(decorated)
        return decorated

    return decorate


def _settings_option(name: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    default = "the SQL Server of docker-compose.yml" if name == "database_url" else DEFAULTS[name]
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


def main(command: click.Command, prefix: str) -> NoReturn:
    """Run a command and exit: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted.

    An error is one sentence on standard error; its traceback follows only with ``--debug``. An option that names no
    environment variable has one all the same: ``prefix``, for a group the subcommand, and the option's name.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logs.set_up("text")  # until --log-format is read
    _show_variables(command)
    try:
        sys.exit(command.main(standalone_mode=False, auto_envvar_prefix=prefix) or 0)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        if logs.is_json():
            _show(error, error.format_message())
        else:
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`... | head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KafkaJourneyError as error:
        _show(error, str(error))
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 # the last resort: a bug in this project still gets one sentence
        _show(error, f"Unexpected {type(error).__name__}: {error}. Run it with --debug for the traceback.")
        sys.exit(1)


def _show_variables(command: click.Command) -> None:
    """Let ``--help`` name the environment variable of every option."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in ("version", "help"):
            parameter.show_envvar = True
    for subcommand in command.commands.values() if isinstance(command, click.Group) else ():
        _show_variables(subcommand)


def _show(error: Exception, sentence: str) -> None:
    log.error(sentence, exc_info=error if log.isEnabledFor(logging.DEBUG) else None, extra=logs.event("error"))


class Stop(threading.Event):
    """Set by Ctrl-C and SIGTERM: what is in flight is finished. A second one sets ``give_up``: do not wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.give_up = threading.Event()


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Yield what the signals set, in place of an exception that could come anywhere."""
    stop = Stop()

    def ask(_number: int, _frame: object) -> None:
        (stop.give_up if stop.is_set() else stop).set()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
