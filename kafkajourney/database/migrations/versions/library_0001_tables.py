"""How far each group is, and its dead letters.

Revision ID: library_0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mssql, postgresql

revision = "library_0001"
down_revision = None
branch_labels = ("library",)
depends_on = None

# Written out and not taken from the tables: a migration stays as it was when the tables move on.
UTC_MILLIS = (
    sa.DateTime()
    .with_variant(mssql.DATETIME2(3), "mssql")  # type: ignore[no-untyped-call]
    .with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
)
BINARY = "Latin1_General_100_BIN2"
TOPIC = sa.String(249).with_variant(sa.String(249, collation=BINARY), "mssql")
GROUP = sa.String(255).with_variant(sa.String(255, collation=BINARY), "mssql")


def upgrade() -> None:
    op.create_table(
        "consumer_progress",
        sa.Column("consumer_group", GROUP, nullable=False),
        sa.Column("topic", TOPIC, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", UTC_MILLIS, nullable=False),
        sa.PrimaryKeyConstraint(
            "consumer_group", "topic", "partition", name="pk_consumer_progress", mssql_clustered=True
        ),
    )
    op.create_table(
        "dead_letters",
        sa.Column("consumer_group", GROUP, nullable=False),
        sa.Column("topic", TOPIC, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Unicode(1024), nullable=False),
        sa.Column("set_aside_at", UTC_MILLIS, nullable=False),
        sa.Column("replayed_at", UTC_MILLIS, nullable=True),
        sa.PrimaryKeyConstraint(
            "consumer_group", "topic", "partition", "offset", name="pk_dead_letters", mssql_clustered=True
        ),
    )


def downgrade() -> None:
    op.drop_table("dead_letters")
    op.drop_table("consumer_progress")
