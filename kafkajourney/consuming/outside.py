"""What only a look from outside shows: consumers of another database in the group, and a topic that was made anew."""

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from concurrent import futures
from typing import Generic, TypeVar

from kafkajourney.background import in_thread
from kafkajourney.errors import BrokerAwayError, KafkaJourneyError
from kafkajourney.watching.observer import Observer

STRANGERS_EVERY = 30.0
"""Seconds between two looks for strangers, which take a connection of their own."""

TOPIC_EVERY = 10.0
"""Seconds between two looks at the topic's id."""

T = TypeVar("T")


class Question(Generic[T]):
    """Asks the same again and again, beside the loop."""

    def __init__(self, ask: Callable[[], T], every: float, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._every = every
        self._clock = clock
        self._ask_at = clock() + every
        self._open: futures.Future[T] | None = None

    def answer(self) -> T | None:
        """Return an answer that has come, None where none has; ask, where it is time to. Waits for nothing."""
        answer = None
        if self._open is not None and self._open.done():
            done, self._open = self._open, None
            with contextlib.suppress(KafkaJourneyError):  # an outage: the loop tells of it
                answer = done.result()
        if self._open is None and self._clock() >= self._ask_at:
            self._ask_at = self._clock() + self._every
            self._open = in_thread(self._ask)
        return answer


def beyond(committed: Mapping[int, int], progress: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """Return the committed offset and the database's, of the partitions of which the first is the greater."""
    return {p: (offset, progress.get(p, 0)) for p, offset in committed.items() if offset > progress.get(p, 0)}


class Strangers:
    """Looks whether the group has committed offsets that the database has not: consumers of another one are in it.

    ``committed`` asks the broker, ``progress`` the database. They are asked in this order, and offsets are committed
    after the transaction: what this database's own consumers do meanwhile does not look like it.
    """

    def __init__(
        self,
        committed: Callable[[], Mapping[int, int]],
        progress: Callable[[], Mapping[int, int]],
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._committed = committed
        self._progress = progress
        self._observer = observer
        self._question = Question(self._beyond, STRANGERS_EVERY, clock)
        self._told: Collection[int] = ()

    def look(self) -> None:
        """Look, where it is time to, and tell what is new."""
        found = self._question.answer()
        if found is None:
            return
        if found.keys() - self._told:
            self._observer.strangers(found)
        self._told = found.keys()

    def _beyond(self) -> Mapping[int, tuple[int, int]]:
        committed = self._committed()  # before the database
        return beyond(committed, self._progress())


class Remade:
    """Looks whether the topic still is the one whose offsets the database has, while the loop goes on.

    ``ask_id`` asks the broker, None where it does not tell; ``known_ids`` asks the database for those of all
    partitions. An id that is told only now is handed to ``adopt``.
    """

    def __init__(
        self,
        ask_id: Callable[[], str | None],
        known_ids: Callable[[], Collection[str]],
        adopt: Callable[[str], None],
        settle_anew: Callable[[BrokerAwayError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._adopt = adopt
        self._settle_anew = settle_anew
        self._question = Question(lambda: (ask_id(), known_ids()), TOPIC_EVERY, clock)

    def look(self) -> None:
        """Look, where it is time to, and have what goes on settled anew where the topic is another one."""
        found, known = self._question.answer() or (None, ())
        if found is None:
            return
        if set(known) <= {found}:
            self._adopt(found)
        else:
            self._settle_anew(BrokerAwayError("the topic was deleted and made anew"))
