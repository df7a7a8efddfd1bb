"""What a check finds: one line that says where, what, for whom, and what to do instead. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TODO = "TODO"
"""What the docs begin with that `new` writes; it has to go before the merge."""


@dataclass(frozen=True)
class Finding:
    """Something that must not be merged."""

    path: Path
    subject: str
    """The field (``VideoPlayed.title``), or what else the sentence is about."""
    problem: str
    whom: str
    """Readers and writers of which versions are hit, and how."""
    advice: str

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.subject} {self.problem}: {self.whom}. {self.advice}"


def shown(path: Path) -> Path:
    """Return the path as a person in the working folder would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def versions_text(numbers: Sequence[int]) -> str:
    """Return ``version 1``, ``versions 1 and 2``, ``versions 1, 2 and 3``."""
    *first, last = map(str, numbers)
    return f"versions {', '.join(first)} and {last}" if first else f"version {last}"
