"""When to try again after a failure: exponential back-off with jitter, as pure data. Time is an argument."""

import random
from dataclasses import dataclass

FIRST = 0.5
LONGEST = 30.0


def delay(attempt: int, rng: random.Random) -> float:
    """Return the seconds to wait after failure number ``attempt`` (from 1), between half and all of 0.5, 1, 2, ... 30.

    Jitter keeps consumers that failed together from coming back together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, "equal jitter").
    """
    longest = min(LONGEST, FIRST * 2.0 ** min(attempt - 1, 10))
    return longest * (1 + rng.random()) / 2


@dataclass
class Backoff:
    """An outage as one consumer sees it."""

    rng: random.Random
    failures: int = 0
    since: float = 0.0
    """When the first failure was, on the clock of the caller (seconds)."""
    retry_at: float = 0.0

    def fail(self, now: float) -> float:
        """Count a failure; return the seconds until the next try."""
        if not self.failures:
            self.since = now
        self.failures += 1
        wait = delay(self.failures, self.rng)
        self.retry_at = now + wait
        return wait

    def over(self) -> None:
        """Begin anew: what failed has succeeded."""
        self.failures = 0
