"""Python dataclasses from the newest version of every event type (``schemas/events.py``)."""

import re
from pathlib import Path

from dataclasses_avroschema import ModelGenerator, ModelType

from kafkajourney.avro.catalogue import Catalogue

HEADER = '''"""The event types, generated from the newest schemas by `python -m schemas generate`. Do not edit."""

'''


def render(catalogue: Catalogue) -> str:
    """Return the text of ``schemas/events.py`` for these schemas.

    ``EVENT_TYPES`` at its end maps every subject (the record's full name) to its class.
    """
    definitions = [event_type.newest.definition for event_type in catalogue.values()]
    classes = ModelGenerator().render_module(schemas=definitions, model_type=ModelType.DATACLASS.value)
    table = "".join(f'    "{event_type.subject}": {event_type.name},\n' for event_type in catalogue.values())
    text = f"{HEADER}{classes}\n\nEVENT_TYPES: dict[str, type[AvroModel]] = {{\n{table}}}\n"
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def is_current(catalogue: Catalogue, path: Path) -> bool:
    """Whether the file is what would be generated now."""
    return path.exists() and path.read_text(encoding="utf-8") == render(catalogue)
