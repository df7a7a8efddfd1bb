"""Waiting for what may take long, and polling meanwhile, so that the group keeps this member."""

import threading
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

from kafkajourney.background import in_thread
from kafkajourney.consuming.assignment import Assignment
from kafkajourney.errors import DatabaseAwayError
from kafkajourney.watching.observer import Observer

R = TypeVar("R")

POLL_SECONDS = 0.1
"""Seconds of one poll while an answer is waited for."""


class Patience:
    """Calls broker and database in a thread; an answer that comes is an answer, however late, and whatever it says.

    A connection that hangs (a firewall that drops packets, a frozen server) can hang for minutes.
    """

    def __init__(self, assignment: Assignment, observer: Observer, seconds: float, stop: threading.Event) -> None:
        self._assignment = assignment
        self._observer = observer
        self._seconds = seconds
        self._stop = stop

    def __call__(self, ask: Callable[[], R]) -> R:
        """Return what ``ask`` returns, or raise what it raises; DatabaseAwayError where ``stop`` comes before that."""
        answer = in_thread(ask)
        if not futures.wait([answer], self._seconds).done:
            self._observer.waiting(self._seconds)
            with self._assignment.held():
                while not answer.done():
                    if self._stop.is_set():
                        raise DatabaseAwayError("there was no answer yet when the end was asked for")
                    self._observer.polled()
                    self._assignment.poll_on(POLL_SECONDS)
            self._observer.answered(self._assignment.positions.going)
        return answer.result()
