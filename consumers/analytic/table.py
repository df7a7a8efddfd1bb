"""The table ``video_plays``. Its history is in ``migrations/versions``; a test holds both together."""

from sqlalchemy import BigInteger, Column, MetaData, PrimaryKeyConstraint, Table

from kafkajourney.database.types import TopicName, UserId, UtcMillis

video_plays = Table(
    "video_plays",
    MetaData(),
    Column("topic", TopicName),
    Column("user_id", UserId),
    Column("plays", BigInteger, nullable=False),
    Column("last_played_at", UtcMillis, nullable=False),
    PrimaryKeyConstraint("topic", "user_id", name="pk_video_plays", mssql_clustered=True),
)
