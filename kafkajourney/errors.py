"""All errors of this project, in a tree split by what the caller should do.

::

    KafkaJourneyError        one clear sentence for the user; the command ends with ``exit_code``
    ├── SettingsError        wrong usage or settings: the user corrects them (exit code 2)
    ├── StopError            the deployment is wrong: stop, retrying would not help
    ├── PartitionError       one partition is at fault: it stops, the others go on
    ├── TransientError       an outage: drop what is in flight, back off, begin again at the stored offset
    │   ├── DatabaseAwayError, RegistryAwayError, BrokerAwayError
    │   │                    which part it is; what the caller does is the same
    │   └── FencedError      another consumer advanced the progress: nothing was written
    └── RecordError          one record is at fault: set it aside as a dead letter, go on with the others
        ├── DecodeError      its bytes cannot be decoded into an event
        └── RefusedError     the database refuses its row
"""

import re


class KafkaJourneyError(Exception):
    """The root: ``str(error)`` is a sentence that says what is wrong, where, and what to do."""

    exit_code = 1


class SettingsError(KafkaJourneyError):
    """A setting or an argument is missing, malformed or would break the delivery promise."""

    exit_code = 2


class StopError(KafkaJourneyError):
    """Something that retrying does not mend: a missing topic, an old database, a gap in the topic."""


class ClientLostError(StopError):
    """A Kafka client never works again, through no fault of the deployment: another one may."""


class PartitionError(KafkaJourneyError):
    """One partition cannot be read on until somebody mends it: what it holds is corrupt, or no longer there."""


class TransientError(KafkaJourneyError):
    """A broker, registry or database is away or busy; the same call may succeed later."""

    cause = "other"
    """What is away, in a word: the metrics count retries by it."""


class DatabaseAwayError(TransientError):
    """The database is away, busy, or takes too long."""

    cause = "database"


class RegistryAwayError(TransientError):
    """The schema registry is away or busy."""

    cause = "registry"


class BrokerAwayError(TransientError):
    """The broker is away, or does not take what it is given."""

    cause = "broker"


class FencedError(TransientError):
    """The progress in the database is not what this consumer believes in: it may own the partition no more."""

    cause = "fenced"

    def __init__(self, sentence: str, partition: int | None = None) -> None:
        super().__init__(sentence)
        self.partition = partition
        """Which partition was moved, where that is known."""


class RecordError(KafkaJourneyError):
    """One record cannot be stored as it is; the reason goes into its dead letter's headers."""


class DecodeError(RecordError):
    """The bytes are not a known event in the Confluent wire format."""


class RefusedError(RecordError):
    """The database refuses the row: too long, a constraint, a value out of range."""


def without_values(reason: str) -> str:
    """Return why a record is refused without what stands in it: events tell of people, and logs are kept and copied.

    Decoder, parser and database cite values in quotes or behind words of their own.
    """
    return _cut(r"[\"'`]|\bgot\b", without_row(reason))


def without_row(reason: str) -> str:
    """Return a database's reason without what it cites of the row."""
    return _cut(r"\bDETAIL:|\bCONTEXT:|\bThe duplicate key value\b|\bTruncated value\b", reason)


def _cut(beginning: str, text: str) -> str:
    kept = re.split(beginning, text, maxsplit=1)[0]
    return text if kept == text else kept.rstrip(" ,;:") + " …"
