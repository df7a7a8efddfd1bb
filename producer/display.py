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

LINE_EVERY = 10.0
"""Seconds between two plain lines."""

log = logging.getLogger("kafkajourney.producer")


@contextmanager
def progress(total: int | None, *, bar: bool) -> Iterator[Callable[[int], None]]:
    """Yield what is called with the number of events done so far; ``total`` is None where nobody knows it.

    ``bar`` is whether there may be one: not among other output.
    """
    if not bar or not sys.stderr.isatty():
        yield _Lines(total)
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
        yield lambda done: display.update(task, completed=done)


class _Lines:
    def __init__(self, total: int | None) -> None:
        self._of = f" of {total}" if total else ""
        self._next = time.monotonic() + LINE_EVERY

    def __call__(self, done: int) -> None:
        if time.monotonic() >= self._next:
            self._next += LINE_EVERY
            log.info("%d%s events delivered", done, self._of)
