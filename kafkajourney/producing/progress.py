"""How a long run shows its progress: a bar on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from kafkajourney.command.logs import event

LINE_EVERY = 10.0
"""Seconds between two plain lines."""

BAR_EVERY = 0.1
"""Seconds between two updates of the bar."""

log = logging.getLogger("kafkajourney.producer")


@contextmanager
def progress(total: int | None, done: Callable[[], int], *, bar: bool) -> Iterator[Callable[[], None]]:
    """Yield what is to be called often, and shows now and then how many events are ``done``.

    ``total`` is None where nobody knows it; ``bar`` is whether there may be one: not among other output.
    """
    if not bar or not sys.stderr.isatty():
        yield _every(LINE_EVERY, lambda: _log(done(), total))
        return
    columns = (
        SpinnerColumn(),
        TextColumn("producing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("", total=total)
        yield _every(BAR_EVERY, lambda: display.update(task, completed=done()))


def _log(done: int, total: int | None) -> None:
    of = f" of {total}" if total else ""
    log.info("%d%s events delivered", done, of, extra=event("delivered", events=done))


def _every(seconds: float, show: Callable[[], None]) -> Callable[[], None]:
    """Return what calls ``show`` once in so many seconds, however often it is called."""
    due = time.monotonic() + seconds

    def call() -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + seconds
            show()

    return call
