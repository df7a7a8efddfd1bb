"""A consumer without a partition: whether the group has none left for it, or nobody has any."""

import time
from collections.abc import Callable

from kafkajourney.consuming.positions import Positions
from kafkajourney.errors import BrokerAwayError, TransientError
from kafkajourney.watching.observer import Observer

LOOK_EVERY = 60.0
"""Seconds between two looks of an idle consumer whether the topic is still there."""


class Idle:
    """Looks from outside whether there is no partition to work on, and tells so once.

    ``require_topic`` raises StopError where the topic is gone, BrokerAwayError where no broker answers. ``owned`` tells
    how many partitions the group's members have, None where the broker cannot tell.
    """

    def __init__(
        self,
        positions: Positions,
        require_topic: Callable[[], None],
        owned: Callable[[], int | None],
        observer: Observer,
        after: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._positions = positions
        self._require_topic = require_topic
        self._owned = owned
        self._observer = observer
        self._after = after
        self._clock = clock
        self._look_at: float | None = None
        """When to look next, while there is no partition."""
        self._is_told = False

    def look(self) -> None:
        """Look, where it is time to; raise StopError where the topic is gone."""
        now = self._clock()
        if self._positions.assigned:
            self._look_at, self._is_told = None, False
        elif self._look_at is None:
            self._look_at = now + self._after
        elif now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._look()

    def _look(self) -> None:
        try:
            self._require_topic()
            if self._owned() == 0:
                raise BrokerAwayError(
                    "the group gives this consumer no partition, and no other member has one: see whether all members "
                    "have the same group.protocol and partition.assignment.strategy"
                )
        except TransientError as error:
            self._is_told = False
            self._observer.failed(error, [], LOOK_EVERY)
            return
        if not self._is_told:
            self._is_told = True
            self._observer.idle()
