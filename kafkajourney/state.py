"""How the commands of a folder find the embedded stack that runs there.

``kafkajourney up`` writes its addresses to ``.kafkajourney/stack.json`` and holds a lock on that file as long as
it runs. The lock, not the file, says whether the stack is alive: the system drops it however the process ends.
"""

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kafkajourney.errors import StopError

STATE_FOLDER = Path(".kafkajourney")
"""Where the stack of a folder keeps its state, below that folder."""

EMBEDDED = "embedded"
"""The kind of the stack that ``kafkajourney up`` starts; ``make stack`` publishes a real one in the same way."""

PARTITION_LIMIT_MIB = 5
"""What the embedded broker keeps of a partition; it drops the oldest beyond that."""

PATIENCE = 0.5
"""Seconds to wait for the lock."""


def running_stack(folder: Path) -> dict[str, str] | None:
    """Return the settings of the embedded stack whose state is in ``folder``, None where none runs."""
    try:
        with (folder / "stack.json").open(encoding="utf-8") as file:
            if _lock(file.fileno(), fcntl.LOCK_SH):
                return None
            settings: dict[str, str] = json.load(file)
            return settings
    except (OSError, ValueError):
        return None


@contextmanager
def claimed(folder: Path) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Be the one embedded stack with its state in ``folder`` until the block ends; yield what publishes its settings.

    Raises StopError where another one runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "stack.json").open("a+", encoding="utf-8") as file:
        if not _lock_patiently(file.fileno()):
            raise StopError(
                f"An embedded stack already runs (its state is in {folder}). Use it, or end it with Ctrl-C."
            )

        def publish(settings: Mapping[str, str]) -> None:
            file.write(json.dumps(settings, indent=2))
            file.flush()

        file.truncate(0)
        yield publish
        file.truncate(0)


def _lock_patiently(descriptor: int) -> bool:
    """Lock the file for this process alone; a command that just looks has its lock for a moment only."""
    deadline = time.monotonic() + PATIENCE
    while not (locked := _lock(descriptor, fcntl.LOCK_EX)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return locked


def _lock(descriptor: int, kind: int) -> bool:
    """Lock the file without waiting; return whether that was possible."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
