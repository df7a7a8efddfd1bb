"""When to try again after a failure: exponential back-off with jitter. Pure."""

import random

FIRST = 0.5
LONGEST = 30.0


def delay(attempt: int, rng: random.Random) -> float:
    """Return the seconds to wait after failure number ``attempt`` (from 1), between half and all of 0.5, 1, 2, ... 30.

    Jitter keeps consumers that failed together from coming back together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, "equal jitter").
    """
    longest = min(LONGEST, FIRST * 2.0 ** min(attempt - 1, 10))
    return longest * (1 + rng.random()) / 2
