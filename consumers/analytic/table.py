"""The table ``video_plays``. Its history is in ``migrations/versions``; a test holds both together."""

from sqlalchemy import BigInteger, Column, MetaData, PrimaryKeyConstraint, Table

from kafkajourney.database.types import UserId, UtcMillis

video_plays = Table(
    "video_plays",
    MetaData(),
    Column("user_id", UserId),
    Column("plays", BigInteger, nullable=False),
    Column("last_played_at", UtcMillis, nullable=False),
    PrimaryKeyConstraint("user_id", name="pk_video_plays", mssql_clustered=True),
)
