"""Types of columns, each as the three databases have it."""

from typing import Any

from sqlalchemy import Column, DateTime, String, Unicode, UnicodeText
from sqlalchemy.dialects import mssql, postgresql

# DATETIME2(3) in UTC; a naive datetime of UTC on the Python side, everywhere.
UtcMillis = (
    DateTime()
    .with_variant(mssql.DATETIME2(3), "mssql")  # type: ignore[no-untyped-call]
    .with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
)
Guid = (
    String(36)
    .with_variant(mssql.UNIQUEIDENTIFIER(as_uuid=False), "mssql")
    .with_variant(postgresql.UUID(as_uuid=False), "postgresql")
)
BINARY = "Latin1_General_100_BIN2"
"""SQL Server compares text by its collation, by default without regard to case: two users must not become one."""


def exact_text(length: int) -> Unicode:
    """Return the type of a text of at most so many characters, told from others by each of them, also in a key."""
    return Unicode(length).with_variant(Unicode(length, collation=BINARY), "mssql")


UserId = exact_text(128)
TopicName = String(249).with_variant(String(249, collation=BINARY), "mssql")  # Kafka's limit; ASCII only
GroupName = String(255).with_variant(String(255, collation=BINARY), "mssql")
Url = Unicode(2048)
JsonText = UnicodeText().with_variant(mssql.NVARCHAR(), "mssql").with_variant(postgresql.JSONB(), "postgresql")
"""Written as text; PostgreSQL gives back the value, the others the text."""
TopicId = String(36)  # as Kafka prints it


def is_json(column: Column[Any]) -> bool:
    """Whether a column holds JSON text: the only texts without a length."""
    return isinstance(column.type, String) and not column.type.length
