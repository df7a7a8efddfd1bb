"""Ctrl-C and SIGTERM: what is in flight is finished first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
