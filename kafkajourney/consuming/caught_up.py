"""Whether the whole group has stored everything that was on the topic: what ``--until-caught-up`` waits for."""

import time
from collections.abc import Callable, Mapping

from kafkajourney.consuming.positions import Positions
from kafkajourney.consuming.settling import AskBounds, gap_between
from kafkajourney.errors import StopError, TransientError
from kafkajourney.kafka.bounds import Bounds

ASK_EVERY = 0.5
"""Seconds between two questions to the database for the progress of the others."""


class CaughtUp:
    """Looks from outside whether all members together have stored everything before these end offsets.

    ``progress`` asks the database, ``ask_bounds`` the broker; neither may hang. ``on_failure`` is told of an outage.
    """

    def __init__(
        self,
        topic: str,
        ends: Mapping[int, int],
        positions: Positions,
        progress: Callable[[], Mapping[int, int]],
        ask_bounds: AskBounds,
        on_failure: Callable[[TransientError, float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._ends = ends
        self._positions = positions
        self._progress = progress
        self._ask_bounds = ask_bounds
        self._on_failure = on_failure
        self._clock = clock
        self._ask_at = 0.0

    def __call__(self) -> bool:
        """Return whether it is so; raise StopError where all is stored but what has stopped."""
        stopped = self._positions.stopped
        going = self._positions.going
        if any(p not in stopped and going.get(p, -1) < self._ends.get(p, 0) for p in self._positions.assigned):
            return False
        if self._clock() < self._ask_at:
            return False
        self._ask_at = self._clock() + ASK_EVERY
        try:
            progress = self._progress()
            if any(progress.get(p, 0) < end for p, end in self._ends.items() if p not in stopped):
                return False
            self._require_kept(progress)
        except TransientError as error:
            self._on_failure(error, ASK_EVERY)
            return False
        if stopped:
            raise StopError(" ".join(stopped.values()))
        return True

    def _require_kept(self, progress: Mapping[int, int]) -> None:
        """Raise StopError where the database is further than the topic goes: then nothing at all was read of it."""
        ahead = [p for p, end in self._ends.items() if progress.get(p, 0) > end]
        for partition, bounds in self._ask_bounds(ahead).items() if ahead else ():
            if not isinstance(bounds, Bounds):
                raise bounds
            if gap := gap_between(self._topic, partition, progress[partition], bounds):
                raise StopError(str(gap))
