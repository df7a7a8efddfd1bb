"""What a schema registry keeps and decides, in memory and without HTTP.

The codes, the sentences and what deleting means follow the sources of Confluent's registry (KafkaSchemaRegistry
and its resources), release 8.1. Left out: contexts, modes, aliases, metadata, rule sets, all types but Avro.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from threading import Lock

from avro.schema import Schema

from kafkajourney.avro.compatibility import Level, check
from kafkajourney.avro.parsing import SchemaInvalidError, parse
from kafkajourney.embedded.registry_model import DEFAULT_LEVEL, Definition, Refusal, Registered, RegistryError


class RegistryStore:
    """Subjects with their versions and compatibility levels.

    Every method may be called from any thread, and raises RegistryError for what it refuses. A ``version`` is
    text: a number from 1 on, or ``latest``. ``deleted`` says whether softly deleted versions are seen.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: dict[tuple[str, int], Registered] = {}  # by subject and version, as they came
        self._levels: dict[str | None, Level] = {None: DEFAULT_LEVEL}  # None: the global one
        self._new_ids = count(1)

    def register(self, subject: str, definition: Definition) -> Registered:
        """Add a version and return it; if the subject has this schema already, return that version."""
        with self._lock:
            schema = self._parse(definition)
            same = [e for e in self._entries.values() if e.definition.identity == definition.identity]
            here = [entry for entry in same if entry.subject == subject]
            for entry in here:
                if not entry.deleted:
                    return entry
            if why := self._findings(subject, schema, self._seen(subject, deleted=False)):
                level = self._level(subject)
                raise RegistryError(Refusal.INCOMPATIBLE, subject, f"{'; '.join(why)} (compatibility: {level})")
            version = max((entry.version for entry in self._seen(subject, deleted=True)), default=0) + 1
            for entry in here:
                self._forget_unreferenced(entry)
            schema_id = same[0].id if same else next(self._new_ids)
            return self._put(Registered(subject, version, schema_id, definition))

    def lookup(self, subject: str, definition: Definition, *, deleted: bool) -> Registered:
        """Return the version under which the subject has this schema."""
        with self._lock:
            self._parse(definition)
            for entry in self._existing(subject, deleted=deleted):
                if entry.definition.identity == definition.identity:
                    return entry
            raise RegistryError(Refusal.NO_SCHEMA, "")

    def subjects(self, *, deleted: bool) -> list[str]:
        """Return the names of all subjects, in alphabetical order."""
        with self._lock:
            return sorted({entry.subject for entry in self._entries.values() if deleted or not entry.deleted})

    def versions(self, subject: str, *, deleted: bool) -> list[int]:
        """Return the version numbers of a subject, in order."""
        with self._lock:
            return [entry.version for entry in self._existing(subject, deleted=deleted)]

    def version(self, subject: str, version: str, *, deleted: bool) -> Registered:
        """Return one version of a subject."""
        with self._lock:
            return self._version(subject, version, deleted=deleted)

    def referenced_by(self, subject: str, version: str, *, deleted: bool) -> list[int]:
        """Return the ids of the schemas that take a type from this version, in order."""
        with self._lock:
            entry = self._version(subject, version, deleted=True)
            return sorted({referrer.id for referrer in self._referrers(entry, deleted=deleted)})

    def with_id(self, schema_id: int) -> list[Registered]:
        """Return all versions, softly deleted ones too, that have this schema id; there is at least one."""
        with self._lock:
            found = [entry for entry in self._entries.values() if entry.id == schema_id]
        if not found:
            raise RegistryError(Refusal.NO_SCHEMA, f"{schema_id} ")
        return found

    def findings(self, subject: str, definition: Definition, version: str | None) -> list[str]:
        """Return why the schema is not compatible: with this version, or with all that the level asks for."""
        with self._lock:
            against = self._seen(subject, deleted=False)
            if version is not None and (number := _number(version)) is None:
                against = against[-1:]
            elif version is not None:
                against = [entry for entry in against if entry.version == number]
                if not against:
                    raise RegistryError(Refusal.NO_VERSION, version)
            return self._findings(subject, self._parse(definition), against)

    def level(self, subject: str | None, *, default_to_global: bool) -> Level:
        """Return the compatibility level of a subject, or the global one."""
        with self._lock:
            if subject not in self._levels and not default_to_global:
                raise RegistryError(Refusal.NO_LEVEL, subject)
            return self._level(subject)

    def set_level(self, subject: str | None, name: str) -> Level:
        """Set the compatibility level of a subject, or the global one."""
        if name.upper() not in Level.__members__:
            raise RegistryError(Refusal.INVALID_LEVEL, name)
        with self._lock:
            self._levels[subject] = Level[name.upper()]
            return self._levels[subject]

    def delete_level(self, subject: str | None) -> Level:
        """Go back to the global level, or for the global one to the default; return what it was."""
        with self._lock:
            if subject not in self._levels:
                raise RegistryError(Refusal.NO_SUBJECT, subject)
            level = self._levels.pop(subject)
            self._levels.setdefault(None, DEFAULT_LEVEL)
            return level

    def delete_subject(self, subject: str, *, permanent: bool) -> list[int]:
        """Delete all versions of a subject, for good only after softly; return their numbers."""
        with self._lock:
            entries = self._existing(subject, deleted=True)
            live = [entry for entry in entries if not entry.deleted]
            if permanent == bool(live):
                raise RegistryError(Refusal.SUBJECT_LIVE if permanent else Refusal.SUBJECT_DELETED, subject)
            doomed = entries if permanent else live
            for entry in doomed:
                if any(other.subject != subject for other in self._referrers(entry, deleted=permanent)):
                    raise RegistryError(Refusal.REFERENCED, subject, entry.version)
            for entry in doomed:
                self._delete(entry)
            return [entry.version for entry in doomed]

    def delete_version(self, subject: str, version: str, *, permanent: bool) -> int:
        """Delete one version, for good only after softly; return its number."""
        with self._lock:
            entry = self._version(subject, version, deleted=True)
            if permanent != entry.deleted:
                refusal = Refusal.VERSION_LIVE if permanent else Refusal.VERSION_DELETED
                raise RegistryError(refusal, subject, entry.version)
            if self._referrers(entry, deleted=permanent):
                raise RegistryError(Refusal.REFERENCED, subject, entry.version)
            self._delete(entry)
            return entry.version

    # Below, the caller holds the lock.

    def _seen(self, subject: str, *, deleted: bool) -> list[Registered]:
        entries = (entry for entry in self._entries.values() if entry.subject == subject)
        return [entry for entry in entries if deleted or not entry.deleted]

    def _existing(self, subject: str, *, deleted: bool) -> list[Registered]:
        entries = self._seen(subject, deleted=deleted)
        if not entries:
            raise RegistryError(Refusal.NO_SUBJECT, subject)
        return entries

    def _version(self, subject: str, version: str, *, deleted: bool) -> Registered:
        number = _number(version)
        entries = self._existing(subject, deleted=deleted)
        if number is None:
            return max(entries, key=lambda entry: (not entry.deleted, entry.version))
        for entry in entries:
            if entry.version == number:
                return entry
        raise RegistryError(Refusal.NO_VERSION, number)

    def _referrers(self, entry: Registered, *, deleted: bool) -> list[Registered]:
        key = (entry.subject, entry.version)
        others = (other for other in self._entries.values() if deleted or not other.deleted)
        return [o for o in others if key in ((r.subject, r.version) for r in o.definition.references)]

    def _put(self, entry: Registered) -> Registered:
        self._entries[entry.subject, entry.version] = entry
        return entry

    def _delete(self, entry: Registered) -> None:
        """Delete softly what is live, for good what is softly deleted; with the last version goes the level."""
        if not entry.deleted:
            self._put(replace(entry, deleted=True))
            return
        del self._entries[entry.subject, entry.version]
        if not self._seen(entry.subject, deleted=True):
            self._levels.pop(entry.subject, None)

    def _forget_unreferenced(self, entry: Registered) -> None:
        if not self._referrers(entry, deleted=True):
            del self._entries[entry.subject, entry.version]

    def _level(self, subject: str | None) -> Level:
        return self._levels.get(subject, self._levels[None])

    def _findings(self, subject: str, schema: Schema, earlier: Sequence[Registered]) -> list[str]:
        by_name = {f"version {entry.version}": self._parse(entry.definition) for entry in earlier}
        return check(schema, by_name, self._level(subject))

    def _parse(self, definition: Definition) -> Schema:
        try:
            return parse(definition.text, list(self._referenced(definition).values()))
        except SchemaInvalidError as error:
            raise RegistryError(Refusal.INVALID_SCHEMA, error) from None

    def _referenced(self, definition: Definition) -> dict[tuple[str, int], str]:
        """Return the text of every version that this one takes types from, after those that it needs itself."""
        texts: dict[tuple[str, int], str] = {}
        for reference in definition.references:
            entry = self._entries.get((reference.subject, reference.version))
            if entry is None:
                what = f"No schema reference found for subject '{reference.subject}', version {reference.version}"
                raise RegistryError(Refusal.INVALID_SCHEMA, what)
            texts |= self._referenced(entry.definition)
            texts[entry.subject, entry.version] = entry.definition.text
        return texts


def _number(version: str) -> int | None:
    """Return the version's number; None for the latest."""
    if version.lower() in ("latest", "-1"):
        return None
    if version.isdecimal() and 0 < int(version) < 2**31:
        return int(version)
    raise RegistryError(Refusal.INVALID_VERSION, version)
