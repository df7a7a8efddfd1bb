"""What a schema registry keeps, and how it refuses: schemas, their versions, error codes."""

import json
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from kafkajourney.avro.compatibility import Level

DEFAULT_LEVEL = Level.BACKWARD


class Refusal(Enum):
    """Why a request is refused: Confluent's error code, and the sentence that goes with it."""

    # The code is 40901 from Confluent Platform 8.0.4, 8.1.2 and 8.2.0 on; the HTTP status is 409 in all.
    INCOMPATIBLE = 409, 'Schema being registered is incompatible with an earlier schema for subject "{}": {}'
    NO_SUBJECT = 40401, "Subject '{}' not found."
    NO_VERSION = 40402, "Version {} not found."
    NO_SCHEMA = 40403, "Schema {}not found"
    SUBJECT_DELETED = 40404, "Subject '{}' was soft deleted. Set permanent=true to delete permanently"
    SUBJECT_LIVE = 40405, "Subject '{}' was not deleted first before being permanently deleted"
    VERSION_DELETED = 40406, "Subject '{}' Version {} was soft deleted. Set permanent=true to delete permanently"
    VERSION_LIVE = 40407, "Subject '{}' Version {} was not deleted first before being permanently deleted"
    NO_LEVEL = 40408, "Subject '{}' does not have subject-level compatibility configured"
    INVALID_SCHEMA = 42201, "{}"
    INVALID_VERSION = 42202, "The version '{}' is neither a number from 1 to 2^31-1 nor \"latest\""
    INVALID_LEVEL = 42203, "Invalid compatibility level '{}'. Valid are " + ", ".join(Level)
    REFERENCED = 42206, "One or more references exist to subject '{}' version {}."


class RegistryError(Exception):
    """A request that the registry refuses: ``str(error)`` says why."""

    def __init__(self, refusal: Refusal, *details: object) -> None:
        self.code, sentence = refusal.value
        self.status = int(str(self.code)[:3])
        super().__init__(sentence.format(*details))


@dataclass(frozen=True)
class Reference:
    """A named type that a schema takes from another subject's version."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True)
class Definition:
    """A schema as it is sent: JSON text, and where its foreign types come from."""

    text: str
    references: tuple[Reference, ...] = ()

    @cached_property
    def identity(self) -> tuple[str, tuple[Reference, ...]]:
        """Return what makes two definitions one schema with one id: equal JSON and equal references."""
        return json.dumps(json.loads(self.text), sort_keys=True), self.references


@dataclass(frozen=True)
class Registered:
    """One version of one subject."""

    subject: str
    version: int
    id: int
    definition: Definition
    deleted: bool = False
