"""The tables, as SQLAlchemy Core metadata. Their history is in ``migrations/versions``; a test holds both together."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Unicode,
    UnicodeText,
)
from sqlalchemy.dialects import mssql, postgresql

metadata = MetaData()

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
UserId = Unicode(128).with_variant(Unicode(128, collation=BINARY), "mssql")
TopicName = String(249).with_variant(String(249, collation=BINARY), "mssql")  # Kafka's limit; ASCII only
GroupName = String(255).with_variant(String(255, collation=BINARY), "mssql")
Url = Unicode(2048)
JsonText = UnicodeText().with_variant(mssql.NVARCHAR(), "mssql")

journey_events = Table(
    "journey_events",
    metadata,
    Column("topic", TopicName),
    Column("partition", Integer, autoincrement=False),
    Column("offset", BigInteger, autoincrement=False),
    Column("event_id", Guid, nullable=False),
    Column("event_type", Unicode(128), nullable=False),
    Column("user_id", UserId, nullable=False),
    Column("session_id", Unicode(128), nullable=False),
    Column("page_url", Url, nullable=False),
    Column("occurred_at", UtcMillis, nullable=False),
    Column("stored_at", UtcMillis, nullable=False),
    Column("payload", JsonText, nullable=False),
    # A partition's offsets only grow, so that inserts come at the end of each partition's run.
    PrimaryKeyConstraint("topic", "partition", "offset", name="pk_journey_events", mssql_clustered=True),
    CheckConstraint("ISJSON(payload) = 1", name="ck_journey_events_payload").ddl_if(dialect="mssql"),
)

video_plays = Table(
    "video_plays",
    metadata,
    Column("user_id", UserId),
    Column("plays", BigInteger, nullable=False),
    Column("last_played_at", UtcMillis, nullable=False),
    PrimaryKeyConstraint("user_id", name="pk_video_plays", mssql_clustered=True),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("consumer_group", GroupName),
    Column("topic", TopicName),
    Column("partition", Integer, autoincrement=False),
    Column("offset", BigInteger, autoincrement=False),
    Column("reason", Unicode(1024), nullable=False),
    Column("set_aside_at", UtcMillis, nullable=False),
    Column("replayed_at", UtcMillis),
    PrimaryKeyConstraint(
        "consumer_group", "topic", "partition", "offset", name="pk_dead_letters", mssql_clustered=True
    ),
)

consumer_progress = Table(
    "consumer_progress",
    metadata,
    Column("consumer_group", GroupName),
    Column("topic", TopicName),
    Column("partition", Integer, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("updated_at", UtcMillis, nullable=False),
    PrimaryKeyConstraint("consumer_group", "topic", "partition", name="pk_consumer_progress", mssql_clustered=True),
)
