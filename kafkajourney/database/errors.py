"""Database errors sorted into this project's: try again, refuse the row, or stop. Pure."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from kafkajourney.database.dialect import DIALECTS
from kafkajourney.database.dialects.mssql_errors import (
    ABSENT,
    CERTIFICATE_WORDS,
    ENCRYPTION,
    ENCRYPTION_WORDS,
    KINDS,
    numbers_of,
    odbc_text,
    sqlstate_of,
)
from kafkajourney.errors import KafkaJourneyError, RefusedError, StopError, TransientError

_TRANSIENT_STATES = tuple(state for dialect in DIALECTS.values() for state in dialect.TRANSIENT_STATES)
_TRANSIENT_WORDS = tuple(word for dialect in DIALECTS.values() for word in dialect.TRANSIENT_WORDS)
_REFUSED_WORDS = tuple(word for dialect in DIALECTS.values() for word in dialect.REFUSED_WORDS)
_WRONG_WORDS = tuple(word for dialect in DIALECTS.values() for word in dialect.WRONG_WORDS)


def sorted_error(error: Exception, safe_url: str) -> KafkaJourneyError:
    """Return which of this project's errors a database error is: try again, refuse the row, or stop."""
    # A connection that is lost while SQLAlchemy asks it for the server's properties, where it passes over errors, is
    # "closed" only at its next question.
    if isinstance(error, PoolTimeoutError | ResourceClosedError):
        return TransientError(f"the database at {safe_url} does not answer: {error}")
    if not isinstance(error, DBAPIError):
        return StopError(f"The database at {safe_url} cannot be used: {error}")
    reason, state, numbers = _reason(error.orig), sqlstate_of(error.orig), numbers_of(error.orig)
    # Connecting changes nothing, and waiting costs nothing: there only what is known to be final is.
    is_connecting = error.statement is None
    kinds = {KINDS[number] for number in numbers if number in KINDS}
    # First, because only these can hold a text of the row, which may look like any other number.
    if isinstance(error, IntegrityError | DataError) or RefusedError in kinds or _has(reason, _REFUSED_WORDS):
        return RefusedError(f"the database refuses the row: {reason}")
    if _has(reason, CERTIFICATE_WORDS):
        return StopError(f"The database at {safe_url} is not trusted: {reason}. {ENCRYPTION}")
    if StopError in kinds and TransientError not in kinds:
        return _no_login(reason, safe_url)
    if error.connection_invalidated or TransientError in kinds or state.startswith(_TRANSIENT_STATES):
        return TransientError(f"the database at {safe_url} is away or busy: {reason}{_hint(reason, numbers)}")
    if _has(reason, _TRANSIENT_WORDS):
        return TransientError(f"the database at {safe_url} is away or busy: {reason}")
    if state.startswith("28") or _has(reason, ("Login failed", "authentication failed")):
        return _no_login(reason, safe_url)
    if state == "3D000" or ("database" in reason and "does not exist" in reason):
        return StopError(f"There is no such database at {safe_url}: {reason}. Create it, or correct the URL.")
    if _has(reason, _WRONG_WORDS) or (isinstance(error, ProgrammingError) and not is_connecting):
        return StopError(f"The database at {safe_url} cannot be used: {reason}. Run: kafkajourney doctor")
    return TransientError(f"the database at {safe_url} failed: {reason}")


def _no_login(reason: str, safe_url: str) -> StopError:
    return StopError(f"The database at {safe_url} refuses the login: {reason}. Correct user and password.")


def _hint(reason: str, numbers: set[int]) -> str:
    """Return what may help with a server that is away, as a sentence more, where there is something to say."""
    if numbers & ABSENT:
        return ". Where there is no such database: python -m migrations upgrade --create-database"
    return f". {ENCRYPTION}" if _has(reason, ENCRYPTION_WORDS) else ""


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _reason(original: BaseException | None) -> str:
    """Return the driver's words in one line; of ODBC's only the second argument, which has the first in it."""
    return " ".join((odbc_text(original) or str(original)).split())
