"""The library's own tables, as SQLAlchemy Core metadata: how far each group is, and its dead letters.

Their history is in ``kafkajourney/database/migrations/versions``; a test holds both together.
"""

from sqlalchemy import BigInteger, Column, Integer, MetaData, PrimaryKeyConstraint, Table, Unicode

from kafkajourney.database.types import GroupName, TopicId, TopicName, UtcMillis

metadata = MetaData()

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
    # Of the topic that the offsets are of, where the broker tells it: one that was made anew has another.
    Column("topic_id", TopicId),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("repeat_window", Integer),
    Column("repeats_from", BigInteger),
    Column("repeats", BigInteger, nullable=False, server_default="0"),
    Column("conflicts", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("consumer_group", "topic", "partition", name="pk_consumer_progress", mssql_clustered=True),
)
"""``epoch``, ``conflicts`` and the columns of repeats are for what is still to come, which then needs no revision."""
