"""Schema ids that the registry does not have: waited for a short while, then refused for a while."""

import time
from collections.abc import Callable

from kafkajourney.errors import DecodeError, RegistryAwayError

MOST_AWAITED = 5
"""Absent ids that are waited for: of so many more the records are at fault, not a node of the registry."""

REMEMBERED = 30.0
"""Seconds for which an absent id is refused without asking for it again."""


class AbsentIds:
    """Which ids are absent, and since when.

    ``grace``: for how many seconds an id is asked for again; a node of the registry may lag behind the others.
    """

    def __init__(self, grace: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._since: dict[int, float] = {}
        self._refused: dict[int, tuple[float, str]] = {}
        """Until when an id is refused without asking, and why."""

    def require_asking(self, schema_id: int) -> None:
        """Raise DecodeError where the registry was asked for this id, and need not be asked again yet."""
        until, reason = self._refused.get(schema_id, (0.0, ""))
        if self._clock() < until:
            raise DecodeError(reason)

    def missed(self, schema_id: int, reason: str) -> RegistryAwayError | DecodeError:
        """Return what to raise where the registry does not have an id: an outage for a short while, then a refusal."""
        since = self._since.setdefault(schema_id, self._clock())
        if self._clock() - since < self._grace and len(self._since) <= MOST_AWAITED:
            return RegistryAwayError(f"{reason} (yet: it is asked again for {self._grace:.0f} s)")
        self._refused[schema_id] = self._clock() + REMEMBERED, reason
        return DecodeError(reason)

    def found(self, schema_id: int) -> None:
        """Forget an id that the registry has after all."""
        self._since.pop(schema_id, None)
