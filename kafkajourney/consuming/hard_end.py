"""Ending a process in which nothing runs any more."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


class HardEnd:
    """Ends the process, with exit code 1, where a call has not returned in time.

    librdkafka can hang for minutes while the interpreter's lock is held (librdkafka#4041, #4884): no thread runs then,
    no signal is seen. ``faulthandler`` waits in a thread of its own that needs no lock, writes to standard error where
    each thread hangs, and ends the process. Nothing is lost: the offsets are in the database.
    """

    def __init__(self) -> None:
        self._is_armed = False

    def arm(self, seconds: float) -> None:
        """End the process after so many seconds, unless it is disarmed before."""
        faulthandler.dump_traceback_later(seconds, exit=True)
        self._is_armed = True

    def disarm(self) -> None:
        """Let the process live."""
        faulthandler.cancel_dump_traceback_later()
        self._is_armed = False

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """End the process where the block takes longer; within one that is armed already nothing changes."""
        if self._is_armed:
            yield
            return
        self.arm(seconds)
        try:
            yield
        finally:
            self.disarm()
