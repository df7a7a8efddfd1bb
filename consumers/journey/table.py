"""The table ``journey_events``. Its history is in ``migrations/versions``; a test holds both together."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Unicode,
)

from kafkajourney.database.types import Guid, JsonText, TopicName, Url, UserId, UtcMillis

journey_events = Table(
    "journey_events",
    MetaData(),
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
    Column("received_at", UtcMillis),
    Column("schema_id", Integer),
    # A partition's offsets only grow, so that inserts come at the end of each partition's run.
    PrimaryKeyConstraint("topic", "partition", "offset", name="pk_journey_events", mssql_clustered=True),
    # This user's events; few enough to be sorted. More columns would cost each insert three times as much.
    Index("ix_journey_events_user", "user_id"),
    CheckConstraint("ISJSON(payload) = 1", name="ck_journey_events_payload").ddl_if(dialect="mssql"),
)
