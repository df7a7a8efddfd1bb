"""What is added up by key, in bounded memory: beyond so many keys it is in a temporary file."""

import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

HELD = 50_000
"""Keys in memory; a key and its value are some 200 to 400 bytes."""

Key = tuple[Any, ...]
Value = tuple[Any, ...]
T = TypeVar("T")


class Spill:
    """A value for each key; ``merge`` makes one of two of the same key."""

    def __init__(self, merge: Callable[[Value, Value], Value], held: int = HELD) -> None:
        self._merge = merge
        self._limit = held
        self._held: dict[Key, Value] = {}
        self._file: sqlite3.Connection | None = None

    def add(self, key: Key, value: Value) -> None:
        """Add a value to that of its key."""
        before = self._held.get(key)
        self._held[key] = value if before is None else self._merge(before, value)
        if len(self._held) > self._limit:
            self._write()

    def __len__(self) -> int:
        """Return the number of keys."""
        if self._file is None:
            return len(self._held)
        self._write()
        return int(self._file.execute("SELECT COUNT(*) FROM spilled").fetchone()[0])

    def take(self, keys: Iterable[Key]) -> dict[Key, Value]:
        """Return the values of those of these keys that are there; they are there no more."""
        if self._file is None:
            return {key: self._held.pop(key) for key in keys if key in self._held}
        self._write()
        found = self._read(keys)
        self._file.executemany("DELETE FROM spilled WHERE name = ?", [(repr(key),) for key in found])
        return found

    def items(self) -> Iterator[tuple[Key, Value]]:
        """Yield all keys with their values."""
        if self._file is None:
            yield from sorted(self._held.items())
            return
        self._write()
        for (item,) in self._file.execute("SELECT item FROM spilled ORDER BY name"):
            yield _item(item)

    def _read(self, keys: Iterable[Key]) -> dict[Key, Value]:
        found: dict[Key, Value] = {}
        if self._file is not None:
            for some in chunks(keys, 500):  # fewer than the parameters that a statement takes
                marks = ", ".join("?" * len(some))
                query = f"SELECT item FROM spilled WHERE name IN ({marks})"  # noqa: S608 # marks only
                found |= (_item(item) for (item,) in self._file.execute(query, list(map(repr, some))))
        return found

    def _write(self) -> None:
        """Move what is in memory to the file."""
        if self._file is None:
            self._file = sqlite3.connect("")  # a temporary file, which goes with the connection
            self._file.execute("CREATE TABLE spilled (name TEXT PRIMARY KEY, item BLOB NOT NULL) WITHOUT ROWID")
        before = self._read(self._held)
        merged = ((k, self._merge(before[k], value) if k in before else value) for k, value in self._held.items())
        rows = ((repr(item[0]), pickle.dumps(item)) for item in merged)
        self._file.executemany("INSERT OR REPLACE INTO spilled VALUES (?, ?)", rows)
        self._file.commit()
        self._held.clear()


def _item(written: bytes) -> tuple[Key, Value]:
    made: tuple[Key, Value] = pickle.loads(written)  # noqa: S301 # this process wrote it
    return made


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of this size, the last of what is left."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
