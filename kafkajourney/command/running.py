"""How every command runs and ends: its exit code, and an error as one sentence."""

import logging
import os
import signal
import sys
from typing import NoReturn

import click

from kafkajourney.command import logs
from kafkajourney.errors import KafkaJourneyError
from kafkajourney.settings import variables

INTERRUPTED = 130


log = logging.getLogger("kafkajourney")


def main(command: click.Command, prefix: str) -> NoReturn:
    """Run a command and exit: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted.

    An error is one sentence on standard error; its traceback follows only with ``--debug``. An option that names no
    environment variable has one all the same: ``prefix``, for a group the subcommand, and the option's name.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in variables.injected(os.environ):
        del os.environ[name]  # no option may take it for its own
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
