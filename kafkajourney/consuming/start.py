"""The start of a consumer: what is away is waited for, as when it runs."""

import itertools
import random
import threading
from collections.abc import Callable
from typing import TypeVar

from kafkajourney.consuming.backoff import delay
from kafkajourney.errors import TransientError
from kafkajourney.watching.observer import Observer

R = TypeVar("R")


def awaited(ask: Callable[[], R], stop: threading.Event, observer: Observer) -> R | None:
    """Return what ``ask`` returns, however often it has to be asked; None where ``stop`` comes before that.

    Raises StopError where asking again does not help: wrong credentials, no topic, tables of another version.
    """
    rng = random.Random()  # noqa: S311 # jitter
    for attempt in itertools.count(1):
        observer.polled()
        try:
            return ask()
        except TransientError as error:
            wait = delay(attempt, rng)
            observer.failed(error, [], wait)
            if stop.wait(wait):
                break
    return None
