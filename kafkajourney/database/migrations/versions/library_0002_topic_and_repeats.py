"""Progress knows its topic's id; places for repeats and for an epoch.

Revision ID: library_0002
Revises: library_0001
"""

import sqlalchemy as sa
from alembic import op

revision = "library_0002"
down_revision = "library_0001"
branch_labels = None
depends_on = None

TABLE = "consumer_progress"
COUNTERS = ("epoch", "repeats", "conflicts")


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("topic_id", sa.String(36), nullable=True))
    op.add_column(TABLE, sa.Column("epoch", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(TABLE, sa.Column("repeat_window", sa.Integer(), nullable=True))
    op.add_column(TABLE, sa.Column("repeats_from", sa.BigInteger(), nullable=True))
    op.add_column(TABLE, sa.Column("repeats", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(TABLE, sa.Column("conflicts", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    for name in ("conflicts", "repeats", "repeats_from", "repeat_window", "epoch", "topic_id"):
        op.drop_column(TABLE, name, mssql_drop_default=name in COUNTERS)
