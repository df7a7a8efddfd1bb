"""The group ``analytic``: how often each user played a video, in the table ``video_plays``."""

from consumers.analytic.rows import COUNTED, rows
from consumers.analytic.table import video_plays
from kafkajourney.group import MAX, SUM, Group

ANALYTIC = Group(
    "analytic",
    wanted=frozenset({COUNTED}),
    table=video_plays,
    rows=rows,
    merge={"plays": SUM, "last_played_at": MAX},
    person="user_id",
)
