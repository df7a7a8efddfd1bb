"""A partition of which nothing comes: whether there is nothing, or the broker that leads it does not answer."""

import time
from collections.abc import Callable

from kafkajourney.consuming.positions import Positions
from kafkajourney.consuming.settling import AskBounds, BesideTheLoop
from kafkajourney.errors import KafkaJourneyError


class Silence:
    """Looks from outside whether the broker still has the partitions that are silent.

    librdkafka says nothing of a broker that is frozen, or of a partition without a leader: it waits. ``set_back`` is
    told which partition stands still, and why.
    """

    def __init__(
        self,
        positions: Positions,
        ask_bounds: AskBounds,
        set_back: Callable[[int, KafkaJourneyError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._positions = positions
        self._bounds = BesideTheLoop(ask_bounds)
        self._set_back = set_back
        self._clock = clock

    def look(self) -> None:
        """Ask for what is silent, and hear what was answered; never wait."""
        silent = self._positions.silent(self._clock())
        self._bounds.ask(silent)
        for partition, answer in self._bounds.answers(0.0).items():
            self._positions.hear(partition, self._clock())
            if partition in silent and isinstance(answer, KafkaJourneyError):
                self._set_back(partition, answer)
