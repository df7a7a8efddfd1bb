"""The log on standard error: readable lines for people, one JSON object a line for machines.

Why by hand: docs/decisions/0010-logs-and-traces.md.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any

import click

FORMATS = ("auto", "json", "text")
"""``auto``: text on a terminal, JSON elsewhere."""

TELL_EVERY = 60.0
"""Seconds between two lines that say the same: of a connection, or from one line of another library."""


def event(name: str, **fields: Any) -> dict[str, Any]:
    """Return the ``extra`` of a log call: what a JSON line has beside the message.

    The name is short and stays as it is: alerts and searches are made with it. A field ``message`` takes the place of
    a sentence that is only for the person at the keyboard.
    """
    return {"fields": {"event": name, **fields}}


def set_up(chosen: str, **always: object) -> None:
    """Write the log in one of the ``FORMATS`` from here on; a JSON line has the fields ``always`` too."""
    on_terminal = sys.stderr.isatty()
    is_json = chosen == "json" or (chosen == "auto" and not on_terminal)
    handler = _Handler(sys.stderr)
    handler.setFormatter(JsonFormatter(**always) if is_json else TextFormatter(coloured=on_terminal))
    handler.addFilter(Sparing())
    logging.captureWarnings(capture=is_json)
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)


class _Handler(logging.StreamHandler[Any]):
    """The one that ``set_up`` makes, to be told from those of others."""


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, event, the event's fields, message; with ``--debug`` an error's traceback."""

    def __init__(self, **always: object) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = getattr(record, "fields", {})
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "event": record.name.rpartition(".")[2],  # that of another library, which names none
            **self._always,
            **fields,
            "message": fields.get("message", record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return without_credentials(json.dumps(line, default=str))


class TextFormatter(logging.Formatter):
    """A time, a level and a sentence; an error that ends a command stands alone."""

    def __init__(self, *, coloured: bool = False) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
        self._coloured = coloured

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 # logging's own name
        """Return the line, without a traceback."""
        if getattr(record, "fields", {}).get("event") != "error":
            return super().formatMessage(record)
        sentence = f"Error: {record.message}"
        return click.style(sentence, fg="red") if self._coloured else sentence

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the lines of a traceback where there is one."""
        return without_credentials(super().format(record))


class Seldom:
    """Lets each key through once a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[Hashable, float] = {}

    def lets(self, key: Hashable) -> bool:
        """Return whether the key may pass now."""
        now = self._clock()
        if now - self._told.get(key, -TELL_EVERY) < TELL_EVERY:
            return False
        self._told[key] = now
        return True


class Sparing(logging.Filter):
    """Lets what another library says through once a minute: an exporter without its collector repeats itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seldom = Seldom(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be written."""
        return record.name.startswith("kafkajourney") or self._seldom.lets((record.pathname, record.lineno))


def without_credentials(line: str) -> str:
    """Return a line without user and password of the URLs in it: the last resort, sentences are made without them."""
    return re.sub(r"(://)[^/\s@\"']*:[^/\s@\"']*@", r"\1***@", line)


def is_json() -> bool:
    """Return whether the log is written as JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)
