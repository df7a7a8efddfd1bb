"""Where each partition of this consumer stands, and what each kind of event does to it. Pure: time is an argument.

A partition is *unsettled* (nothing of it is processed until the database has told its offset), *going on* at an offset,
*backing off* after an outage, or *stopped* by a fault that only a person can mend. Each for itself.
"""

import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from kafkajourney.consuming.backoff import delay
from kafkajourney.events import Move

LOOK_AGAIN = 60.0
"""Seconds between two looks whether a partition that stopped can go on."""


@dataclass
class Partition:
    """Where one partition stands."""

    offset: int | None = None
    """The next offset by the database, while the partition goes on; else None."""
    settle_at: float = 0.0
    """When to settle it next, while it does not go on."""
    failures: int = 0
    """Failures since its last commit."""
    failing_since: float = 0.0
    """When the first of them was."""
    fault: str | None = None
    """Why it has stopped, None where it has not."""
    last_fault: str | None = None
    """Why it stopped last, since its last commit."""


class Positions:
    """The partitions that the group has given to this consumer, by number. Times are seconds of the caller's clock."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._partitions: dict[int, Partition] = {}
        self.assignment = 0
        """The number of the present assignment."""

    # --- what there is ---

    @property
    def assigned(self) -> Collection[int]:
        """Return all partitions, in the order in which they came."""
        return self._partitions.keys()

    @property
    def going(self) -> dict[int, int]:
        """Return the next offset of each partition that goes on."""
        return {p: state.offset for p, state in self._partitions.items() if state.offset is not None}

    @property
    def stopped(self) -> dict[int, str]:
        """Return why each partition has stopped that has."""
        return {p: state.fault for p, state in self._partitions.items() if state.fault is not None}

    @property
    def have_all_stopped(self) -> bool:
        """Whether there are partitions, and none of them can go on."""
        return bool(self._partitions) and len(self.stopped) == len(self._partitions)

    def offset(self, partition: int) -> int | None:
        """Return the next offset of a partition; None where it does not go on, or is not this consumer's."""
        state = self._partitions.get(partition)
        return None if state is None else state.offset

    def due(self, now: float) -> set[int]:
        """Return the partitions that are to be settled."""
        return {p for p, state in self._partitions.items() if state.offset is None and now >= state.settle_at}

    # --- what happens ---

    def assign(self, partitions: Iterable[int]) -> None:
        """Add partitions: they are to be settled at once, whatever was known of them before."""
        self.assignment += 1
        self._partitions |= {partition: Partition() for partition in partitions}

    def revoke(self, partitions: Iterable[int]) -> None:
        """Forget partitions."""
        self.assignment += 1
        for partition in partitions:
            self._partitions.pop(partition, None)

    def settle(self, partition: int, offset: int) -> None:
        """Let a partition go on at this offset."""
        if state := self._partitions.get(partition):
            state.offset, state.fault = offset, None

    def advance(self, moves: Mapping[int, Move], now: float) -> dict[int, float]:
        """Move partitions after a commit; return for those that had failed for how many seconds they did.

        Only a commit shows that broker, registry, database and dead letters all work again. A partition that is not
        where the move begins has come and gone meanwhile, and stays as it is.
        """
        recovered = {}
        for partition, move in moves.items():
            state = self._partitions.get(partition)
            if state is not None and state.offset == move.expected:
                state.offset, state.last_fault = move.next_offset, None
                if state.failures:
                    recovered[partition] = now - state.failing_since
                    state.failures = 0
        return recovered

    def fail(self, partitions: Iterable[int], now: float) -> float:
        """Unsettle partitions after an outage; return the seconds until they are settled again, all together."""
        failed = [self._partitions[p] for p in partitions if p in self._partitions]
        for state in failed:
            state.failing_since = state.failing_since if state.failures else now
            state.failures += 1
        wait = delay(max((state.failures for state in failed), default=1), self._rng)
        for state in failed:
            state.offset, state.settle_at = None, now + wait
        return wait

    def stop(self, partition: int, fault: str, now: float) -> bool:
        """Stop a partition for this reason; return whether it is news."""
        state = self._partitions.get(partition)
        if state is None:
            return False
        is_news = state.last_fault != fault
        state.offset, state.fault, state.last_fault, state.settle_at = None, fault, fault, now + LOOK_AGAIN
        return is_news
