"""Every event, and the plays of each user.

Revision ID: application_0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mssql, postgresql

revision = "application_0001"
down_revision = None
branch_labels = ("application",)
depends_on = None

# Written out and not taken from the tables: a migration stays as it was when the tables move on.
UTC_MILLIS = (
    sa.DateTime()
    .with_variant(mssql.DATETIME2(3), "mssql")  # type: ignore[no-untyped-call]
    .with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
)
GUID = sa.String(36).with_variant(mssql.UNIQUEIDENTIFIER(), "mssql").with_variant(postgresql.UUID(), "postgresql")
BINARY = "Latin1_General_100_BIN2"
USER_ID = sa.Unicode(128).with_variant(sa.Unicode(128, collation=BINARY), "mssql")
TOPIC = sa.String(249).with_variant(sa.String(249, collation=BINARY), "mssql")
JSON_TEXT = sa.UnicodeText().with_variant(mssql.NVARCHAR(), "mssql")


def upgrade() -> None:
    op.create_table(
        "journey_events",
        sa.Column("topic", TOPIC, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", GUID, nullable=False),
        sa.Column("event_type", sa.Unicode(128), nullable=False),
        sa.Column("user_id", USER_ID, nullable=False),
        sa.Column("session_id", sa.Unicode(128), nullable=False),
        sa.Column("page_url", sa.Unicode(2048), nullable=False),
        sa.Column("occurred_at", UTC_MILLIS, nullable=False),
        sa.Column("stored_at", UTC_MILLIS, nullable=False),
        sa.Column("payload", JSON_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", name="pk_journey_events", mssql_clustered=True),
        sa.CheckConstraint("ISJSON(payload) = 1", name="ck_journey_events_payload").ddl_if(dialect="mssql"),
    )
    op.create_table(
        "video_plays",
        sa.Column("user_id", USER_ID, nullable=False),
        sa.Column("plays", sa.BigInteger(), nullable=False),
        sa.Column("last_played_at", UTC_MILLIS, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_video_plays", mssql_clustered=True),
    )


def downgrade() -> None:
    op.drop_table("video_plays")
    op.drop_table("journey_events")
