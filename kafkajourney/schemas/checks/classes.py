"""That the generated classes are those of the newest versions."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from kafkajourney.avro.catalogue import Catalogue
from kafkajourney.schemas.checks.finding import Finding
from kafkajourney.schemas.generate import is_current, render


def outdated(catalogue: Catalogue, path: Path) -> Iterator[Finding]:
    """Find that ``path`` (``schemas/events.py``) is not what the schemas say, or that no classes can be made."""
    whom = "producers and consumers have the classes of other versions than the newest"
    try:
        exec(render(catalogue), vars(ModuleType("events")))  # noqa: S102 # what `generate` writes, from our own files
    except Exception as error:  # noqa: BLE001 # the generator, and a class that Python refuses, raise whatever they like
        problem = f"cannot be generated ({type(error).__name__}: {error})"
        yield Finding(path, "the classes", problem, whom, "Use names and types that the other schemas use.")
        return
    if not is_current(catalogue, path):
        yield Finding(path, "the file", "is not what the schemas say", whom, "Run: python -m schemas generate")
