"""What a JVM has loaded, kept in the cache: the next one starts with it in half the time.

A dynamic archive of classes (https://openjdk.org/jeps/350); a JVM that it does not fit does without.
"""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.stack.download import cached, java

Run = Callable[[str], None]
"""Runs a server with this option of the JVM, and ends it in order."""


def archive(name: str, run: Run) -> str:
    """Return the JVM's option to start from the archive of this name, which one run makes where the cache has none."""
    build = subprocess.run([java(), "-version"], capture_output=True, check=True).stderr
    found = cached(f"{name}-classes-{hashlib.sha256(build).hexdigest()[:12]}", lambda folder: run(_made_in(folder)))
    return f"-XX:SharedArchiveFile={found / 'classes.jsa'}"


def _made_in(folder: Path) -> str:
    return f"-XX:ArchiveClassesAtExit={folder / 'classes.jsa'}"
