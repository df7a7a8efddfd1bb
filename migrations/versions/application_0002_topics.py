"""Plays are counted by topic; events know when they were received, by which schema, and are found by their user.

Revision ID: application_0002
Revises: application_0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import mssql, postgresql

from kafkajourney.errors import StopError

revision = "application_0002"
down_revision = "application_0001"
branch_labels = None
depends_on = None

# Written out and not taken from the tables: a migration stays as it was when the tables move on.
UTC_MILLIS = (
    sa.DateTime()
    .with_variant(mssql.DATETIME2(3), "mssql")  # type: ignore[no-untyped-call]
    .with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
)
BINARY = "Latin1_General_100_BIN2"
USER_ID = sa.Unicode(128).with_variant(sa.Unicode(128, collation=BINARY), "mssql")
TOPIC = sa.String(249).with_variant(sa.String(249, collation=BINARY), "mssql")

TOPICS = "SELECT DISTINCT topic FROM consumer_progress WHERE consumer_group = 'analytic'"

COUNTED = """
    SELECT e.topic, e.user_id, COUNT(*) AS plays, MAX(e.occurred_at) AS last_played_at
    FROM journey_events e
    JOIN consumer_progress p ON p.consumer_group = 'analytic' AND p.topic = e.topic AND p.partition = e.partition
    WHERE e.event_type = 'VideoPlayed' AND e."offset" < p.next_offset
    GROUP BY e.topic, e.user_id
"""
"""The plays of each topic, as far as the group analytic has come."""


def upgrade() -> None:
    op.add_column("journey_events", sa.Column("received_at", UTC_MILLIS, nullable=True))
    op.add_column("journey_events", sa.Column("schema_id", sa.Integer(), nullable=True))
    op.create_index("ix_journey_events_user", "journey_events", ["user_id"])
    if dialect() == "postgresql":
        refuse_nul()
        op.execute("ALTER TABLE journey_events ALTER COLUMN payload TYPE JSONB USING payload::jsonb")
    count_anew = has_several_topics()
    if count_anew:
        op.execute("DELETE FROM video_plays")
    op.add_column("video_plays", sa.Column("topic", TOPIC, nullable=True))
    op.execute(f"UPDATE video_plays SET topic = ({TOPICS})")  # noqa: S608 # no values
    replace_key(["topic", "user_id"])
    if count_anew:
        op.execute(f"INSERT INTO video_plays (topic, user_id, plays, last_played_at) {COUNTED}")


def downgrade() -> None:
    same_user = "FROM video_plays o WHERE o.user_id = video_plays.user_id"
    op.execute(
        f"UPDATE video_plays SET plays = (SELECT SUM(o.plays) {same_user}), "  # noqa: S608 # no values
        f"last_played_at = (SELECT MAX(o.last_played_at) {same_user})"
    )
    op.execute(f"DELETE FROM video_plays WHERE topic > (SELECT MIN(o.topic) {same_user})")  # noqa: S608 # no values
    replace_key(["user_id"])
    if dialect() == "postgresql":
        op.execute("ALTER TABLE journey_events ALTER COLUMN payload TYPE TEXT USING payload::text")
    op.drop_index("ix_journey_events_user", "journey_events")
    op.drop_column("journey_events", "schema_id")
    op.drop_column("journey_events", "received_at")


def dialect() -> str:
    return op.get_context().dialect.name


def refuse_nul() -> None:
    """Refuse payloads that JSONB has no form for, with a sentence instead of the server's error."""
    if context.is_offline_mode():
        return
    holds = r"""FROM journey_events WHERE payload ~ '(^|[^\\])(\\\\)*\\u0000'"""
    first = sa.text(f'SELECT topic, "partition", "offset" {holds} ORDER BY 1, 2, 3')  # no values
    if place := op.get_bind().execute(first).first():
        raise StopError(
            "PostgreSQL's JSONB has no form for the character NUL, which the payload of a row of journey_events holds: "
            f"{place[0]} [{place[1]}] {place[2]} is the first. Replace it (\\u0000) wherever it stands, then run "
            "python -m migrations upgrade again."
        )


def has_several_topics() -> bool:
    """Whether the plays of several topics stand in one total, so that they have to be counted anew.

    Where ``journey_events`` does not give the same totals, it does not have everything: that is refused. Offline it
    cannot be told; there the statement that sets the topic fails where there are several.
    """
    if context.is_offline_mode():
        return False
    bind = op.get_bind()
    if not bind.scalar(sa.text("SELECT COUNT(*) FROM video_plays")):
        return False
    topics = sorted(bind.scalars(sa.text(TOPICS)))
    if len(topics) == 1:
        return False
    totals = f"SELECT user_id, SUM(plays) AS plays, MAX(last_played_at) AS last FROM ({COUNTED}) t GROUP BY user_id"  # noqa: S608
    stored = "SELECT user_id, plays, last_played_at FROM video_plays"
    for some, others in ((totals, stored), (stored, totals)):
        if bind.scalar(sa.text(f"SELECT COUNT(*) FROM ({some} EXCEPT {others}) d")):  # noqa: S608 # no values
            raise StopError(
                f"video_plays does not say of which topic its plays are ({', '.join(topics) or 'none'} in the progress "
                "of analytic), and journey_events does not give the same totals. Empty video_plays and delete the rows "
                "of the group analytic in consumer_progress, so that it counts anew from the topics; then run "
                "python -m migrations upgrade again."
            )
    return True


def replace_key(key: list[str]) -> None:
    """Make these columns the primary key of ``video_plays``; its topic goes where it is none of them."""
    has_topic = "topic" in key
    if dialect() == "sqlite":  # which alters no key
        columns: list[sa.Column[Any]] = [
            *([sa.Column("topic", TOPIC, nullable=False)] if has_topic else []),
            sa.Column("user_id", USER_ID, nullable=False),
            sa.Column("plays", sa.BigInteger(), nullable=False),
            sa.Column("last_played_at", UTC_MILLIS, nullable=False),
        ]
        names = ", ".join(column.name for column in columns)
        op.create_table("new_video_plays", *columns, sa.PrimaryKeyConstraint(*key, name="pk_video_plays"))
        op.execute(f"INSERT INTO new_video_plays ({names}) SELECT {names} FROM video_plays")  # noqa: S608 # no values
        op.drop_table("video_plays")
        op.rename_table("new_video_plays", "video_plays")
        return
    op.drop_constraint("pk_video_plays", "video_plays", type_="primary")
    if has_topic:
        op.alter_column("video_plays", "topic", existing_type=TOPIC, nullable=False)
    else:
        op.drop_column("video_plays", "topic")
    op.create_primary_key("pk_video_plays", "video_plays", key)
