"""Dead letters on their way out of the loop: each is sent once, and too many in a row stop it."""

from collections.abc import Callable
from typing import Any, Protocol

from kafkajourney.consuming.budget import Budget, Stage
from kafkajourney.errors import RecordError, StopError, without_values
from kafkajourney.watching.observer import Observer


class DeadLetters(Protocol):
    """Where records go that cannot be stored."""

    def send(self, message: Any, reason: RecordError) -> None: ...  # noqa: D102
    def confirm(self) -> None: ...  # noqa: D102


class Letters:
    """Sends dead letters within a budget."""

    def __init__(
        self, topic: DeadLetters, budget: Budget, patiently: Callable[[Callable[[], None]], None], observer: Observer
    ) -> None:
        self._topic = topic
        self._patiently = patiently
        self._observer = observer
        self._budget = budget

    def add(self, message: Any, reason: RecordError, stage: Stage) -> None:
        """Send a record to the dead-letter topic; raise StopError where that is one too many in a row."""
        is_new = self._budget.spend((message.partition(), message.offset()), stage)
        if self._budget.is_overdrawn:
            raise StopError(
                f"More than {self._budget.most} records in a row cannot be stored, the last one "
                f"({message.topic()} [{message.partition()}] at {message.offset()}) because "
                f"{without_values(str(reason))}. Look at the deployment: schemas, tables, the right topic."
            )
        if is_new:
            self._topic.send(message, reason)
            self._observer.dead_lettered(message, reason)

    def earn(self, stage: Stage) -> None:
        """Note a record that did not fail at this stage."""
        self._budget.earn(stage)

    def confirm(self) -> None:
        """Wait until the broker has them all; raise TransientError where it has not."""
        if self._budget.is_under_way:
            self._patiently(self._topic.confirm)
            self._budget.confirm()

    def commit(self) -> None:
        """Note that their offsets are behind us."""
        self._budget.commit()

    def roll_back(self) -> None:
        """Note that the records since the last commit will come once more."""
        self._budget.roll_back()
